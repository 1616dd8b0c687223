"""Bad input gets a clear answer, a counter, and a place in the bounded quarantine with the reason; what is
sent before and after it is delivered as if nothing had been."""

import contextlib
import json
import os
import pathlib
import re
import sqlite3
import subprocess

import pytest

from harness import ROOT, Client, Subscriber, pipit, wait_for

RELEASE = pathlib.Path(os.environ.get("PIPIT_BUILD_RELEASE", ROOT / "build" / "release"))

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0, quarantine_limit: {quarantine}}}
sources:
  plant: {{mqtt: {{url: "{url}", probe: false, version: {version}}}, topics: ["#"]}}
devices:
  legacy: {{from: "legacy/+", device: topic_part(2), sequence: n}}
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
rules:
  good:
    sql: SELECT device, n FROM "legacy/+" WHERE n > 0
    to: [bus: {{topic: "out/{{device}}"}}]
  events:
    sql: SELECT device, celsius FROM "pipit/v1/+/+/event/#"
    to: [bus: {{topic: "out/{{device}}"}}]
  too-long:
    sql: SELECT device, (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c) AS i
         FROM "legacy/+" WHERE kind = 'endless'
    to: [bus: {{topic: "out/{{device}}"}}]
  hungry:
    sql: SELECT device, (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 900)
         SELECT json_group_array(printf('%.*c', 100000, 'x')) FROM c) AS x FROM "legacy/+" WHERE kind = 'hungry'
    to: [bus: {{topic: "out/{{device}}"}}]
  overflow:
    sql: SELECT device, abs(-9223372036854775807 - 1) AS x FROM "legacy/+" WHERE kind = 'overflow'
    to: [bus: {{topic: "out/{{device}}"}}]
  division:
    sql: SELECT device, n / 0 AS ratio FROM "legacy/+" WHERE kind = 'division'
    to: [bus: {{topic: "ratio/{{device}}"}}]
  blob:
    sql: SELECT device, x'00ff' AS raw FROM "legacy/+" WHERE kind = 'blob'
    to: [bus: {{topic: "blob/{{device}}"}}]
  topic:
    sql: SELECT device, kind FROM "legacy/+" WHERE kind LIKE 'to%/#'
    to: [bus: {{topic: "out/{{kind}}"}}]
