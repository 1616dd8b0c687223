"""Kills at random moments while the real telemetry is replayed; then every event must have come
once, in order, and the books must balance. Each check is known to fail: the negative controls switch
a promise off and want to see it broken.

PIPIT_KILLS_SEED=<n> replays the moments of a run (as far as the machine does)."""

import json
import os
import random
import subprocess
import threading

import pytest

from chaos import Fleet, Killer, Wrong, check_books, check_outputs, first_arrivals, telemetry
from harness import Broker, Collector, Hub, wait_for

SEED = int(os.environ.get("PIPIT_KILLS_SEED", random.randrange(1 << 31)))
LONG_S = 600
STRACE = ["strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e"]

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", stats_every: 0, check_broker: false{hub}}}
sources:
  plant: {{mqtt: {{url: "{source}", probe: false{options}}}, topics: ["pipit/v1/+/+/event/#"]}}
targets:
  bus:   {{mqtt: {{url: "{target}"}}, backoff_min: 50 ms, backoff_max: 500 ms}}
  audit: {{file: {{path: "{{dir}}/audit.ndjson"}}}}
rules:
  all:
    sql: SELECT device, boot, sequence, temp, time FROM "pipit/v1/+/+/event/telemetry"
    key: device
    to: [bus: {{topic: "all/{{device}}"}}, audit: {{}}]
  overheat:
    sql: SELECT device, temp FROM "pipit/v1/+/+/event/telemetry" WHERE temp > 25
    key: device
    to: [bus: {{topic: "alerts/{{device}}"}}]
"""


def config(source, target, hub="", options=""):
    return CONFIG.format(source=source.url, target=target.url, hub=hub, options=options)


def books(hub):
    return json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]


def start_again(process, lock):
    def kill():
        with lock:
            process.kill()
            process.start()
    return kill


def settled(hub):
    wait_for(lambda: books(hub)["waiting"] == 0, LONG_S, lambda: f"all delivered: {books(hub)}\n{hub.tail()}")
    return books(hub)


def check_all(hub, collector, rows):
    """What every run must show, whatever was killed."""
    hot = [row for row in rows if row["data"]["temp"] > 25]
    last = settled(hub)
    owed = 2 * len(rows) + len(hot)
    collector.wait(len(rows) + len(hot))  # At least; what the broker has taken it passes on.
    check_outputs(first_arrivals(collector.on("all/#")), rows)
    alerts = first_arrivals(collector.on("alerts/#"))
    assert len(alerts) == len(hot), f"{len(alerts)} alerts"
    lines = [json.loads(line) for line in (hub.dir / "audit.ndjson").read_text().splitlines()]
    audited = {}
    for line in lines:
        audited.setdefault(line["idempotency_key"], line["payload"])
    check_outputs(list(audited.values()), rows)
    check_books(last, len(rows), owed)
    return last


def take_target_away(target, hub, lock, seconds):
    """The target is down for a while, and the hub is killed when it owes something."""
    target.stop()
    # More than is looked for below: what the target took last may be settled only now.
    wait_for(lambda: books(hub)["waiting"] > 300, LONG_S, "deliveries wait for the target")
    with lock:
        hub.kill()
        owed = books(hub)["waiting"]  # From the store alone.
        hub.start()
    assert owed > 100, "the hub was killed with nothing to lose"
    threading.Event().wait(seconds)  # How long it is away is the test's, not a wait for a fact.
    target.start()
    return owed


def test_kills_during_the_replay(tmp_path, broker):
    rows = telemetry(tmp_path / "telemetry.ndjson")
    assert len(rows) == 9995
    lock = threading.Lock()
    with Broker(persistence=True) as target, Collector(target.port, "all/#", "alerts/#") as collector, \
            Hub(config(broker, target), tmp_path / "hub") as hub:
        hub.wait_ready()
        with Fleet(broker.url, tmp_path / "telemetry.ndjson", tmp_path / "spool", 250, tmp_path / "fleet.log") as fleet:
            killers = [Killer("hub", start_again(hub, lock), 20, 36, SEED),
                       Killer("broker", start_again(broker, threading.Lock()), 10, 36, SEED),
                       Killer("devices", fleet.kill, 10, 36, SEED)]
            for killer in killers:
                killer.start()
            owed = take_target_away(target, hub, lock, 10)
            kills = {killer.name: killer.finish(LONG_S) for killer in killers}
            fleet.wait(LONG_S)
        last = check_all(hub, collector, rows)
        assert hub.terminate() == 0
    arrivals = len(collector.messages)
    print(f"seed {SEED}: kills {kills}, one with {owed} deliveries owed; "
          f"{last['duplicate']} redelivered events were known, {arrivals - 11111} deliveries came again")
    assert kills == {"hub": 20, "broker": 10, "devices": 10}
    assert last["duplicate"] > 0, "no event came twice: too few kills in the right places"


def run_without_dedupe(folder, rows, seed):
    lock = threading.Lock()
    with Broker() as broker, Broker(persistence=True) as target, \
            Collector(target.port, "all/#", "alerts/#") as collector, \
            Hub(config(broker, target, hub=", fault_no_dedupe: true"), folder / "hub", faults=True) as hub:
        hub.wait_ready()
        with Fleet(broker.url, folder.parent / "telemetry.ndjson", folder / "spool", 1000, folder / "log") as fleet:
            killers = [Killer("broker", start_again(broker, lock), 3, 4, seed),
                       Killer("devices", fleet.kill, 8, 5, seed)]
            for killer in killers:
                killer.start()
            for killer in killers:
                killer.finish(LONG_S)
            fleet.wait(LONG_S)
        check_all(hub, collector, rows)


def test_without_dedupe_the_same_run_fails(tmp_path):
    """Chance decides whether a kill falls between an event and its receipt, so there are three runs at most."""
    rows = telemetry(tmp_path / "telemetry.ndjson", 5000)
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        try:
            run_without_dedupe(folder, rows, SEED + attempt)
        except Wrong as wrong:
            assert "changed state" in str(wrong)
            return
    pytest.fail("no event came twice in three runs")


LEGACY = """
hub: {{id: plant, store: "{{dir}}/hub.db", stats_every: 0, check_broker: false}}
sources:
  plant: {{mqtt: {{url: "{source}", probe: false{options}}}, topics: ["legacy/+/telemetry"]}}
