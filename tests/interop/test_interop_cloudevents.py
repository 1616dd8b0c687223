"""CloudEvents of npm's cloudevents, and of protoc, through mosquitto into a hub's rules."""

import json
import sys

import harness
import pytest
from cloudevents_js import make, read
from harness import ROOT, Client, Subscriber, wait_for

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from protobuf import CLOUDEVENT, encode  # noqa: E402

CONFIG = """
hub: {{id: ce, store: "{{dir}}/hub.db"}}
sources:
  all:
    mqtt: {{url: "{url}", probe: false}}
    topics: ["in/#"]
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
rules:
  all:
    sql: |
      SELECT id, type, time, content_type, celsius, ce_subject, ce_source, ce_plant, ce_datacontenttype,
             prop('type') AS prop_type, CASE WHEN typeof(payload) = 'blob' THEN hex(payload) END AS bytes,
             fields
      FROM "in/#"
    key: id
    to:
      - bus: {{topic: "out"}}
"""

EVENT = {"id": "e-1", "source": "/plants/7", "type": "com.example.reading", "subject": "boiler",
         "time": "2023-11-14T22:13:20.250Z", "plant": "north", "datacontenttype": "application/json",
         "data": {"celsius": 21.5, "tags": ["a", "b"]}}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with harness.Broker() as broker:
        with harness.Hub(CONFIG.format(url=broker.url), tmp_path_factory.mktemp("hub")) as running:
            running.broker = broker
            running.wait_ready()
            yield running


def through(hub, *messages):
    """Rows the rule makes of messages, in their order."""
    with Subscriber(hub.broker.port, "out") as out, Client(hub.broker.port) as client:
        for message in messages:
            client.publish("in/x", **message)
        return [m.json() for m in out.wait(len(messages))]


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_an_event_of_npm_is_read(hub, mode):
    row = through(hub, *make((mode, EVENT)))[0]
    assert row["id"] == "/plants/7#e-1" and row["type"] == EVENT["type"]
    assert row["time"] == 1700000000250 and row["content_type"] == "application/json"
    assert row["celsius"] == 21.5 and row["ce_subject"] == "boiler" and row["ce_plant"] == "north"
    assert row["prop_type"] == EVENT["type"]
    assert row["fields"] == {"celsius": 21.5, "tags": ["a", "b"], "ce_specversion": "1.0",
                             **{f"ce_{name}": value for name, value in EVENT.items() if name != "data"}}


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_bytes_stay_bytes(hub, mode):
    event = {**EVENT, "datacontenttype": "application/octet-stream"}
    del event["data"]
    row = through(hub, *make((mode, event, b"\x00\xff{")))[0]
    assert row["bytes"] == "00FF7B" and row["ce_datacontenttype"] == "application/octet-stream"
    assert row["celsius"] is None


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_text_and_no_data(hub, mode):
    text = {**EVENT, "datacontenttype": "text/plain", "data": "{no json}"}
    nothing = {name: EVENT[name] for name in ("id", "source", "type")}
    rows = through(hub, *make((mode, text), (mode, nothing)))
    assert rows[0]["content_type"] == "text/plain" and rows[0]["celsius"] is None
    assert rows[1]["id"] == "/plants/7#e-1" and rows[1]["celsius"] is None


def test_both_modes_say_the_same(hub):
    binary, structured = through(hub, *make(("binary", EVENT), ("structured", EVENT)))
    assert binary == structured


def test_a_batch_is_as_many_events(hub):
    before = hub.status()["books"]
    parts = make(*[("structured", {**EVENT, "id": f"b-{n}"}) for n in range(50)])
    batch = b"[" + b",".join(part["payload"] for part in parts) + b"]"
    with Subscriber(hub.broker.port, "out") as out, Client(hub.broker.port) as client:
        client.publish("in/x", batch, content_type="application/cloudevents-batch+json")
        rows = [m.json() for m in out.wait(50)]
        keys = {m.key for m in out.messages}
        client.publish("in/x", b"[]", content_type="application/cloudevents-batch+json")
        client.publish("in/x", b"[{]", content_type="application/cloudevents-batch+json")
        after = wait_for(lambda: (lambda books: books if books["received"] - before["received"] >= 52
                                  else None)(hub.status()["books"]), what="all are counted")
    assert [row["id"] for row in rows] == [f"/plants/7#b-{n}" for n in range(50)]
    assert len(keys) == 50
    changes = {name: after[name] - before[name] for name in ("received", "routed", "filtered", "rejected")}
    assert changes == {"received": 52, "routed": 50, "filtered": 1, "rejected": 1}


def test_an_event_that_comes_again_has_its_key_again(hub):
    message = make(("binary", EVENT))[0]
    with Subscriber(hub.broker.port, "out") as out, Client(hub.broker.port) as client:
        client.publish("in/x", **message)
        client.publish("in/x", **message)
        keys = [m.key for m in out.wait(2)]
    assert keys[0] == keys[1] and keys[0].startswith("/plants/7#e-1")