"""


def config(broker, quarantine="16 MB", version="5"):
    return CONFIG.format(url=broker.url, quarantine=quarantine, version=version)


def event(text, **more):
    """The bytes of a pipit.v1.Event, by protoc."""
    done = subprocess.run(["protoc", "-I", ROOT / "proto", "--encode=pipit.v1.Event", "pipit/v1/pipit.proto"],
                          input=text.encode(), stdout=subprocess.PIPE, check=True, **more)
    return done.stdout


EVENT = event('boot: 1 sequence: 1 type: "climate" fields {name: "celsius" real: 21.5}')
CLIMATE = "pipit/v1/g/d1/event/climate"
REJECTED = [  # why, topic, payload, reason
    ("no protobuf", CLIMATE, b"\xff\xff\xff hello", r"not a pipit.v1.Event: malformed or cut short"),
    ("cut short", CLIMATE, EVENT[:-3], r"not a pipit.v1.Event: malformed or cut short"),
    ("nothing", CLIMATE, b"", r"."),
    ("another type than the topic's", "pipit/v1/g/d1/event/other", EVENT, r"climate.*other|other.*climate"),
    ("no sequence", CLIMATE, event('boot: 1 type: "climate"'), r"sequence"),
    ("a field without value", CLIMATE, event('boot: 1 sequence: 9 type: "climate" fields {name: "x"}'), r"x.*value|value"),
    ("a text that is not UTF-8", CLIMATE,
     event('boot: 1 sequence: 9 type: "climate" fields {name: "celsius" text: "abc"}').replace(b"abc", b"a\xffc"), r"UTF-8"),
    ("JSON that ends early", "legacy/b1", b'{"n": 1', r"JSON"),
    ("JSON with something behind", "legacy/b1", b'{"n": 1} x', r"JSON"),
    ("JSON that is not UTF-8", "legacy/b1", b'{"n": "\xff"}', r"JSON|UTF-8"),
    ("JSON nested without end", "legacy/b1", b'{"n":' * 100000, r"deeper than"),
    ("no sequence where one is configured", "legacy/b1", b'{"m": 1}', r"sequence must be a whole number"),
    ("a sequence that is none", "legacy/b1", b'{"n": -5}', r"sequence must be a whole number"),
    ("a rule that never ends", "legacy/b2", b'{"n": 1, "kind": "endless"}', r"rule_steps|instructions"),
    ("a rule that takes all memory", "legacy/b2", b'{"n": 2, "kind": "hungry"}', r"more than 32768 KB of memory for one event"),
    ("a rule that overflows", "legacy/b3", b'{"n": 1, "kind": "overflow"}', r"integer overflow"),
    ("a rule that gives a blob for JSON", "legacy/b8", b'{"n": 1, "kind": "blob"}', r"raw.*blob"),
    ("a topic that cannot be published on", "legacy/b4", b'{"n": 1, "kind": "to/#"}', r"topic"),
    ("more than payload_max", "legacy/b5", b'{"n": 1, "pad": "' + b"x" * (1 << 20) + b'"}', r"1048576|payload_max"),
]
FINE = [  # why, topic, payload, what comes out
    ("the largest that is taken", "legacy/b6", (b'{"n": 1, "pad": "%s"}' % (b"x" * ((1 << 20) - 19)))[:1 << 20], ("out/b6", {"device": "b6", "n": 1})),
    ("a division by zero is NULL", "legacy/b7", b'{"n": 1, "kind": "division"}', ("ratio/b7", {"device": "b7", "ratio": None})),
    ("an unknown topic", "who/knows", b"\x00\x01", None),
    ("an unknown kind of pipit topic", "pipit/v1/g/d1/what/x", b"\x00", None),
]


def books(hub):
    return json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]


def quarantine(hub):
    return [json.loads(line) for line in hub.run("quarantine", "list", "--json", "--limit", "0").stdout.splitlines()]


def test_each_is_answered_and_nothing_else_suffers(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    with Subscriber(broker.port, "out/#", "ratio/#", "blob/#") as watcher, Client(broker.port) as client:
        for number, (why, topic, payload, reason) in enumerate(REJECTED, 1):
            client.publish(topic, payload)
            client.publish("legacy/good", json.dumps({"n": number}).encode())
            wait_for(lambda number=number: len(watcher.on("out/good")) == number, what=f"{why}: good events go on")
            entries = quarantine(hub)
            assert len(entries) == number, (why, entries)
            newest = max(entries, key=lambda entry: entry["id"])
            assert newest["topic"] == topic and re.search(reason, newest["reason"]), (why, newest)
        for why, topic, payload, comes in FINE:
            client.publish(topic, payload).wait_for_publish(10)
            if comes:
                got = watcher.wait(1, comes[0])[0]
                assert comes[1] is None or got.json() == comes[1], why
        last = wait_for(lambda: (lambda b: b["received"] == 2 * len(REJECTED) + len(FINE) + count_out(watcher) and b)(books(hub)),
                        what=lambda: books(hub))
        assert last["quarantined"] == len(REJECTED), last
        assert last["received"] == last["routed"] + last["filtered"] + last["duplicate"] + last["rejected"]
        assert hub.log_lines("id=INTAKE-REJECTED") or hub.log_lines("id=RULE-FAILED")
    assert hub.terminate() == 0


def count_out(watcher):
    """The hub subscribes to everything, so that it hears its own deliveries."""
    return len(watcher.messages)


def test_the_quarantine_is_bounded_and_the_oldest_make_room(start_hub, broker):
    hub = start_hub(config(broker, quarantine="64 KB")).wait_ready()
    with Client(broker.port) as client:
        for number in range(1000):
            last = client.publish("legacy/b1", b'{"bad": %d, "pad": "%s"' % (number, b"y" * 400))
        last.wait_for_publish(10)
        b = wait_for(lambda: (lambda b: b["rejected"] == 1000 and b)(books(hub)), what=lambda: books(hub))
    entries = quarantine(hub)
    assert 20 < len(entries) < 200 and b["quarantined"] == 1000
    newest = hub.run("quarantine", "show", max(entry["id"] for entry in entries)).stdout
    assert '"bad": 999' in newest


def test_256_mb_do_not_reach_the_hub(start_hub, broker, tmp_path):
    """The largest that MQTT can say. The broker keeps it from a hub that said max_message_size."""
    large = tmp_path / "large"
    with open(large, "wb") as f:
        f.truncate(268435455 - 16)
    hub = start_hub(config(broker)).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        client.publish("legacy/a", b'{"n": 1}')
        watcher.wait(1)
        before = hub.rss_kb()
        subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", "legacy/a", "-f", large], check=True, timeout=120)
        client.publish("legacy/a", b'{"n": 2}')
        watcher.wait(2)
        assert hub.rss_kb() < before + 32 * 1024
    large.unlink()
    assert len(hub.log_lines("id=INTAKE-UP")) == 1, "the connection held"


def test_a_million_unknown_topics(broker, tmp_path):
    """Nothing is kept of a topic that no rule knows. Release build: a million takes its time."""
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "hub.yaml").write_text(config(broker).replace("{dir}", str(folder)))
    binary = RELEASE / "hub" / "pipit"
    with open(folder / "log", "w", encoding="utf-8") as log:
        hub = subprocess.Popen([binary, "hub", "-c", folder / "hub.yaml"], stderr=log)

    def status():
        done = subprocess.run([binary, "status", "-c", folder / "hub.yaml", "--json", "--interval", "0"], capture_output=True,
                              text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def rss_kb():
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{hub.pid}/status").read_text()).group(1))
    try:
        wait_for(lambda: (status() or {"sources": [{}]})["sources"][0].get("up"), what="the hub is connected")
        load = [RELEASE / "tests" / "bench" / "bench-load", str(broker.port)]
        subprocess.run([*load, "10000", "0", "1000", "10000", "100", "some/where"], check=True, capture_output=True)
        wait_for(lambda: status()["books"]["received"] == 10000, 60)
        before, used = rss_kb(), status()["store"]["used_bytes"]
        subprocess.run([*load, "1000000", "0", "1000", "1000000", "100", "else/where"], check=True, capture_output=True, timeout=300)
        wait_for(lambda: status()["books"]["received"] == 1010000, 120, lambda: status()["books"])
        assert status()["books"]["filtered"] == 1010000
        assert rss_kb() < before + 8 * 1024, "memory grows with topics"
        assert status()["store"]["used_bytes"] < used + 1024 * 1024, "the store grows with topics"
    finally:
        hub.terminate()
        hub.wait(30)


@pytest.mark.parametrize("what", ["newer", "damaged", "foreign"])
def test_a_store_that_is_not_ours_to_touch(start_hub, broker, what):
    hub = start_hub(config(broker)).wait_ready()
    hub.terminate()
    store = hub.dir / "hub.db"
    if what == "newer":
        with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version = {version + 1}")
    elif what == "damaged":
        with open(store, "r+b") as f:
            for page in range(2, store.stat().st_size // 4096):
                f.seek(page * 4096)
                f.write(b"\xa5" * 512)
    else:
        store.unlink()
        with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as db:
            db.execute("CREATE TABLE bills (amount)")
    before = store.read_bytes()
    done = pipit("hub", "-c", hub.config, check=False)
    assert done.returncode == 4, done.stderr
    want = {"newer": r"newer version", "damaged": r"damaged|corrupt|malformed", "foreign": r"not a store|foreign|another program"}
    assert re.search(want[what], done.stderr), done.stderr
    assert str(store) in done.stderr
    assert store.read_bytes() == before, "it was written to"
    assert sorted(file.name for file in hub.dir.glob("hub.db*")) == ["hub.db", "hub.db.lock"], "something was left beside it"
