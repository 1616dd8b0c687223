"""The hub as a process: signals, reload, control socket, statistics, kills, supervision."""

import json
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

from harness import Broker, Client, Collector, Hub, Subscriber, pipit, stays, wait_for

CONFIG = """
hub: {{id: {id}, store: "{{dir}}/hub.db", stats_every: {stats}, check_broker: false, drain: {drain}}}
sources:
  main:
    mqtt: {{url: "{url}"}}
    topics: ["a/#"]
devices:
  plain: {{from: "a/+", device: "topic_part(2)", sequence: n}}
targets:
  bus: {{mqtt: {{url: "{target}"}}, attempts: {attempts}, backoff_min: 50 ms, backoff_max: 200 ms}}
rules:
  all:
    sql: SELECT device, n FROM "a/+" WHERE n % 2 = {parity}
    key: device
    to:
      - bus: {{topic: "{topic}"}}
"""


def config(broker, target=None, id="plant", stats=0, drain="10 s", parity=1, topic="out/{{device}}", attempts=10):
    return CONFIG.format(url=broker.url, target=target or broker.url, id=id, stats=stats, drain=drain, parity=parity,
                         topic=topic, attempts=attempts).replace("{{", "{").replace("}}", "}")


def send(broker, numbers, device="d1"):
    with Client(broker.port) as client:
        for n in numbers:
            last = client.publish(f"a/{device}", json.dumps({"n": n}).encode())
        last.wait_for_publish(10)


def books(hub):
    status = json.loads(hub.run("status", "--json", "--interval", "0").stdout)
    b = status["books"]
    assert b["received"] == b["routed"] + b["filtered"] + b["duplicate"] + b["rejected"], b
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def ask(hub, request, raw=None):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(hub.dir / "hub.db.sock"))
        client.sendall(raw if raw is not None else json.dumps(request).encode() + b"\n")
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    return json.loads(answer)


