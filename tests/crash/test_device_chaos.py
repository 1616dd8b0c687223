"""Devices on a garbling line, rebooted 100 times, while their broker is killed 50 times and their hub
50 times: every event that was accepted reaches the hub once, with its value, in order.

The device program is the SDK's own client over a modem that flips bits and loses bytes. The frames of
pipit/framed.h make a damaged byte a lost link, which the spool and the receipts cover. Two controls
show that the check sees what it is for: a device that keeps its events in memory alone loses some, and
without frames the line changes them; no protocol above could tell, which is what frames or TLS are for.

PIPIT_CHAOS_SEED=<n> replays the moments and the garbling of a run (as far as the machine does)."""

import json
import os
import random
import subprocess
import threading

import pytest

from chaos import Killer, Wrong, check, check_books
from harness import BUILD, Broker, Hub, wait_for
from harness_modem import Modem

SEED = int(os.environ.get("PIPIT_CHAOS_SEED", random.randrange(1 << 31)))
DEVICE = BUILD / "tests" / "crash" / "chaos-device"
LONG_S = 150

CONFIG = """
hub: {{id: chaos, store: "{{dir}}/hub.db", stats_every: 0, check_broker: false}}
sources:
  plant: {{mqtt: {{url: "{url}", probe: false, reconnect_max: 200 ms}}, topics: ["pipit/v1/+/+/event/#"]}}
targets:
  audit: {{file: {{path: "{{dir}}/audit.ndjson"}}}}
rules:
  all:
    sql: SELECT device, boot, sequence, n, mix FROM "pipit/v1/+/+/event/reading"
    key: device
    to: [audit: {{}}]
"""


class Device:
    """The device program, started again whenever it is killed."""

    def __init__(self, port, name, folder, rate, *options):
        folder.mkdir()
        self.name, self.folder = name, folder
        self.command = [str(word) for word in (DEVICE, port, name, folder, rate, *options)]
        self.log = folder / "log"
        (folder / "ledger").touch()
        self.lock = threading.Lock()
        self.process = None
        self.is_over = False
        self.starts = 0
        self.exit_code = None
        self.is_finished = threading.Event()
        self.thread = threading.Thread(target=self._keep_running, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with self.lock:
            self.is_over = True
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
        self.thread.join(30)

    def _keep_running(self):
        while True:
            with self.lock, open(self.log, "a", encoding="utf-8") as log:
                if self.is_over:
                    return
                self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
                self.starts += 1
            code = self.process.wait()
            if code >= 0:
                self.exit_code = code
                self.is_finished.set()
                return

    def reboot(self):
        """Only a process that runs counts: waits for the one that is being started."""
        def kill():
            with self.lock:
                if self.process is None or self.process.poll() is not None:
                    return False
                self.process.kill()
                return True
        check(not self.is_finished.is_set(), lambda: f"{self.name} has ended:\n{self.said()}")
        wait_for(kill, what=f"{self.name} runs", step=0.002)

    def finish(self):
        """No more readings; until every one is confirmed by a receipt. Gives the last reading."""
        (self.folder / "enough").touch()
        assert self.is_finished.wait(LONG_S), f"{self.name} still waits for receipts:\n{self.said()}"
        assert self.exit_code == 0, f"{self.name} ended with {self.exit_code}:\n{self.said()}"
        return int(self.said().split("last=")[1].split()[0])

    def said(self):
        return self.log.read_text(encoding="utf-8")[-3000:]

    def accepted(self):
        """{n: (boot, sequence)} of every event that the SDK took, as the program noted it."""
        lines = (self.folder / "ledger").read_text(encoding="utf-8").splitlines()
        return {n: (boot, sequence) for n, boot, sequence in (map(int, line.split()) for line in lines)}


def deliveries(hub):
    """What the hub has put into the file, in its order, once for each idempotency key."""
    first = {}
    path = hub.dir / "audit.ndjson"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        entry = json.loads(line)
        first.setdefault(entry["idempotency_key"], entry["payload"])
    return list(first.values()), len(lines)


def is_whole(reading):
    return reading["mix"] == reading["n"] * 2654435761 % (1 << 32)


def check_device(device, last, payloads):
    """Knows only what the device was told and what came out of the hub."""
    got = [p for p in payloads if p["device"] == device.name]
    wrong = [p for p in got if not is_whole(p)]
    check(not wrong, lambda: f"{device.name}: {len(wrong)} wrong values, such as {wrong[:3]}")
    arrived = {p["n"]: (p["boot"], p["sequence"]) for p in got}
    accepted = device.accepted()
    lost = [n for n, identity in accepted.items() if arrived.get(n) != identity]
    check(not lost, lambda: f"{device.name}: {len(lost)} of {len(accepted)} accepted events lost: {lost[:10]}")
    order = [p["n"] for p in got]
    check(len(set(order)) == len(order), lambda: f"{device.name}: {len(order) - len(set(order))} came twice")
    late = [pair for pair in zip(order, order[1:]) if pair[1] < pair[0]]
    check(not late, lambda: f"{device.name}: out of order: {late[:5]}")
    # A kill between the spool and the ledger leaves an accepted event that only the mark knows.
    check(order == list(range(1, last + 1)), lambda: f"{device.name}: {len(order)} of {last} came")


def books(hub):
    return json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]


