"""A store that version 1 has written, with deliveries waiting: commands that only read say what to do, a hub brings it up
to date and delivers, and operators find what was there."""

import json
import sqlite3

from harness import ROOT, Broker, Client, Hub, Subscriber, wait_for

# What the hub had that wrote tests/data/store_v1.sql, but for the ports.
CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#"]}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
targets:
  bus: {{mqtt: {{url: "{target}"}}, attempts: 2, backoff_min: 20 ms, backoff_max: 50 ms}}
rules:
  p:
    sql: SELECT device, n, place FROM "a/+"
    key: device
    to:
      - bus: {{topic: "out/{{place}}/{{device}}", qos: 1}}
"""


def make_old(folder):
    with sqlite3.connect(folder / "hub.db") as db:
        db.executescript((ROOT / "tests/data/store_v1.sql").read_text())
    db.close()


def test_an_old_store_is_brought_up_to_date_and_delivers(tmp_path, broker):
    make_old(tmp_path)
    with Broker() as target:
        hub = Hub(CONFIG.format(url=broker.url, target=target.url), tmp_path)
        for command in (["status", "--json"], ["dead", "list"], ["quarantine", "list"]):
            done = hub.run(*command, check=False)
            assert done.returncode == 4, (command, done)
            assert "written by an older version of Pipit (format 1, this one reads 3)" in done.stderr, (command, done)
            assert "a hub of this version brings it up to date when it opens it" in done.stderr, (command, done)
        with Subscriber(target.port, "out/#") as watcher, hub:
            hub.wait_log("id=STORE-UPGRADED", "from=1", "to=3")
            got = watcher.wait(3)
            assert [(m.topic, m.json()["n"], m.key) for m in got if m.topic.endswith("d1")] == [
                ("out/hall/d1", 3, "a/d1/0/3:p:1"), ("out/hall/d1", 5, "a/d1/0/5:p:1")]
            assert [m.key for m in got if m.topic.endswith("d0")] == ["a/d0/0/4:p:1"]
            letters = [json.loads(line) for line in hub.run("dead", "list", "--json").stdout.splitlines()]
            assert [letter["idempotency_key"] for letter in letters] == ["a/d1/0/2:p:1"]
            entries = [json.loads(line) for line in hub.run("quarantine", "list", "--json").stdout.splitlines()]
            assert len(entries) == 1 and entries[0]["topic"] == "a/d1" and "does not parse" in entries[0]["reason"]
            # Sequences that version 1 saw are still known; new ones go on.
            hub.wait_ready()
            with Client(broker.port) as client:
                for n in (5, 6):
                    client.publish("a/d1", json.dumps({"n": n, "place": "hall"}).encode())
                hub.run("dead", "replay", "all")
                assert {m.json()["n"] for m in watcher.wait(5)[3:]} == {2, 6}
            wait_for(lambda: hub.status()["books"]["waiting"] == 0)
            books = hub.status()["books"]
            assert (books["received"], books["duplicate"], books["delivered"], books["dead"]) == (8, 1, 6, 0)
            assert hub.terminate() == 0
    with sqlite3.connect(tmp_path / "hub.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
    db.close()
