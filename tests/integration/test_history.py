"""The event history and `pipit replay`: dry it prints, for real each delivery is made once, whatever is killed."""

import json
import socket
import subprocess
import threading

import harness
from harness import Client, Subscriber, wait_for

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
history: {{keep: 1 d, limit: 64 MB, topics: ["a/#"]}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#", "b/#"]}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
targets:
  lines: {{file: {{path: "{{dir}}/out.ndjson"}}}}
rules:
  odd:
    sql: SELECT device, n, prop('color') AS color FROM "a/+" WHERE n % {modulus} = 1
    key: device
    to: [lines: {{}}]
  plain:
    sql: SELECT topic FROM "b/+"
    to: [lines: {{}}]
"""


def config(broker, modulus=2):
    return CONFIG.format(url=broker.url, modulus=modulus)


def send(broker, numbers, device="d1", topic="a"):
    with Client(broker.port) as client:
        for n in numbers:
            last = client.publish(f"{topic}/{device}", json.dumps({"n": n}).encode(), properties={"color": "red"})
        last.wait_for_publish(10)


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["received"] == b["routed"] + b["filtered"] + b["duplicate"] + b["rejected"], b
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def kept(hub):
    return hub.status()["history"]["rows"]


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_key(found):
    return sorted(found, key=lambda row: row["key"])


def lines(hub):
    path = hub.dir / "out.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def replayed_keys(hub):
    return [line["idempotency_key"] for line in lines(hub) if line["idempotency_key"].startswith("replay/")]


def test_a_dry_replay_prints_what_another_rule_would_have_given(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    send(broker, [*range(1, 11), 3])
    send(broker, [1], device="d2")
    send(broker, [1], topic="b")
    wait_for(lambda: books(hub)["received"] == 13)
    before = books(hub)
    assert (kept(hub), before["duplicate"]) == (11, 1), "new events of a/# are kept, and once"
    hub.write_config(config(broker, modulus=5))
    done = hub.run("replay", "odd")
    got = by_key(rows(done))  # Of one key they come in order; devices take turns.
    assert [json.loads(row["payload"]) for row in got] == [
        {"device": device, "n": n, "color": "red"} for device, n in (("d1", 1), ("d1", 6), ("d2", 1))]
    assert [row["idempotency_key"] for row in got] == ["a/d1/0/1:odd:1", "a/d1/0/6:odd:1", "a/d2/0/1:odd:1"]
    assert "11 events read, 3 deliveries" in done.stderr and "nothing was sent" in done.stderr
    assert len(rows(hub.run("replay", "odd", "--device", "d2"))) == 1
    assert len(rows(hub.run("replay", "odd", "--device", "a/d1"))) == 2
    assert len(rows(hub.run("replay", "odd", "--topic", "a/d2"))) == 1
    assert len(rows(hub.run("replay", "odd", "--first", "2", "--last", "6"))) == 1
    assert len(rows(hub.run("replay", "odd", "--from", "1 h ago", "--to", "now"))) == 3
    for start in ("2020-01-01", "2020-01-01 10:00", "2020-01-01T10:00:00.5Z", "2020-01-01T10:00:00+02:00"):
        assert len(rows(hub.run("replay", "odd", "--from", start, "--to", "2090-12-31T23:59:59Z"))) == 3
    assert books(hub) == before, "a dry replay leaves nothing"
    assert hub.terminate() == 0
    assert by_key(rows(hub.run("replay", "odd"))) == got, "it needs no running hub"


def test_what_is_asked_wrongly_is_answered(start_hub, broker, tmp_path):
    hub = start_hub(config(broker)).wait_ready()

    def refused(code, text, *words):
        done = hub.run("replay", *words, check=False)
        assert done.returncode == code and text in done.stderr, (words, done)

    refused(1, "the history is empty", "odd")
    send(broker, [1, 2, 3])
    wait_for(lambda: kept(hub) == 3)
    refused(1, "has no rule 'od'; did you mean 'odd'?", "od")
    refused(2, "which rule?")
    refused(2, "is no time", "odd", "--from", "yesterday")
    refused(2, "--topic", "odd", "--topic", "a/#/b")
    refused(1, "nothing of the history is in this range; it holds 3 events", "odd", "--to", "2 h ago")
    refused(1, "there is no replay 7", "--resume", "7")
    missing = tmp_path / "missing.yaml"
    missing.write_text(config(broker).replace("{dir}", str(tmp_path / "nowhere")))
    assert harness.pipit("replay", "odd", "-c", missing, check=False).returncode == 4
    assert hub.terminate() == 0
    refused(5, "no hub runs on this store", "odd", "--run")


def test_a_real_replay_has_keys_of_its_own(start_hub, broker):
    hub = start_hub(config(broker).replace("stats_every: 0", "stats_every: 500 ms")).wait_ready()
    send(broker, range(1, 11))
    wait_for(lambda: books(hub)["delivered"] == 5)
    for number in (1, 2):
        assert rows(hub.run("replay", "odd", "--run")) == [
            {"replay": number, "events": 10, "deliveries": 5, "rejected": 0}]
    b = wait_for(lambda: (lambda b: b["delivered"] == 15 and b)(books(hub)))
    assert (b["received"], b["enqueued"], b["replayed"]) == (10, 15, 10), "events are not received again"
    assert replayed_keys(hub) == [f"replay/{r}/a/d1/0/{n}:odd:1" for r in (1, 2) for n in (1, 3, 5, 7, 9)]
    assert {(line.get("properties") or {}).get("replay") for line in lines(hub)} == {None, "1", "2"}
    with Subscriber(broker.port, "pipit/v1/$hub/plant/#") as stats:
        for topic, value in (("books/replayed", "10"), ("history/rows", "10"), ("books/late", "0")):
            wait_for(lambda t=topic, v=value: v in [m.text() for m in stats.on(f"pipit/v1/$hub/plant/{t}")], what=topic)
    text = hub.run("status").stdout
    assert "replayed 10" in text and "10 events" in text
    done = hub.run("replay", "--resume", "1", check=False)
    assert done.returncode == 1 and "replay 1 is complete: 5 deliveries" in done.stderr
    hub.write_config(config(broker).replace("  odd:", "  strange:"))
    done = hub.run("replay", "strange", "--run", check=False)
    assert done.returncode == 1 and "the running configuration has no route 1 of rule strange" in done.stderr
    assert books(hub)["enqueued"] == 15


def test_a_replay_survives_kills_of_the_hub_and_of_itself(start_hub, broker):
    """The hub is killed 20 times while replays are made; the last of them is killed itself and gone on with."""
    padded = config(broker).replace("prop('color') AS color", "printf('%03000d', n) AS padding")  # For many chunks.
    hub = start_hub(padded).wait_ready()
    count, kills, replays = 2000, 0, 0
    send(broker, range(1, count + 1))
    wait_for(lambda: books(hub)["waiting"] == 0 and books(hub)["received"] == count)

    def replay():
        hub.wait_ready()
        return subprocess.Popen([str(harness.PIPIT), "replay", "odd", "--run", "-c", str(hub.config)], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    pause = threading.Event()
    while kills < 20:
        command = replay()
        replays += 1
        while command.poll() is None and kills < 20:
            pause.wait(0.02 + 0.03 * (kills % 5))
            hub.kill()
            hub.start()
            kills += 1
        out, err = command.communicate(timeout=60)
        if command.returncode == 5 and "no hub runs on this store" in err:
            replays -= 1  # Killed before it had begun.
            continue
        assert command.returncode == 0, err
        assert json.loads(out)["deliveries"] == count // 2
    while True:
        before = books(hub)["replayed"]
        command = replay()
        replays += 1
        wait_for(lambda: books(hub)["replayed"] > before, step=0)
        hub.kill()  # Now it waits for the hub, unless it was through.
        is_through = command.poll() is not None
        command.kill()
        command.communicate()
        hub.start().wait_ready()
        if not is_through and books(hub)["replayed"] < before + count // 2:
            break
        hub.run("replay", "--resume", str(replays), check=False)
        assert replays < 20, "a replay was never caught in the middle"
    done = rows(hub.run("replay", "--resume", str(replays)))
    assert done == [{"replay": replays, "events": count, "deliveries": count // 2, "rejected": 0}]
    b = wait_for(lambda: (lambda b: b["waiting"] == 0 and b)(books(hub)), deadline=60)
    assert b["replayed"] == replays * count // 2
    want = {f"replay/{r}/a/d1/0/{n}:odd:1" for r in range(1, replays + 1) for n in range(1, count + 1, 2)}
    assert set(replayed_keys(hub)) == want, "none is lost, none is new"
    assert b["enqueued"] == b["delivered"] == count // 2 * (replays + 1), "none was made twice"


def ask(hub, request):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(hub.dir / "hub.db.sock"))
        client.sendall(json.dumps(request).encode() + b"\n")
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    return json.loads(answer)


def test_a_chunk_whose_answer_was_lost_is_not_made_twice(start_hub, broker):
    """Kills hit the moment between commit and answer too rarely: here it is made."""
    hub = start_hub(config(broker)).wait_ready()
    begin = {"op": "replay_begin", "rule": "odd", "what": "{}", "token": "t"}
    delivery = {"target": "lines", "rule": "odd", "route": 1, "idempotency_key": "replay/1/a/d1/0/1:odd:1", "key": "d1",
                "topic": "", "payload": "{}", "content_type": "application/json"}
    chunk = {"op": "replay_chunk", "replay": 1, "number": 1, "is_last": True, "deliveries": [delivery]}
    for _ in range(3):
        assert ask(hub, begin)["replay"] == 1
        assert ask(hub, chunk) == {"replay": 1, "chunks": 1}
        hub.kill()
        hub.start().wait_ready()
    assert ask(hub, {**chunk, "number": 2})["error"] == "replay 1 is complete"
    assert (books(hub)["enqueued"], books(hub)["replayed"]) == (1, 1)


WINDOWS = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
history: {{keep: 1 d}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["w/#"]}}
devices:
  w: {{from: "w/+", device: topic_part(2), sequence: n, time: at}}
targets:
  lines: {{file: {{path: "{{dir}}/out.ndjson"}}}}
rules:
  mean:
    sql: SELECT device, avg(v) AS mean, count(*) AS n FROM "w/+"
    window: {{tumbling: {size}, by: time, idle: 1 h}}
    to: [lines: {{}}]
  count:
    sql: SELECT device, count(*) AS n FROM "w/+"
    window: {{tumbling: 1 min, by: time, idle: 1 h}}
    to: [lines: {{}}]
"""


def windows(broker, size="1 min"):
    return WINDOWS.format(url=broker.url, size=size)


def send_readings(broker, count, first=1):
    with Client(broker.port) as client:
        for n in range(first, first + count):
            payload = {"n": n, "at": 1700000000000 // 60000 * 60000 + n * 10000, "v": n}
            last = client.publish("w/d1", json.dumps(payload).encode())
        last.wait_for_publish(10)


def test_a_replayed_window_gives_what_the_hub_gave(start_hub, broker):
    hub = start_hub(windows(broker)).wait_ready()
    send_readings(broker, 33)
    wait_for(lambda: books(hub)["received"] == 33 and books(hub)["delivered"] == 10)
    gave = [line["payload"] for line in lines(hub) if "mean" in line["payload"]]
    assert len(gave) == 5 and gave[0] == {"device": "d1", "mean": 3.0, "n": 5}
    dry = [json.loads(row["payload"]) for row in rows(hub.run("replay", "mean"))]
    hub.run("replay", "mean", "--run")
    wait_for(lambda: books(hub)["waiting"] == 0)
    assert [line["payload"] for line in lines(hub) if line["idempotency_key"].startswith("replay/1/window/")] == dry
    assert dry[:5] == gave and dry[5] == {"device": "d1", "mean": 31.5, "n": 4}, "what is open at the end is closed"


def test_windows_outlive_a_reload_of_other_rules_and_it_is_said_which_do_not(start_hub, broker):
    hub = start_hub(windows(broker)).wait_ready()
    send_readings(broker, 8)
    wait_for(lambda: books(hub)["delivered"] == 2)
    hub.write_config(windows(broker, size="2 min"))
    said = json.loads(hub.run("apply", "--dry-run", "--json").stdout)
    assert [(c["section"], c["name"], c["change"]) for c in said["changes"]] == [("rules", "mean", "changed")]
    assert len(said["notes"]) == 1 and "mean" in said["notes"][0] and "window" in said["notes"][0], said
    assert not hub.log_lines("id=RELOAD-NOTE")
    assert json.loads(hub.run("apply", "--json").stdout)["notes"] == said["notes"], "as the dry run had it"
    assert said["notes"][0] in hub.wait_log("id=RELOAD-NOTE")[0]
    send_readings(broker, 10, first=9)
    wait_for(lambda: books(hub)["delivered"] >= 5)
    counts = [line["payload"]["n"] for line in lines(hub) if "mean" not in line["payload"]]
    assert counts[:3] == [5, 6, 6], "the rule that stayed as it was counts on"