def settled(hub):
    def fact():
        last = books(hub)
        return last if last["waiting"] == 0 else None
    return wait_for(fact, LONG_S, lambda: f"all delivered: {books(hub)}\n{hub.tail()}", step=0.1)


def start_again(process):
    def kill():
        process.kill()
        process.start()
    return kill


def test_reboots_and_kills_through_a_garbling_line(tmp_path, broker):
    line = ("--framed", "--garble", "0.0002", "--drop", "0.0001", "--split", "64")
    with Hub(CONFIG.format(url=broker.url), tmp_path / "hub") as hub, \
            Modem(broker.port, *line, seed=SEED) as first, Modem(broker.port, *line, seed=SEED + 1) as second:
        hub.wait_ready()
        with Device(first.port, "d1", tmp_path / "d1", 40) as one, \
                Device(second.port, "d2", tmp_path / "d2", 40) as two:
            killers = [Killer("d1", one.reboot, 100, 70, SEED), Killer("d2", two.reboot, 100, 70, SEED),
                       Killer("broker", start_again(broker), 50, 70, SEED),
                       Killer("hub", start_again(hub), 50, 70, SEED),
                       Killer("half-open", lambda: half_open(first), 5, 60, SEED)]
            for killer in killers:
                killer.start()
            kills = {killer.name: killer.finish(LONG_S) for killer in killers}
            during = books(hub)
            last = {device.name: device.finish() for device in (one, two)}
        total = sum(last.values())
        final = settled(hub)
        payloads, lines = deliveries(hub)
        stats = [modem.stats() for modem in (first, second)]
        assert hub.terminate() == 0
    print(f"seed {SEED}: kills {kills}; {total} events, {during['routed']} of them stored before the last kill; "
          f"{final['duplicate']} came again and were known, {lines - total} deliveries were repeated; "
          f"calls {[s['calls'] for s in stats]}, ended by bad frames {[s['bad_frames'] for s in stats]}, "
          f"bytes changed {[s['up_garbled'] + s['down_garbled'] for s in stats]}")
    for device in (one, two):
        check_device(device, last[device.name], payloads)
        assert device.starts == 101
    check_books(final, total, total)
    assert kills == {"d1": 100, "d2": 100, "broker": 50, "hub": 50, "half-open": 5}
    assert final["duplicate"] > 0, "no event came twice: the kills were in the wrong places"
    assert sum(s["bad_frames"] for s in stats) > 10, "the line did too little"
    assert during["routed"] > total / 20, "hardly anything got through between the kills"


def half_open(modem):
    """The present call, if there is one: the device finds out by its keepalive."""
    try:
        modem.command("half-open")
    except AssertionError:
        modem.command("stats")  # There was no call; the modem is well.


def run_one(tmp_path, broker, modem_arguments, device_options, reboots):
    """A device alone, rebooted now and then; gives it, its last reading, and what came."""
    with Hub(CONFIG.format(url=broker.url), tmp_path / "hub") as hub, \
            Modem(broker.port, *modem_arguments, seed=SEED) as modem:
        hub.wait_ready()
        with Device(modem.port, "d1", tmp_path / "d1", 200, *device_options) as device:
            if reboots:
                killer = Killer("d1", device.reboot, reboots, reboots / 2, SEED)
                killer.start()
                killer.finish(LONG_S)
            wait_for(lambda: len(device.accepted()) > 400, what="400 readings")
            last = device.finish()
        settled(hub)
        return device, last, deliveries(hub)[0]


def test_a_device_that_keeps_its_events_in_memory_loses_some(tmp_path, broker):
    device, last, payloads = run_one(tmp_path, broker, ["--framed", "--delay", "20"], ["ram"], 8)
    with pytest.raises(Wrong, match="accepted events lost"):
        check_device(device, last, payloads)


def test_without_frames_the_line_changes_what_is_said(tmp_path, broker):
    """Well-formed packets with other values in them, or identities: the hub cannot know. (The device is
    not waited for: a changed sequence may settle numbers that it has not given yet, for good.)"""
    with Hub(CONFIG.format(url=broker.url), tmp_path / "hub") as hub, \
            Modem(broker.port, "--close-device", "--garble", "0.001,up", seed=SEED) as modem:
        hub.wait_ready()
        with Device(modem.port, "d1", tmp_path / "d1", 200, "plain") as device:
            wait_for(lambda: any(not is_whole(p) for p in deliveries(hub)[0] if p["device"] == "d1"),
                     what="a wrong value")
        with pytest.raises(Wrong, match="wrong values"):
            check_device(device, max(device.accepted()), deliveries(hub)[0])


def test_the_same_line_with_frames_does_not(tmp_path, broker):
    device, last, payloads = run_one(tmp_path, broker, ["--framed", "--garble", "0.0005,up"], [], 0)
    check_device(device, last, payloads)
