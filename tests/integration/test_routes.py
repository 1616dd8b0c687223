"""What routes, sources and hubs can be told: payload formats, shedding, priorities, shared
subscriptions, MQTT 3.1.1, the mirror, presence of the broker."""

import json
import signal
import subprocess
import threading

import pytest

from harness import PIPIT, ROOT, Broker, Client, Collector, Subscriber, pipit, stays, wait_for

HEAD = """
hub: {{id: {id}, store: "{{dir}}/hub.db", check_broker: false, stats_every: {stats}, mirror: {mirror}}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false{source}}}, topics: ["a/#"]}}
targets:
  bus: {{mqtt: {{url: "{target}"}}, backoff_min: 50 ms, backoff_max: 200 ms}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
rules:
"""


def head(broker, target=None, id="plant", stats="0", mirror="false", source=""):
    return HEAD.format(id=id, stats=stats, mirror=mirror, url=broker.url, target=(target or broker).url, source=source)


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["received"] == b["routed"] + b["filtered"] + b["duplicate"] + b["rejected"], b
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def send(broker, numbers, device="d1", **more):
    with Client(broker.port) as client:
        for n in numbers:
            last = client.publish(f"a/{device}", json.dumps({"n": n, **more}).encode())
        last.wait_for_publish(10)


def decode(payload):
    return subprocess.run(["protoc", "-I", ROOT / "proto", "--decode=pipit.v1.Event", "pipit/v1/pipit.proto"], input=payload,
                          stdout=subprocess.PIPE, check=True).stdout.decode()


def test_payload_formats_qos_and_retain(start_hub, broker):
    hub = start_hub(head(broker) + """
  r:
    sql: SELECT device, n, celsius FROM "a/+"
    to:
      - bus: {topic: "json/{device}", qos: 2, retain: true}
      - bus: {topic: "text/{device}", payload: text, text: "{device}: {celsius} C", qos: 0}
      - bus: {topic: "first/{device}", payload: text}
      - bus: {topic: "pipit/{device}", payload: pipit, type: heat}
      - bus: {topic: "original/{device}", payload: original}
""").wait_ready()
    with Subscriber(broker.port, "+/d1", qos=2) as watcher:
        send(broker, [1], celsius=27.5)
        watcher.wait(6)  # The five, and what was sent.
        assert watcher.on("json/d1")[0].json() == {"device": "d1", "n": 1, "celsius": 27.5}
        assert (watcher.on("json/d1")[0].qos, watcher.on("text/d1")[0].qos) == (2, 0)
        assert watcher.on("json/d1")[0].content_type == "application/json"
        assert watcher.on("text/d1")[0].text() == "d1: 27.5 C" and watcher.on("first/d1")[0].text() == "d1"
        event = decode(watcher.on("pipit/d1")[0].payload)
        assert 'type: "heat"' in event and 'name: "celsius"' in event and "real: 27.5" in event
        assert watcher.on("original/d1")[0].json() == {"n": 1, "celsius": 27.5}
        keys = [m.key for m in watcher.messages if m.topic != "a/d1"]
        assert sorted(keys) == [f"a/d1/0/1:r:{route}" for route in range(1, 6)]
    with Subscriber(broker.port, "json/#", "text/#") as late:
        assert late.wait(1)[0].is_retained and len(late.messages) == 1
    assert hub.terminate() == 0


@pytest.mark.parametrize("policy, kept", [("drop_new", 1), ("drop_old", 400)])
def test_a_route_sheds_as_declared_and_says_so(start_hub, broker, policy, kept):
    with Broker(persistence=True) as target, Collector(target.port, "out/#") as collector:
        target.stop()
        hub = start_hub(head(broker, target, stats="200 ms") + f"""
  shed:
    sql: SELECT device, n, pad FROM "a/+"
    key: device
    to: [bus: {{topic: "out/{{device}}", limit: 64 KB, overflow: {policy}}}]
""").wait_ready()
        with Subscriber(broker.port, "pipit/v1/$hub/plant/#") as statistics:
            for first in range(1, 401, 50):  # Batches, so that there is something to shed.
                send(broker, range(first, first + 50), pad="x" * 1000)
                wait_for(lambda first=first: books(hub)["received"] == first + 49)
            b = books(hub)
            assert 200 < b["dropped"] < 400 and b["waiting"] == 400 - b["dropped"], b
            wait_for(lambda: [m.text() for m in statistics.on("pipit/v1/$hub/plant/books/dropped")][-1:] == [str(b["dropped"])])
        target.start()
        wait_for(lambda: books(hub)["waiting"] == 0)
        got = [m.json()["n"] for m in collector.wait(b["waiting"])]
        assert kept in got and 401 - kept not in got and got == sorted(got), policy
        assert hub.log_lines("id=DELIVER-SHED"), "it is announced in the log"


