"""Hourly mean, minimum and maximum of the real telemetry by event time, against what the sqlite3
shell makes of the same file: with the hub killed twenty times, with events that come shuffled
within the grace, and with a clock that steps back two hours."""

import json
import math
import os
import random
import sqlite3
import subprocess
import threading
import time

import pytest

from chaos import Killer, telemetry
from faked import RELEASE, clock_environment, needs_release
from harness import Client, Collector, Hub, wait_for

SEED = int(os.environ.get("PIPIT_KILLS_SEED", random.randrange(1 << 31)))
LONG_S = 300
HOUR_MS = 3600000
GRACE_S = 900  # No sequence is out of order by more than 256 so, which is what dedupe can tell.

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", stats_every: 0, check_broker: false}}
sources:
  plant: {{mqtt: {{url: "{url}", probe: false}}, topics: ["env/+"]}}
devices:
  env: {{from: "env/+", device: "topic_part(2)", sequence: n, time: "CAST(ts * 1000 AS INTEGER)"}}
targets:
  bus: {{mqtt: {{url: "{url}"}}, backoff_min: 50 ms, backoff_max: 500 ms}}
rules:
  hourly:
    sql: |
      SELECT device, window_start AS start, window_end AS end, window_count AS n,
             avg("data.temp") AS mean, min("data.temp") AS least, max("data.temp") AS most
      FROM "env/+"
    window: {{tumbling: 1 h, grace: {grace} s, idle: {idle}, where: '"data.temp" IS NOT NULL'}}
    to: [bus: {{topic: "hourly/{{device}}"}}]
    late: [bus: {{topic: "late/{{device}}"}}]
"""

# In order of time: the last digits of a mean depend on it.
REFERENCE = """
.mode list
.separator |
CREATE TABLE line(text);
.import {path} line
SELECT device, hour, count(*), printf('%!.17g', avg(temp)), printf('%!.17g', min(temp)),
       printf('%!.17g', max(temp))
FROM (SELECT json_extract(text, '$.device') AS device,
             CAST(json_extract(text, '$.ts') * 1000 AS INTEGER) / 3600000 AS hour,
             json_extract(text, '$.data.temp') AS temp
      FROM line ORDER BY CAST(json_extract(text, '$.ts') * 1000 AS INTEGER))
GROUP BY device, hour;
"""


def figures(path):
    """(device, hour) -> (count, mean, least, most), by the sqlite3 shell."""
    script = REFERENCE.format(path=path).replace("|\n", '"\\037"\n', 1)
    done = subprocess.run(["sqlite3", ":memory:"], input=script, capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    rows = [line.split("\x1f") for line in done.stdout.splitlines()]
    return {(row[0], int(row[1])): (int(row[2]), *map(float, row[3:])) for row in rows}


def numbered(rows):
    """Each device's events counted from 1, as a device with a sequence would."""
    counts = {}
    for row in rows:
        counts[row["device"]] = counts.get(row["device"], 0) + 1
        yield {**row, "n": counts[row["device"]]}


def shuffled(rows, seed):
    """Up to the grace out of order, but for each device's first: its sequence begins there."""
    chance = random.Random(seed)
    delayed = [(row["ts"] + (0 if row["n"] == 1 else chance.uniform(0, GRACE_S)), row) for row in rows]
    return [row for _, row in sorted(delayed, key=lambda pair: pair[0])]


def ends_of(rows):
    """An event a day later of each device: every hour of the telemetry is over by it."""
    last = {row["device"]: row for row in sorted(rows, key=lambda row: row["n"])}
    return [{**row, "n": row["n"] + 1, "ts": row["ts"] + 86400} for row in last.values()]


class Feeder(threading.Thread):
    """Publishes the rows, so many a second."""

    def __init__(self, port, rows, rate):
        super().__init__(daemon=True)
        self.port, self.rows, self.rate = port, rows, rate
        self.sent = 0
        self.start()

    def run(self):
        with Client(self.port, "feeder") as client:
            began = time.monotonic()
            for row in self.rows:
                handle = client.publish(f"env/{row['device']}", json.dumps(row))
                self.sent += 1
                ahead = self.sent / self.rate - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)  # The rate is the test's, not a wait for a fact.
            handle.wait_for_publish(LONG_S)


