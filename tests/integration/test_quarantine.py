"""Rejected input and dead letters: looked at, edited, tried, let in again; a new configuration applied to a running hub."""

import json
import signal

from harness import Broker, Client, Subscriber, wait_for

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0, payload_max: 100 KB}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#", "pipit/v1/+/+/event/#"]}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
targets:
  lines: {{file: {{path: "{{dir}}/out.ndjson"}}}}
  other: {{file: {{path: "{{dir}}/other.ndjson"}}}}
rules:
  picky:
    sql: SELECT device, n, json_extract(doc, '$.x') AS x, '{tag}' AS tag FROM "a/+" WHERE n > 0
    key: device
    to: [lines: {{}}]
  all:
    sql: SELECT device, n FROM "a/+"
    to: [other: {{}}]
"""


def config(broker, tag="v1"):
    return CONFIG.format(url=broker.url, tag=tag)


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["received"] == b["routed"] + b["filtered"] + b["duplicate"] + b["rejected"], b
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def rows(hub, *words, check=True):
    return [json.loads(line) for line in hub.run(*words, "--json", check=check).stdout.splitlines()]


def lines(hub, name="out.ndjson"):
    path = hub.dir / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def send(broker, payload, topic="a/d1", **more):
    with Client(broker.port) as client:
        client.publish(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
                       **more).wait_for_publish(10)


def test_what_a_rule_failed_on_is_mended_and_goes_through_that_rule_only(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    filler = "y" * 20000
    send(broker, {"n": 1, "doc": "{broken", "filler": filler}, properties={"color": "red"})
    send(broker, {"n": 2, "doc": '{"x": 5}'})
    wait_for(lambda: books(hub)["delivered"] == 3)
    entry, = rows(hub, "quarantine", "list")
    assert (entry["rule"], entry["topic"], entry["event"]) == ("picky", "a/d1", "a/d1/0/1")
    assert entry["properties"] == {"color": "red"} and "malformed JSON" in entry["reason"]
    assert json.loads(entry["payload"])["filler"] == filler, "it is kept whole"
    shown = hub.run("quarantine", "show", "1").stdout
    assert "picky" in shown and "color: red" in shown and "malformed JSON" in shown
    tried = rows(hub, "quarantine", "test", "1", check=False)
    assert tried[0]["deliveries"] == [] and "malformed JSON" in tried[0]["rejections"][0]
    # As it is it fails again: a new entry, counted as received once more.
    assert rows(hub, "quarantine", "replay", "1") == [{"replayed": 1, "skipped": 0}]
    b = books(hub)
    assert (b["received"], b["rejected"], b["routed"], b["quarantined"]) == (3, 1, 2, 2)
    assert [e["id"] for e in rows(hub, "quarantine", "list")] == [2]
    # Mended it goes through the rule that failed, and through no other.
    assert rows(hub, "quarantine", "edit", "2", "--payload", '{"n": 1, "doc": "{\\"x\\": 7}"}') == [{"edited": 1}]
    assert rows(hub, "quarantine", "list")[0]["edited"] > 0
    tried, = rows(hub, "quarantine", "test", "2")
    assert [json.loads(d["payload"])["x"] for d in tried["deliveries"]] == [7] and tried["rejections"] == []
    assert books(hub) == b, "a test changes nothing"
    assert rows(hub, "quarantine", "replay", "all") == [{"replayed": 1, "skipped": 0}]
    wait_for(lambda: books(hub)["delivered"] == 4)
    got = lines(hub)[-1]
    assert got["payload"]["x"] == 7 and got["idempotency_key"] == "a/d1/0/1:picky:1"
    assert [line["payload"]["n"] for line in lines(hub, "other.ndjson")] == [1, 2], "the other rule had it already"
    send(broker, {"n": 1, "doc": '{"x": 9}'})
    assert wait_for(lambda: (lambda b: b["received"] == 5 and b)(books(hub)))["duplicate"] == 1
    assert hub.run("quarantine", "list").stdout == "the quarantine is empty\n"


def test_what_could_not_be_read_goes_through_all_rules(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    for count, payload in enumerate((b"{not json", b"z" * 150000, {"n": 8, "doc": "nope"}), 1):
        send(broker, payload)
        wait_for(lambda n=count: books(hub)["quarantined"] == n, what=lambda: books(hub))
    unread, large, failed = rows(hub, "quarantine", "list")
    assert unread["rule"] is None and failed["rule"] == "picky"
    assert large["payload_bytes"] == 150000 and len(large["payload"]) == 4096
    done = hub.run("quarantine", "replay", "2", check=False)
    assert done.returncode == 1 and "entry 2 was too large and is cut short (4096 of 150000 bytes" in done.stderr
    assert hub.terminate() == 0
    # Without a hub, the store is changed directly.
    hub.run("quarantine", "edit", "1", "--topic", "a/d7", "--payload", '{"n": 1, "doc": "{\\"x\\": 1}"}')
    assert rows(hub, "quarantine", "replay", "1") == [{"replayed": 1, "skipped": 0}]
    assert rows(hub, "quarantine", "replay", "all", "--rule", "picky") == [{"replayed": 1, "skipped": 0}]
    b = books(hub)
    assert (b["received"], b["waiting"], b["rejected"], b["routed"]) == (5, 2, 3, 2), b
    hub.start().wait_ready()
    wait_for(lambda: books(hub)["waiting"] == 0)
    assert [line["payload"]["device"] for line in lines(hub)] == ["d7"]
    assert [line["payload"]["device"] for line in lines(hub, "other.ndjson")] == ["d1", "d7"]


def test_wrong_wishes_are_answered(start_hub, broker, tmp_path):
    hub = start_hub(config(broker)).wait_ready()
    send(broker, b"{not json")
    wait_for(lambda: books(hub)["quarantined"] == 1)

    def refused(code, text, *words):
        done = hub.run(*words, check=False)
        assert done.returncode == code and text in done.stderr, (words, done)

    refused(1, "no such entry", "quarantine", "test", "7")
    refused(1, "no such entry", "quarantine", "replay", "7-9")
    refused(1, "has no entry 7", "quarantine", "edit", "7", "--topic", "x")
    refused(2, "what is to change?", "quarantine", "edit", "1")
    refused(2, "edit changes one entry", "quarantine", "edit", "all", "--topic", "x")
    refused(2, "not both", "quarantine", "edit", "1", "--payload", "x", "--payload-file", "y")
    refused(1, "the new topic holds the wildcard", "quarantine", "edit", "1", "--topic", "a/+")
    refused(1, "there is no dead letter 7", "dead", "edit", "7", "--topic", "x")
    large = tmp_path / "large"
    large.write_bytes(b"x" * 120000)
    refused(1, "payload_max is 102400", "quarantine", "edit", "1", "--payload-file", large)
    data = tmp_path / "data"
    data.write_bytes(bytes(range(256)))
    hub.run("quarantine", "edit", "1", "--payload-file", data)
    assert "payload_base64" in rows(hub, "quarantine", "list")[0], "bytes stay bytes"


def test_a_dead_letter_is_edited_and_sent(start_hub, broker, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite open/#\n")
    acl.chmod(0o644)
    with Broker(conf_extra=f"acl_file {acl}\n") as target:
        text = config(broker).replace("lines: {file: {path: \"{dir}/out.ndjson\"}}",
                                      f"bus: {{mqtt: {{url: \"{target.url}\"}}, attempts: 1}}")
        text = text.replace("[lines: {}]", "[bus: {topic: 'closed/{device}'}]")
        hub = start_hub(text).wait_ready()
        send(broker, {"n": 1, "doc": "{}"})
        wait_for(lambda: books(hub)["dead"] == 1)
        assert rows(hub, "dead", "edit", "1", "--topic", "open/d1", "--payload", "mended") == [{"edited": 1}]
        assert rows(hub, "dead", "list")[0]["edited"] > 0
        tried, = rows(hub, "dead", "test", "all")
        assert (tried["target"], tried["topic"], tried["payload"]) == ("bus", "open/d1", "mended")
        assert tried["idempotency_key"] == "a/d1/0/1:picky:1" and books(hub)["dead"] == 1
        with Subscriber(target.port, "open/#") as watcher:
            hub.run("dead", "replay", "1")
            message, = watcher.wait(1)
            assert message.payload == b"mended" and message.key == "a/d1/0/1:picky:1"
        wait_for(lambda: books(hub)["dead"] == 0)


def test_apply_says_what_changes_and_changes_all_or_nothing(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    first = hub.config.read_text()
    assert hub.run("apply").stdout == "nothing in the file has changed\napplied\n"
    changed = first.replace("'v1'", "'v2'").replace("  all:\n", "  every:\n").replace("payload_max: 100 KB", "payload_max: 90 KB")
    hub.write_config(changed)
    said = hub.run("apply", "--dry-run").stdout.splitlines()
    assert said == ["changed  hub: payload_max", "changed  rules: picky", "added    rules: every", "removed  rules: all",
                    "this is what would change; nothing has"]
    send(broker, {"n": 1, "doc": "{}"})
    wait_for(lambda: books(hub)["delivered"] == 2)
    assert hub.run("apply").stdout.splitlines()[-1] == "applied"
    send(broker, {"n": 2, "doc": "{}"})
    wait_for(lambda: books(hub)["delivered"] == 4)
    assert [line["payload"]["tag"] for line in lines(hub)] == ["v1", "v2"]
    # Each of these fails at another stage; the rules of before stay.
    faults = {
        "syntax": changed + "\n  - x: [",
        "unknown column type": changed.replace("n > 0", "n >"),
        "no such target": changed.replace("to: [lines", "to: [lnes"),
        "no folder of a file": changed.replace("/out.ndjson", "/nowhere/out.ndjson"),
        "a table's file is missing": changed + 'tables:\n  places: {csv: "{dir}/places.csv"}\n',
        "another store": changed.replace("hub.db", "new.db"),
    }
    for n, (why, text) in enumerate(faults.items(), 3):
        hub.write_config(text.replace("'v2'", "'v3'"))
        done = hub.run("apply", check=False)
        assert done.returncode == (5 if why == "another store" else 3), (why, done)
        hub.signal(signal.SIGHUP)
        hub.wait_log("id=RELOAD-REFUSED", count=n - 2)
        hub.write_config(changed)  # What the commands of this test read; the hub has not seen it.
        send(broker, {"n": n, "doc": "{}"})
        wait_for(lambda n=n: books(hub)["delivered"] == 2 * n)
        assert lines(hub)[-1]["payload"]["tag"] == "v2", why
    assert hub.terminate() == 0
    hub.write_config(changed)
    done = hub.run("apply", check=False)
    assert done.returncode == 5 and "no hub runs on this store" in done.stderr


def test_fifty_reloads_under_load_lose_and_mix_nothing(start_hub, broker):
    """Two rules tag with the same version; an event that one of them saw old and the other new would show."""
    text = config(broker).replace("SELECT device, n FROM", "SELECT device, n, '{tag}' AS tag FROM").replace("{{dir}}", "{dir}")
    old, new = text.replace("{tag}", "v1"), text.replace("'v1'", "'v2'").replace("{tag}", "v2")
    hub = start_hub(old).wait_ready()
    sent = 0
    with Client(broker.port) as client:
        for reload in range(1, 51):
            for _ in range(60):
                sent += 1
                last = client.publish("a/d1", json.dumps({"n": sent, "doc": "{}"}).encode())
            hub.write_config(new if reload % 2 else old)
            hub.signal(signal.SIGHUP)
            for _ in range(20):
                sent += 1
                last = client.publish("a/d1", json.dumps({"n": sent, "doc": "{}"}).encode())
            hub.wait_log("id=RELOAD-DONE", count=reload)
        last.wait_for_publish(10)
    b = wait_for(lambda: (lambda b: b["received"] == sent and b["waiting"] == 0 and b)(books(hub)))
    assert b["routed"] == sent and b["delivered"] == 2 * sent
    picky = {line["payload"]["n"]: line["payload"]["tag"] for line in lines(hub)}
    every = {line["payload"]["n"]: line["payload"]["tag"] for line in lines(hub, "other.ndjson")}
    assert len(lines(hub)) == len(lines(hub, "other.ndjson")) == len(picky) == sent
    assert picky == every, "an event is handled wholly by the old or wholly by the new rules"
    changes = sum(picky[n] != picky[n + 1] for n in range(1, sent))
    assert 25 <= changes <= 50, f"{changes} changes: versions do not alternate within a batch"


WORKFLOW = """
hub: {id: h, store: "{dir}/hub.db", check_broker: false}
sources: {s: {mqtt: {url: "URL", probe: false}, topics: ["t/#"]}}
targets: {bus: {mqtt: {url: "URL"}}}
workflows:
  w:
    start: {from: t/a, key: KEY}
    variables: {n: n}
    steps: [{say: {emit: {to: bus, topic: "said", fields: {n: n}}}}]
"""


def test_what_a_workflow_failed_on_is_tried_and_replayed(broker, start_hub):
    """An event without a key: `test` says why it would be rejected again, and after a change that it would not."""
    text = WORKFLOW.replace("URL", broker.url)
    hub = start_hub(text.replace("KEY", "missing")).wait_ready()
    with Subscriber(broker.port, "said") as watch:
        with Client(broker.port) as client:
            client.publish("t/a", b'{"n": 5}').wait_for_publish(10)
        wait_for(lambda: hub.status()["books"]["quarantined"] == 1, what="it is in the quarantine")
        tried = hub.run("quarantine", "test", "1", check=False)
        assert tried.returncode == 1 and json.loads(tried.stdout)["rejections"] == [
            'workflow "w": the key is NULL (key: missing); the event has no field "missing", or it is null']
        hub.write_config(text.replace("KEY", "n"))
        hub.run("apply")
        tried = json.loads(hub.run("quarantine", "test", "1").stdout)
        assert tried["rejections"] == [] and [one["topic"] for one in tried["deliveries"]] == ["said"]
        hub.run("quarantine", "replay", "1")
        assert watch.wait(1)[0].json() == {"n": 5}
