"""CloudEvents of routes, over a real broker into npm's cloudevents."""

import json

import harness
import pytest
from cloudevents_js import read
from harness import Client, Subscriber

CONFIG = """
hub: {{id: ce, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  all:
    mqtt: {{url: "{url}", probe: false}}
    topics: ["in/#"]
devices:
  in: {{from: "in/+", device: topic_part(2), sequence: n, time: t}}
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
rules:
  hot:
    sql: |
      SELECT device, n, celsius, label, tags, 'north' AS ce_plant, "on" AS ce_live, n AS ce_count, gone AS ce_gone
      FROM "in/+"
    key: device
    to:
      - bus: {{topic: "binary", payload: cloudevent, type: "com.example.{{label}}", subject: "{{device}}", qos: 1,
              properties: {{trace: "{{n}}"}}}}
      - bus: {{topic: "structured", payload: cloudevent, mode: structured, source: "/plants/{{device}}", qos: 1}}
"""


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    events = [{"n": 1, "t": 1700000000250, "celsius": 21.5, "label": "reading", "tags": ["a", {"b": None}], "on": True},
              {"n": 2, "celsius": -1e-7, "label": "Zürich", "tags": [], "on": False}]
    with harness.Broker() as broker:
        with harness.Hub(CONFIG.format(url=broker.url), tmp_path_factory.mktemp("hub")) as hub:
            hub.wait_ready()
            with Subscriber(broker.port, "binary", "structured") as out, Client(broker.port) as client:
                for event in events:
                    client.publish("in/d1", json.dumps(event).encode())
                return {topic: out.wait(2, topic) for topic in ("binary", "structured")}


def test_binary_mode(messages):
    first, second = read(messages["binary"])
    assert first["specversion"] == "1.0" and first["id"] == "in/d1/0/1:hot:1"
    assert first["source"] == "/pipit/ce" and first["type"] == "com.example.reading" and first["subject"] == "d1"
    assert first["time"] == "2023-11-14T22:13:20.250Z"
    assert first["datacontenttype"] == "application/json"
    assert first["data"] == {"device": "d1", "n": 1, "celsius": 21.5, "label": "reading", "tags": ["a", {"b": None}]}
    assert (first["plant"], str(first["live"]).lower(), str(first["count"])) == ("north", "true", "1") and "gone" not in first
    assert second["type"] == "com.example.Zürich" and second["data"]["celsius"] == -1e-7 and second["id"] == "in/d1/0/2:hot:1"
    assert messages["binary"][0].properties["trace"] == "1"


def test_structured_mode(messages):
    first, second = read(messages["structured"])
    assert first["id"] == "in/d1/0/1:hot:2" and first["source"] == "/plants/d1" and first["type"] == "hot"
    assert first["time"] == "2023-11-14T22:13:20.250Z" and "subject" not in first
    assert first["data"] == {"device": "d1", "n": 1, "celsius": 21.5, "label": "reading", "tags": ["a", {"b": None}]}
    assert (first["plant"], first["live"], first["count"]) == ("north", True, 1) and "gone" not in first
    assert second["data"]["label"] == "Zürich" and second["live"] is False