def results_of(collector):
    """(device, hour) -> (count, mean, least, most): each once, however often it was delivered."""
    found, keys = {}, {}
    for message in collector.on("hourly/+"):
        row = message.json()
        assert row["end"] - row["start"] == HOUR_MS and row["start"] % HOUR_MS == 0
        window = (row["device"], row["start"] // HOUR_MS)
        values = (row["n"], row["mean"], row["least"], row["most"])
        assert found.setdefault(window, values) == values, f"{window} came with other contents"
        assert keys.setdefault(window, message.key) == message.key, f"{window} came with another key"
    return found


def check(collector, want):
    have = results_of(collector)
    assert have.keys() == want.keys()
    for window, (count, mean, least, most) in want.items():
        n, average, low, high = have[window]
        assert n == count, window
        for figure, wanted in zip((average, low, high), (mean, least, most)):
            assert math.isclose(figure, wanted, rel_tol=1e-13), (window, figure, wanted)


def books_of(hub):
    return json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]


def check_books(hub, count):
    wait_for(lambda: books_of(hub)["waiting"] == 0, LONG_S, "all delivered")
    books = books_of(hub)
    assert books["received"] - books["duplicate"] == count == books["routed"], books
    assert books["late"] == books["rejected"] == books["filtered"] == books["dead"] == 0, books


@pytest.mark.parametrize("order", ["in order", "shuffled"])
def test_hourly_figures_survive_twenty_kills(tmp_path, broker, order):
    path = tmp_path / "telemetry.ndjson"
    rows = list(numbered(telemetry(path)))
    want = figures(path)
    assert len(want) == 60
    feed = (rows if order == "in order" else shuffled(rows, SEED)) + ends_of(rows)
    config = CONFIG.format(url=broker.url, grace=GRACE_S, idle="1 h")
    with Collector(broker.port, "hourly/+", "late/+") as collector, Hub(config, tmp_path / "hub") as hub:
        hub.wait_ready()
        feeder = Feeder(broker.port, feed, 700)

        def kill():
            hub.kill()
            hub.start()
        killer = Killer("hub", kill, 20, 12, SEED)
        killer.start()
        feeder.join(LONG_S)
        assert killer.finish(LONG_S) == 20
        wait_for(lambda: len(results_of(collector)) >= len(want), LONG_S,
                 lambda: f"{len(want)} hours; there are {len(results_of(collector))}\n{hub.tail()}")
        check_books(hub, len(feed))
        check(collector, want)
        assert collector.on("late/+") == []
    print(f"seed {SEED}: {len(collector.messages)} deliveries of {len(want)} hours")


@needs_release
def test_hourly_figures_when_the_clock_steps_back_two_hours(tmp_path, broker, monkeypatch):
    monkeypatch.setattr("harness.PIPIT", RELEASE / "hub" / "pipit")
    path, clock = tmp_path / "telemetry.ndjson", tmp_path / "clock"
    rows = list(numbered(telemetry(path)))
    want = figures(path)
    config = CONFIG.format(url=broker.url, grace=GRACE_S, idle="10 s")
    clock.write_text("+0")
    hub = Hub(config, tmp_path / "hub", env=clock_environment(clock))
    with Collector(broker.port, "hourly/+", "late/+") as collector, hub:
        hub.wait_ready()
        feeder = Feeder(broker.port, rows, 2000)
        wait_for(lambda: feeder.sent > len(rows) / 2, LONG_S, "half of it is sent")
        clock.write_text("-7200")
        feeder.join(LONG_S)
        # The last hours close because nothing comes any more, in seconds and not in two hours.
        wait_for(lambda: len(results_of(collector)) >= len(want), 60,
                 lambda: f"{len(want)} hours; there are {len(results_of(collector))}\n{hub.tail()}")
        check_books(hub, len(rows))
        check(collector, want)
        assert hub.terminate() == 0
    with sqlite3.connect(tmp_path / "hub" / "hub.db") as store:
        arrived_ms, = store.execute("SELECT max(arrived) FROM pipit_window_key").fetchone()
    assert arrived_ms < (time.time() - 7000) * 1000, "the hub's clock did not step back"