devices:
  legacy: {{from: "legacy/+/telemetry", device: topic_part(2), sequence: n}}
targets:
  bus: {{mqtt: {{url: "{source}"}}}}
rules:
  all:
    sql: SELECT device, n FROM "legacy/+/telemetry"
    key: device
    to: [bus: {{topic: "out/{{device}}"}}]
"""


@pytest.mark.parametrize("options", ["", ", ack_before_commit: true"], ids=["deferred", "early"])
def test_devices_without_receipts_rely_on_the_deferred_acknowledgement(tmp_path, broker, options):
    """Writes take 5 ms each, so that kills hit between reading and storing. (A slow sync would not
    do: what is written survives a kill.)"""
    text = LEGACY.format(source=broker.url, options=options)
    with Collector(broker.port, "out/#") as collector, \
            Hub(text, tmp_path / "hub", faults=True, wrap=[*STRACE, "inject=pwrite64:delay_enter=5000"],
                env={"ASAN_OPTIONS": "detect_leaks=0"}) as hub:
        hub.wait_ready()
        publisher = subprocess.Popen(["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-l", "-t", "legacy/b7/telemetry"],
                                     stdin=subprocess.PIPE, text=True)
        for n in range(1, 201):
            publisher.stdin.write(json.dumps({"n": n}) + "\n")
            publisher.stdin.flush()
            threading.Event().wait(0.005)
            if n % 40 == 0:
                hub.kill()
                hub.start()
        publisher.stdin.close()
        assert publisher.wait(60) == 0
        hub.wait_ready()
        if options == "":
            wait_for(lambda: books(hub)["routed"] == 200, LONG_S, lambda: books(hub))
            settled(hub)
            collector.wait(200)
            assert [payload["n"] for payload in first_arrivals(collector.messages)] == list(range(1, 201))
        else:
            marker = subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", "legacy/b7/telemetry",
                                     "-m", '{"n": 201}'], check=True)
            assert marker.returncode == 0
            wait_for(lambda: any(m.json()["n"] == 201 for m in collector.messages), LONG_S, "the last one")
            assert books(hub)["routed"] < 201, "acknowledged too early, and nothing was lost: the kills hit nothing"
