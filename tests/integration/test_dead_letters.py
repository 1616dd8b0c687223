"""Deliveries that a target refuses become dead letters, are looked at, replayed and dropped by an operator."""

import json
import signal

from harness import Broker, Client, Subscriber, pipit, wait_for

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#"]}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
targets:
  bus: {{mqtt: {{url: "{target}"}}, attempts: 2, backoff_min: 20 ms, backoff_max: 50 ms}}
rules:
  r:
    sql: SELECT device, n, place FROM "a/+"
    key: device
    to: [bus: {{topic: "out/{{place}}/{{device}}"}}]
"""


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def dead(hub, *words):
    return [json.loads(line) for line in hub.run("dead", *words, "--json").stdout.splitlines()]


def test_without_a_store_there_is_nothing_to_look_at(tmp_path):
    config = tmp_path / "hub.yaml"
    config.write_text(CONFIG.format(url="mqtt://127.0.0.1:1", target="mqtt://127.0.0.1:1").replace("{dir}", str(tmp_path)))
    for command in (["status"], ["dead", "list"], ["quarantine", "list"]):
        done = pipit(*command, "-c", config, check=False)
        assert done.returncode == 4 and "there is none yet" in done.stderr or "no store yet" in done.stderr, (command, done)


def test_what_a_target_refuses_is_looked_at_replayed_and_dropped(start_hub, broker, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite out/open/#\n")
    acl.chmod(0o644)
    with Broker(conf_extra=f"acl_file {acl}\n") as target:
        hub = start_hub(CONFIG.format(url=broker.url, target=target.url)).wait_ready()
        with Subscriber(target.port, "out/open/#") as watcher, Client(broker.port) as client:
            for n, place in enumerate(["open", "closed", "open", "closed", "closed", "open"], 1):
                client.publish("a/d1", json.dumps({"n": n, "place": place}).encode())
            wait_for(lambda: books(hub)["dead"] == 3 and books(hub)["waiting"] == 0, what=lambda: f"{books(hub)}\n{hub.tail()}")
            assert [m.json()["n"] for m in watcher.wait(3)] == [1, 3, 6], "a dead letter holds up nobody"
        letters = dead(hub, "list")
        assert [letter["payload"]["n"] if isinstance(letter["payload"], dict) else json.loads(letter["payload"])["n"]
                for letter in letters] == [2, 4, 5]
        first = letters[0]
        assert first["target"] == "bus" and first["rule"] == "r" and first["topic"] == "out/closed/d1"
        assert "not authori" in first["reason"].lower() and first["idempotency_key"] == "a/d1/0/2:r:1"
        assert hub.log_lines("id=DELIVER-DEAD")
        text = hub.run("dead", "list").stdout
        assert "REASON" in text and "out/closed" not in text.splitlines()[0]
        assert "out/closed/d1" in hub.run("dead", "show", first["id"]).stdout
        assert hub.run("dead", "show", "999", check=False).returncode == 1
        assert hub.run("dead", "lst", check=False).returncode == 2

        acl.write_text("topic readwrite out/#\n")
        target.signal(signal.SIGHUP)
        with Subscriber(target.port, "out/#") as watcher:
            assert dead(hub, "replay", f"{first['id']}-{letters[1]['id']}") == [{"replayed": 2}]
            got = watcher.wait(2, "out/closed/d1")
            assert [(m.json()["n"], m.key) for m in got] == [(2, "a/d1/0/2:r:1"), (4, "a/d1/0/4:r:1")]
        wait_for(lambda: books(hub)["delivered"] == 5)
        assert dead(hub, "drop", "all") == [{"dropped": 1}]
        assert hub.run("dead", "list").stdout == "no dead letters\n"
        last = books(hub)
        assert last["dead"] == 0 and last["dead_dropped"] == 1
        assert hub.terminate() == 0
        assert dead(hub, "list") == []