def test_two_hubs_share_a_subscription(start_hub, broker):
    texts = [head(broker, id=f"hub-{i}", source=", shared_group: hubs") + """
  r: {sql: 'SELECT device, n FROM "a/+"', to: [bus: {topic: "out/{device}"}]}
""" for i in (1, 2)]
    hubs = [start_hub(text, folder=f"hub-{i}").wait_ready() for i, text in enumerate(texts)]
    with Subscriber(broker.port, "out/#") as watcher:
        send(broker, range(1, 201))
        got = watcher.wait(200)
        assert sorted(m.json()["n"] for m in got) == list(range(1, 201))
    shares = [books(hub)["received"] for hub in hubs]
    assert sum(shares) == 200 and min(shares) > 0, shares


def test_a_source_of_higher_priority_is_read_first(start_hub, broker):
    """Both have plenty when the hub wakes up: the urgent one's events are taken before the others."""
    with Broker() as urgent:
        second = f'urgent: {{mqtt: {{url: "{urgent.url}", probe: false, priority: 5}}, topics: ["a/#"]}}'
        text = head(broker).replace("targets:", f"  {second}\ntargets:", 1).replace("check_broker", "batch_events: 20, check_broker")
        hub = start_hub(text + """
  r: {sql: 'SELECT device, n FROM "a/+"', key: n, to: [bus: {topic: "out/{device}"}]}
""").wait_ready(sources=2)
        with Subscriber(broker.port, "out/#") as watcher:
            hub.signal(signal.SIGSTOP)
            send(broker, range(1, 301), device="low")
            send(urgent, range(301, 601), device="high")
            hub.signal(signal.SIGCONT)
            first = watcher.wait(600)[:300]
        assert sum(m.topic == "out/high" for m in first) > 250
    assert hub.terminate() == 0


@pytest.mark.parametrize("version", ["auto", "3.1.1"])
def test_a_session_waits_for_a_hub_that_was_killed(start_hub, version):
    """In both versions of MQTT."""
    with Broker() as broker:
        hub = start_hub(head(broker, source=f', version: "{version}"') + """
  r: {sql: 'SELECT device, n FROM "a/+"', key: device, to: [bus: {topic: "out/{device}"}]}
""").wait_ready()
        assert f"mqtt={'5' if version == 'auto' else '3.1.1'}" in hub.log_lines("id=INTAKE-UP")[0]
        with Subscriber(broker.port, "out/#") as watcher:
            send(broker, range(1, 51))
            assert [m.json()["n"] for m in watcher.wait(50)] == list(range(1, 51))
            hub.kill()
            send(broker, range(51, 101))  # The session waits for it, by clean session false.
            hub.start().wait_ready()
            wait_for(lambda: len({m.json()["n"] for m in watcher.messages}) == 100)
            assert list(dict.fromkeys(m.json()["n"] for m in watcher.messages)) == list(range(1, 101))


def test_the_mirror_shows_every_event_as_json(start_hub, broker):
    hub = start_hub(head(broker, mirror="true").replace('"a/#"', '"a/#", "pipit/v1/+/+/event/#"') + """
  r: {sql: 'SELECT n FROM "a/+" WHERE n > 100', to: [bus: {topic: "out/x"}]}
""").wait_ready()
    with Subscriber(broker.port, "pipit/v1/$hub/plant/mirror/#") as watcher:
        send(broker, [5])
        pipit("publish", "--url", broker.url, "--device", "g/d9", "--type", "climate", "celsius=21.5")
        seen = {m.topic.split("/mirror/")[1]: m.json() for m in watcher.wait(2)}
        assert "a/d1" in seen and "pipit/v1/g/d9/event/climate" in seen
        assert "21.5" in json.dumps(seen["pipit/v1/g/d9/event/climate"])
    assert hub.terminate() == 0


def test_a_broker_that_is_gone_for_a_minute(start_hub, tmp_path):
    """Devices go on accepting into their spools; the log is not flooded; everything comes."""
    with Broker() as broker, Broker(persistence=True) as target, Collector(target.port, "out/#") as collector:
        text = head(broker, target).replace('"a/#"', '"pipit/v1/+/+/event/#"') + """
  r: {sql: 'SELECT device, sequence FROM "pipit/v1/+/+/event/#"', key: device, to: [bus: {topic: "out/{device}"}]}
"""
        hub = start_hub(text).wait_ready()
        fleet = subprocess.Popen([str(word) for word in (
            PIPIT, "fleet", "--url", broker.url, "--generate", "3", "--events", "300", "--rate", "20",
            "--group", "g", "--spool", tmp_path / "spool", "--json")], stdout=subprocess.PIPE, text=True)
        collector.wait(20)
        broker.kill()
        before = len(hub.lines)
        threading.Event().wait(60)
        assert hub.is_running() and len(hub.lines) - before < 40, hub.tail()
        broker.start()
        out, _ = fleet.communicate(timeout=120)
        assert fleet.returncode == 0 and json.loads(out.splitlines()[-1])["confirmed"] == 300, out
        collector.wait(300)
        order = {}
        for message in collector.messages:
            order.setdefault(message.json()["device"], []).append(message.json()["sequence"])
        assert sum(map(len, order.values())) == 300 and all(s == sorted(set(s)) for s in order.values())
        stays(lambda: books(hub)["missing"] == 0, 0.2)
