"""A power cut under a real file system: ext4 on a loop device is shut down without writing its cache
back, while devices publish. What they were told is stored is there afterwards; when syncs are taken
away (eatmydata) it is not, so that this is known to test them."""

import fcntl
import json
import os
import random
import struct
import subprocess
import threading

import pytest

from chaos import Fleet, telemetry
from harness import ROOT, Hub, Subscriber, pipit, wait_for

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2

CONFIG = """
hub: {{id: plant, store: "{store}", stats_every: 0, check_broker: false}}
sources:
  plant: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}
targets:
  away: {{mqtt: {{url: "mqtt://127.0.0.1:1"}}}}
rules:
  all:
    sql: SELECT device, temp FROM "pipit/v1/+/+/event/telemetry"
    key: device
    to: [away: {{topic: "all/{{device}}"}}]
"""


class Disk:
    """64 MB of ext4 whose power can be cut."""

    def __init__(self, folder):
        self.image, self.mount = folder / "disk.img", folder / "disk"
        self.mount.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)

    def attach(self):
        return subprocess.run(["mount", "-o", "loop", self.image, self.mount], capture_output=True, check=False).returncode == 0

    def cut(self):
        fd = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def can_be_cut(self):
        """Needs root, a loop device and a kernel that lets a file system be shut down."""
        if not self.attach():
            return False
        try:
            self.cut()
        except OSError:
            return False
        finally:
            wait_for(self.detach, what="unmounted")
        return self.attach()

    def detach(self):
        return subprocess.run(["umount", self.mount], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path)
    if not disk.can_be_cut():
        pytest.skip("no file system can be shut down here: needs root and a loop device")
    yield disk
    wait_for(disk.detach, what="unmounted")


def promised(receipts):
    """Events that devices were told are stored: the furthest receipt of each."""
    upto = {}
    for message in receipts:
        text = subprocess.run(["protoc", "-I", ROOT / "proto", "--decode=pipit.v1.Receipt", "pipit/v1/pipit.proto"],
                              input=message.payload, stdout=subprocess.PIPE, check=True).stdout.decode()
        fields = dict(line.split(": ") for line in text.splitlines())
        upto[message.topic] = max(upto.get(message.topic, 0), int(fields.get("upto", 0)))
    return sum(upto.values())


def run_until_cut(disk, broker, tmp_path, wrap, seed):
    """Returns the configuration and how many events were promised when the power went."""
    telemetry(tmp_path / "telemetry.ndjson")
    text = CONFIG.format(store=disk.mount / "hub.db", url=broker.url)
    with Hub(text, tmp_path / "hub", wrap=wrap, env={"ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}) as hub, \
            Subscriber(broker.port, "pipit/v1/+/+/receipt") as receipts:
        hub.wait_ready()
        with Fleet(broker.url, tmp_path / "telemetry.ndjson", tmp_path / "spool", 1000, tmp_path / "fleet.log"):
            wait_for(lambda: len(receipts.messages) > 100, what=lambda: f"receipts\n{hub.tail()}")
            threading.Event().wait(random.Random(seed).uniform(0.05, 0.5))  # Any moment will do.
            seen = list(receipts.messages)
            disk.cut()
        hub.kill()
    wait_for(disk.detach, what="unmounted")
    assert disk.attach(), "the file system came back"
    return hub.config, promised(seen)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_promised_survives(disk, broker, tmp_path, seed):
    config, events = run_until_cut(disk, broker, tmp_path, [], seed)
    status = json.loads(pipit("status", "-c", config, "--json", "--interval", "0").stdout)
    books = status["books"]
    assert events > 100 and books["routed"] >= events, (events, books)
    assert books["enqueued"] == books["waiting"] == books["routed"]
    with Hub(config.read_text(), config.parent) as hub:  # And it goes on.
        hub.wait_ready()


def test_without_syncs_it_does_not(disk, broker, tmp_path):
    config, events = run_until_cut(disk, broker, tmp_path, ["eatmydata"], 1)
    done = pipit("status", "-c", config, "--json", "--interval", "0", check=False)
    kept = json.loads(done.stdout)["books"]["routed"] if done.returncode == 0 else 0
    assert events > 100 and kept < events, "nothing was synced, and nothing was lost: the cut cuts nothing"