def test_protobuf_of_protoc(hub):
    payload = encode(CLOUDEVENT, r"""
id: "p-1" source: "/plants/8" spec_version: "1.0" type: "com.example.reading"
attributes { key: "time" value { ce_timestamp { seconds: 1700000000 nanos: 250000000 } } }
attributes { key: "subject" value { ce_string: "boiler" } }
attributes { key: "datacontenttype" value { ce_string: "application/json" } }
text_data: "{\"celsius\": 22}"
""")
    row = through(hub, {"payload": payload, "content_type": "application/cloudevents+protobuf"})[0]
    assert row["id"] == "/plants/8#p-1" and row["time"] == 1700000000250
    assert row["celsius"] == 22 and row["ce_subject"] == "boiler"


def test_mqtt_3_has_json_by_an_entry(tmp_path):
    """Without content type and properties the entry says what payloads are."""
    payload = make(("structured", EVENT))[0]["payload"]
    with harness.Broker() as broker:
        config = CONFIG.format(url=broker.url) + 'formats:\n  in: {from: "in/#", cloudevents: {}}\n'
        with harness.Hub(config.replace("probe: false", 'probe: false, version: "3.1.1"'), tmp_path) as hub, \
                Subscriber(broker.port, "out") as out, Client(broker.port) as client:
            hub.wait_ready()
            client.publish("in/x", payload)
            client.publish("in/x", b"[" + payload + b"," + payload + b"]")
            rows = [m.json() for m in out.wait(3)]
            client.publish("in/x", b"21.5")
            wait_for(lambda: hub.status()["books"]["rejected"] == 1, what="a number is no CloudEvent")
    assert {row["id"] for row in rows} == {"/plants/7#e-1"} and rows[0]["celsius"] == 21.5


def test_what_lacks_an_attribute_is_quarantined(hub):
    message = make(("structured", EVENT))[0]
    event = json.loads(message["payload"])
    del event["source"]
    before = hub.status()["books"]["rejected"]
    with Client(hub.broker.port) as client:
        client.publish("in/x", json.dumps(event), content_type=message["content_type"])
        wait_for(lambda: hub.status()["books"]["rejected"] == before + 1, what="it is rejected")
    assert 'attribute "source" is missing or empty' in hub.run("quarantine", "list").stdout


def test_npm_reads_what_npm_made(hub):
    """The control of the harness itself: what is made is read, and what is none is not."""
    with Subscriber(hub.broker.port, "raw") as raw, Client(hub.broker.port) as client:
        for message in make(("binary", EVENT), ("structured", EVENT)):
            client.publish("raw", **message)
        events = read(raw.wait(2))
        assert [event["data"] for event in events] == [EVENT["data"]] * 2
        client.publish("raw", b"{}", content_type="application/json")
        with pytest.raises(AssertionError, match="No CloudEvent detected"):
            read(raw.wait(3)[2:])


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_npm_reads_what_the_hub_sends(tmp_path, mode):
    """A rule's CloudEvent, of an event that was one and of one that was none."""
    route = ('      - bus: {topic: "out", payload: cloudevent, mode: ' + mode +
             ', type: "{what}", source: "/hub/{plant}", subject: "{subject}"}\n')
    with harness.Broker() as broker:
        config = f"""
hub: {{id: ce, store: "{{dir}}/hub.db"}}
sources:
  all:
    mqtt: {{url: "{broker.url}", probe: false}}
    topics: ["in/#"]
targets:
  bus: {{mqtt: {{url: "{broker.url}"}}}}
rules:
  all:
    sql: |
      SELECT coalesce(type, 'plain') AS what, coalesce(ce_plant, 'south') AS plant, ce_subject AS subject,
             celsius, 7 AS ce_level
      FROM "in/#"
    to:
"""
        with harness.Hub(config + route, tmp_path) as hub, Subscriber(broker.port, "out") as out, \
                Client(broker.port) as client:
            hub.wait_ready()
            client.publish("in/x", **make(("structured", EVENT))[0])
            client.publish("in/x", b'{"celsius": 3}')
            messages = out.wait(2)
    events = read(messages)
    assert [event["type"] for event in events] == [EVENT["type"], "plain"]
    assert [event["source"] for event in events] == ["/hub/north", "/hub/south"]
    assert events[0]["id"] == "/plants/7#e-1:all:1" and len({event["id"] for event in events}) == 2
    assert events[0]["subject"] == "boiler" and events[0]["time"].startswith("2023-11-14T22:13:20.250")
    assert [event["data"]["celsius"] for event in events] == [21.5, 3]
    assert [str(event["level"]) for event in events] == ["7", "7"]