def test_events_are_routed_once_and_the_books_balance(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    with Subscriber(broker.port, "out/#") as subscriber:
        send(broker, [1, 2, 3, 3, 4, 5])
        got = subscriber.wait(3, "out/d1")
        assert [m.json()["n"] for m in got] == [1, 3, 5]
        assert [m.key for m in got] == [f"plain/d1/0/{n}:all:1" for n in (1, 3, 5)]
        b = wait_for(lambda: (lambda b: b["delivered"] == 3 and b)(books(hub)))
        assert (b["received"], b["routed"], b["filtered"], b["duplicate"]) == (6, 3, 2, 1)
    assert hub.terminate() == 0


@pytest.fixture
def target():
    """A broker that keeps over an orderly restart what it owes a Collector."""
    with Broker(persistence=True) as running:
        yield running


def test_a_hub_killed_while_its_target_is_down_loses_nothing(start_hub, broker, target):
    collector = Collector(target.port, "out/#")
    target.stop()
    hub = start_hub(config(broker, target.url)).wait_ready()
    for first in range(1, 301, 100):
        send(broker, range(first, first + 100))
        wait_for(lambda first=first: books(hub)["received"] >= first + 99, what="stored")
        hub.kill()
        hub.start().wait_ready()
    assert books(hub)["waiting"] == 150
    target.start()
    with collector:
        got = collector.wait(150)
        wait_for(lambda: books(hub)["waiting"] == 0)
        assert [m.json()["n"] for m in got] == list(range(1, 301, 2))
        assert len({m.key for m in got}) == len(collector.messages) == 150


def test_stopping_drains_what_waits(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    with Subscriber(broker.port, "out/#") as subscriber:
        send(broker, range(1, 2001))
        assert hub.terminate() == 0
        b = books(hub)  # From the store alone.
        assert b["waiting"] == 0 and b["delivered"] == b["enqueued"] > 0
        subscriber.wait(b["delivered"])
    assert not (hub.dir / "hub.db.sock").exists()


def test_stopping_does_not_wait_for_a_target_that_is_down(start_hub, broker):
    hub = start_hub(config(broker, "mqtt://127.0.0.1:1", drain="60 s")).wait_ready()
    send(broker, range(1, 11))
    wait_for(lambda: books(hub)["waiting"] == 5)
    assert hub.terminate(deadline=10) == 0
    assert books(hub)["waiting"] == 5


def test_reload_swaps_rules_and_refuses_faults(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    with Subscriber(broker.port, "out/#", "other/#") as subscriber:
        send(broker, [1, 2])
        subscriber.wait(1, "out/d1")
        hub.write_config(config(broker).replace("n % 2", "n %% 2 frm"))
        hub.signal(signal.SIGHUP)
        line = hub.wait_log("id=RELOAD-REFUSED")[0]
        assert "hub.yaml:1" in line and "syntax error" in line
        send(broker, [3])
        subscriber.wait(2, "out/d1")
        hub.write_config(config(broker, parity=0, topic="other/{device}"))
        hub.signal(signal.SIGHUP)
        done = hub.wait_log("id=RELOAD-DONE")[0]
        assert "sources_kept=1" in done and "targets_kept=1" in done
        send(broker, [4, 5])
        assert [m.json()["n"] for m in subscriber.wait(1, "other/d1")] == [4]
        assert len(hub.log_lines("id=INTAKE-UP")) == 1, "the source was kept"


def test_reload_moves_a_target_and_what_waits_follows(start_hub, broker):
    hub = start_hub(config(broker, "mqtt://127.0.0.1:1")).wait_ready()
    send(broker, range(1, 11))
    wait_for(lambda: books(hub)["waiting"] == 5)
    with Subscriber(broker.port, "out/#") as subscriber:
        hub.write_config(config(broker))
        answer = ask(hub, {"op": "reload"})
        assert "targets_changed=1" in answer["reloaded"]
        assert [m.json()["n"] for m in subscriber.wait(5)] == [1, 3, 5, 7, 9]
    wait_for(lambda: books(hub)["waiting"] == 0)


@pytest.mark.parametrize("old, new", [("id: plant", "id: other"), ("hub.db", "else.db")])
def test_what_cannot_change_while_running_is_refused(start_hub, broker, old, new):
    hub = start_hub(config(broker)).wait_ready()
    hub.write_config(config(broker).replace(old, new, 1))
    hub.signal(signal.SIGHUP)
    line = hub.wait_log("id=RELOAD-REFUSED")[0]
    assert "restart it" in line
    hub.write_config(config(broker))


def test_wrong_requests_are_answered_and_harm_nothing(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    mode = os.stat(hub.dir / "hub.db.sock").st_mode
    assert stat.S_IMODE(mode) == 0o600
    for raw in (b"hello\n", b"[1]\n", b'{"op": "fly"}\n', b'{"op": "dead_drop", "first": -1}\n',
                b'{"op": "dead_drop", "first": "x"}\n', b"x" * ((4 << 20) + 1), b"\n"):
        assert "error" in ask(hub, None, raw)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for client in silent:
        client.connect(str(hub.dir / "hub.db.sock"))
    send(broker, [1])
    wait_for(lambda: hub.is_running() and books(hub)["delivered"] == 1)
    for client in silent:
        client.close()
    assert wait_for(lambda: ask(hub, {"op": "status"}))["hub"] == "plant"


def test_a_second_hub_on_the_store_is_refused(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    done = pipit("hub", "-c", hub.config, check=False)
    assert done.returncode == 4 and "in use by another hub" in done.stderr
    assert ask(hub, {"op": "status"})["state"] == "ok"


def test_faults_of_the_configuration_are_all_told(tmp_path):
    path = tmp_path / "hub.yaml"
    path.write_text("hub: {id: x, stoer: y}\nsources: {}\n")
    done = pipit("hub", "-c", path, check=False)
    assert done.returncode == 3
    assert "hub.yaml:1:14:" in done.stderr and "store" in done.stderr


def test_a_corrupt_store_is_reported_and_left_alone(start_hub, broker):
    hub = start_hub(config(broker)).wait_ready()
    hub.terminate()
    store = hub.dir / "hub.db"
    data = b"not a database, but somebody's precious file" * 200
    store.write_bytes(data)
    hub.start()
    assert hub.wait() == 4
    assert store.read_bytes() == data


def test_statistics_are_retained_and_say_goodbye(start_hub, broker):
    hub = start_hub(config(broker, stats="200 ms")).wait_ready()
    send(broker, [1, 2])
    with Subscriber(broker.port, "pipit/v1/$hub/plant/#") as subscriber:
        def value(topic):
            found = subscriber.on(f"pipit/v1/$hub/plant/{topic}")
            return found[-1].text() if found else None
        wait_for(lambda: value("books/delivered") == "1")
        for topic, text in (("status", "online"), ("state", "ok"), ("sources/main/up", "1"), ("targets/bus/up", "1"),
                            ("rules/all/matched", "2"), ("targets/bus/waiting", "0")):
            wait_for(lambda: value(topic) == text, what=f"{topic} is {text}")
        count = len(subscriber.on("pipit/v1/$hub/plant/version"))
        stays(lambda: len(subscriber.on("pipit/v1/$hub/plant/version")) == count, 0.7, "only what changed is published")
        hub.terminate()
        wait_for(lambda: value("status") == "offline")


def test_statistics_come_back_to_a_broker_that_forgot_them(start_hub, broker):
    hub = start_hub(config(broker, stats="200 ms")).wait_ready()
    broker.kill()
    broker.start()
    hub.wait_log("id=INTAKE-UP", count=2)
    with Subscriber(broker.port, "pipit/v1/$hub/plant/#") as subscriber:
        subscriber.wait(1, "pipit/v1/$hub/plant/version")


def test_the_supervisor_starts_a_dead_hub_again(start_hub, broker):
    hub = start_hub(config(broker), arguments=["--supervise"]).wait_ready()

    def child():
        found = subprocess.run(["pgrep", "-P", str(hub.pid)], capture_output=True, text=True, check=False).stdout.split()
        return int(found[0]) if found else None
    first = wait_for(child)
    send(broker, range(1, 11))
    os.kill(first, signal.SIGABRT)
    hub.wait_log("id=SUPERVISE-RESTART")
    hub.wait_log("id=INTAKE-UP", count=2)
    assert child() != first
    with Subscriber(broker.port, "out/#") as subscriber:
        send(broker, range(11, 21))
        subscriber.wait(5, "out/d1")
        wait_for(lambda: books(hub)["received"] >= 20)
    assert hub.terminate() == 0


def test_a_broker_absent_at_start_is_waited_for(start_hub, broker):
    late = Broker()
    hub = start_hub(config(late, broker.url))
    hub.wait_log("id=HUB-READY")
    hub.wait_log("id=INTAKE-DOWN")
    with late, Subscriber(broker.port, "out/#") as subscriber:
        hub.wait_ready()
        send(late, [1])
        subscriber.wait(1)
        hub.terminate()


def test_a_full_disk_stops_acknowledgement_until_there_is_room(broker, target, small_disk):
    text = config(broker, target.url).replace("check_broker", "disk_reserve: 200 KB, check_broker")
    text = text.replace("SELECT device, n", "SELECT device, n, pad").replace("n % 2 = 1", "n > 0")
    with Hub(text, small_disk) as hub, Collector(target.port, "out/#") as collector:
        target.stop()
        hub.wait_ready()
        with Client(broker.port) as client:
            for n in range(1, 3001):
                client.publish("a/d1", json.dumps({"n": n, "pad": "x" * 1000}).encode())
            full = str(hub.wait_log("id=STORE-FULL")[0])
            reason = re.search(r"has (\d+) bytes to spare, (\d+) are needed and disk_reserve keeps (\d+)", full)
            spare, needed, kept = map(int, reason.groups())
            assert spare < needed + kept, "the reason adds up"
            hub.wait_log("id=INTAKE-LEAVE")
            assert 0 < books(hub)["received"] < 3000
            target.start()
            hub.wait_log("id=STORE-ROOM", deadline=60)
            wait_for(lambda: books(hub)["delivered"] >= 3000, deadline=60,
                     what=lambda: f"{books(hub)}\n{hub.tail()}")
        assert books(hub)["waiting"] == 0
        got = collector.wait(3000)
        assert len({m.key for m in got}) == 3000
        assert list(dict.fromkeys(m.json()["n"] for m in got)) == list(range(1, 3001)), "in order, all of them"
        assert hub.terminate() == 0


def test_a_store_that_is_full_again_at_once_is_left_alone_for_longer(broker, small_disk):
    text = config(broker).replace("check_broker", "disk_reserve: 2 MB, check_broker")
    text = text.replace("SELECT device, n", "SELECT device, n, pad")

    def at_s(line):
        return float(re.search(r"time=([\d.]+)", str(line)).group(1))
    with Hub(text, small_disk) as hub, Client(broker.port) as client:
        hub.wait_ready()
        client.publish("a/d1", json.dumps({"n": 1, "pad": "x" * 900_000}).encode())
        full = hub.wait_log("id=STORE-FULL", "disk_reserve keeps")
        assert "not given back to the disk" in str(full[0])

        def rests():
            ends = hub.log_lines("id=STORE-ROOM")
            return [at_s(end) - at_s(begin) for begin, end in zip(hub.log_lines("id=STORE-FULL"), ends)]
        wait_for(lambda: max(rests(), default=0) > 6, 90, lambda: f"rests of {rests()} s do not grow\n{hub.tail()}")
        assert hub.terminate() == 0


def test_a_failing_sync_seals_the_store_and_it_is_opened_again(start_hub, broker):
    hub = start_hub(config(broker), env={"ASAN_OPTIONS": "detect_leaks=0"}, wrap=[
        "strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
        "inject=fdatasync:error=EIO:when=20"])
    hub.wait_ready()
    with Subscriber(broker.port, "out/#") as subscriber:
        for n in range(1, 41):
            send(broker, [n])
            if not hub.log_lines("id=STORE-SEALED"):
                wait_for(lambda n=n: hub.log_lines("id=STORE-SEALED") or books(hub)["received"] >= n)
        sealed = hub.wait_log("id=STORE-SEALED")[0]
        assert "level=error" in sealed and "look at the disk" in sealed
        hub.wait_log("id=STORE-REOPENED")
        subscriber.wait(20)
        wait_for(lambda: books(hub)["waiting"] == 0 and books(hub)["received"] >= 40)
        assert [n for n in dict.fromkeys(m.json()["n"] for m in subscriber.messages)] == list(range(1, 41, 2))
    hub.terminate()


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_topics_that_are_taken_out_are_unsubscribed(start_hub, broker, how):
    """The session at the broker outlives the configuration."""
    both = config(broker).replace('topics: ["a/#"]', 'topics: ["a/#", "b/#"]')
    hub = start_hub(both).wait_ready()
    with Client(broker.port) as client:
        client.publish("b/d1", b'{"n": 1}').wait_for_publish(10)
        wait_for(lambda: books(hub)["received"] == 1)
        hub.write_config(config(broker))
        if how == "reload":
            hub.signal(signal.SIGHUP)
            hub.wait_log("id=RELOAD-DONE")
            hub.wait_log("id=INTAKE-UP", count=2)
        else:
            hub.terminate()
            hub.start().wait_ready()
        assert "session=resumed" in hub.log_lines("id=INTAKE-UP")[-1]
        client.publish("b/d1", b'{"n": 2}').wait_for_publish(10)
        client.publish("a/d1", b'{"n": 3}').wait_for_publish(10)
        wait_for(lambda: books(hub)["received"] >= 2)
        assert books(hub)["received"] == 2, "b/# is still subscribed"
        hub.write_config(both)  # And back again.
        hub.terminate()
        hub.start().wait_ready()
        client.publish("b/d1", b'{"n": 4}').wait_for_publish(10)
        wait_for(lambda: books(hub)["received"] == 3)
