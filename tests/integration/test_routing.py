"""Where events go: else lists, rules that feed rules, classes, rates, and devices that are noisy."""

import json

import pytest

from harness import Broker, Client, Collector, Subscriber, pipit, wait_for

HEAD = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#"]}}
targets:
  bus: {{mqtt: {{url: "{target}"}}, backoff_min: 50 ms, backoff_max: 200 ms}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
rules:
"""
ROWS = 500  # Of one message that carries a list.


def head(broker, target=None):
    return HEAD.format(url=broker.url, target=(target or broker).url)


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["received"] == b["routed"] + b["filtered"] + b["duplicate"] + b["rejected"], b
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def send(broker, messages):
    """(device, payload) each, numbered by device."""
    numbers = {}
    with Client(broker.port) as client:
        for device, payload in messages:
            numbers[device] = numbers.get(device, 0) + 1
            last = client.publish(f"a/{device}", json.dumps({"n": numbers[device], **payload}).encode())
        last.wait_for_publish(20)


def test_what_no_rule_wants_and_what_rules_give_each_other(start_hub, broker):
    hub = start_hub(head(broker) + """
  hot:
    sql: SELECT device, celsius FROM "a/+" WHERE celsius > 50
    key: device
    to:
      - bus: {topic: "hot/{device}"}
      - rules: {topic: "derived/{device}/hot"}
    else:
      - bus: {topic: "cold/{device}"}
  very-hot:
    sql: SELECT device, celsius * 1.8 + 32 AS fahrenheit FROM "derived/+/hot" WHERE celsius > 80
    key: device
    to: [bus: {topic: "very/{device}"}]
    else: [bus: {topic: "warm/{device}", payload: text, text: "{fields.celsius}"}]
""").wait_ready()
    with Subscriber(broker.port, "hot/#", "cold/#", "very/#", "warm/#") as watcher:
        send(broker, [("d1", {"celsius": c}) for c in (20, 60, 90)])
        watcher.wait(5)
        seen = {m.topic: m for m in watcher.messages}
        assert [m.json()["celsius"] for m in watcher.on("hot/d1")] == [60, 90]
        assert seen["cold/d1"].json() == {"n": 1, "celsius": 20}
        assert seen["very/d1"].json() == {"device": "d1", "fahrenheit": 194}
        assert seen["warm/d1"].text() == "60"
        assert seen["very/d1"].key == "a/d1/0/3:hot:2:very-hot:1"
        b = wait_for(lambda: books(hub)["waiting"] == 0 and books(hub))
        assert (b["received"], b["routed"], b["delivered"]) == (3, 3, 5)
    assert hub.terminate() == 0


def test_a_circle_of_rules_is_refused_where_it_stands(tmp_path):
    config = tmp_path / "hub.yaml"
    config.write_text(HEAD.format(url="mqtt://127.0.0.1:1", target="mqtt://127.0.0.1:1") + """
  one:
    sql: SELECT v FROM "x/+"
    to:
      - bus: {topic: out}
      - rules: {topic: "y/{v}"}
  two:
    sql: SELECT v FROM "y/#"
    to: [bus: {topic: out}]
    else: [rules: {topic: "x/{topic}"}]
""")
    done = pipit("check", "-c", config, check=False)
    line = config.read_text().splitlines().index('      - rules: {topic: "y/{v}"}') + 1
    assert done.returncode != 0
    assert f"hub.yaml:{line}:9: " in done.stderr and "one -> two -> one" in done.stderr, done.stderr


def test_an_alarm_overtakes_what_waits(start_hub, broker):
    """100,000 rows of telemetry wait for a target that is down; an alarm comes, then the target."""
    messages = 100000 // ROWS
    with Broker(persistence=True) as target, Collector(target.port, "telemetry/#", "alarm/#") as collector:
        target.stop()
        hub = start_hub(head(broker, target) + """
  telemetry:
    sql: SELECT device, value FROM "a/+", json_each(fields('list'))
    key: value
    to: [bus: {topic: "telemetry/{device}", payload: text}]
  alarm:
    sql: SELECT device FROM "a/+" WHERE alarm
    to: [bus: {topic: "alarm/{device}", priority: high}]
""".replace("fields('list')", "list")).wait_ready()
        send(broker, [("d1", {"list": list(range(n, n + ROWS))}) for n in range(messages)])
        wait_for(lambda: books(hub)["waiting"] == 100000, 30)
        send(broker, [("d2", {"alarm": True})])
        wait_for(lambda: books(hub)["waiting"] == 100001)
        target.start()
        collector.wait(1, "alarm/d2", 30)
        place = next(i for i, m in enumerate(collector.messages) if m.topic == "alarm/d2")
        assert place <= 256, f"{place} rows went before the alarm: more than a worker has in hand"


@pytest.mark.parametrize("excess, want", [("drop", 10), ("wait", 30)])
def test_a_route_keeps_to_its_rate(start_hub, broker, excess, want):
    hub = start_hub(head(broker) + f"""
  r:
    sql: SELECT device, n FROM "a/+"
    key: device
    to: [bus: {{topic: "out/{{device}}", rate: 10/s, excess: {excess}, limit: 1 MB}}]
""").wait_ready()
    with Subscriber(broker.port, "out/#") as watcher:
        send(broker, [("d1", {})] * 30)
        wait_for(lambda: books(hub)["received"] == 30 and books(hub)["waiting"] == 0)
        b = books(hub)
        assert b["enqueued"] == 30 and b["delivered"] + b["dropped"] == 30
        got = watcher.wait(b["delivered"])
        assert want <= len(got) <= (30 if excess == "wait" else 29), "a burst, and what a second allows"
        assert [m.json()["n"] for m in got] == sorted(m.json()["n"] for m in got)
        if excess == "wait":
            assert got[-1].at - got[9].at > 1.5, "ten at once, twenty at ten a second"


@pytest.mark.parametrize("key, is_fair", [("device", True), ("qos", False)])
def test_a_noisy_device_does_not_keep_the_others_waiting(start_hub, broker, key, is_fair):
    """With a key that all share, the control, the others come behind it."""
    with Broker(persistence=True) as target, Collector(target.port, "out/#") as collector:
        target.stop()
        hub = start_hub(head(broker, target) + f"""
  r:
    sql: SELECT device, value FROM "a/+", json_each(list)
    key: {key}
    to: [bus: {{topic: "out/{{device}}", payload: text}}]
""").wait_ready()
        noisy = 20 if is_fair else 4
        send(broker, [("noisy", {"list": list(range(ROWS))})] * noisy)
        wait_for(lambda: books(hub)["waiting"] == noisy * ROWS)
        send(broker, [(f"quiet-{i}", {"list": [1]}) for i in range(50)])
        wait_for(lambda: books(hub)["waiting"] == noisy * ROWS + 50)
        target.start()
        collector.wait(50, "out/+", 30)
        wait_for(lambda: len({m.topic for m in collector.messages}) == 51, 30)
        places = [i for i, m in enumerate(collector.messages) if m.topic != "out/noisy"]
        assert (places[49] < 2000) == is_fair, places[49]
        assert is_fair or places[0] == noisy * ROWS
