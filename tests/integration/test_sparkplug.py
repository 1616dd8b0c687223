"""Sparkplug B through a real broker: payloads by protoc, aliases over kill -9, rebirth requests, STATE."""

import json
import re
import time

import pytest

from harness import Client, Subscriber, wait_for
from protobuf import SPARKPLUG, decode, encode

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db"}}
sources:
  floor:
    mqtt: {{url: "{url}", probe: false{more}}}
    topics: ["spBv1.0/#"]
formats:
  floor: {{from: "spBv1.0/#", sparkplug: {{}}}}
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
rules:
  data:
    sql: |
      SELECT type, device_group, device, time, "Inputs/temperature" AS t, "Inputs/count" AS n, fields
      FROM "spBv1.0/#" WHERE type <> 'NCMD' AND type <> 'STATE'
    key: device
    to:
      - bus: {{topic: "out/{{device_group}}/{{device}}", qos: 1}}
"""

BIRTH = """
timestamp: {time} seq: 0
metrics {{ name: "bdSeq" datatype: 8 long_value: 5 }}
metrics {{ name: "Node Control/Rebirth" datatype: 11 boolean_value: false }}
metrics {{ name: "Inputs/temperature" alias: 1 datatype: 9 float_value: 21.5
          properties {{ keys: "unit" values {{ type: 12 string_value: "C" }} }} }}
metrics {{ name: "Inputs/count" alias: 2 datatype: 3 int_value: 4294967293 }}
"""


class Edge(Client):
    """A Sparkplug edge node: it says what it is told to."""

    def __init__(self, port):
        super().__init__(port)
        self.wait_connected()

    def say(self, kind, text, device=None, group="G", node="N"):
        topic = f"spBv1.0/{group}/{kind}/{node}" + (f"/{device}" if device else "")
        self.publish(topic, encode(SPARKPLUG, text), qos=0).wait_for_publish()

    def data(self, seq, text, **more):
        self.say("NDATA", f"timestamp: 1700000000000 seq: {seq} {text}", **more)


@pytest.fixture
def edge(broker):
    with Edge(broker.port) as made:
        yield made


def rows(out, count, topic_filter="out/#"):
    """The rows of that many deliveries. What was under way at a kill comes twice, with one key."""
    def once():
        return {message.key: message for message in out.on(topic_filter)}
    wait_for(lambda: len(once()) >= count, what=lambda: f"{count} deliveries on {topic_filter}: {out.messages}")
    return [message.json() for message in once().values()]


def config_of(broker, more=""):
    return CONFIG.format(url=broker.url, more=more)


def test_every_kind_of_value(broker, start_hub, edge):
    start_hub(config_of(broker)).wait_ready()
    with Subscriber(broker.port, "out/#") as out:
        edge.say("NBIRTH", """
timestamp: 1700000000000 seq: 0
metrics { name: "i8" datatype: 1 int_value: 255 }
metrics { name: "i16" datatype: 2 int_value: 4294967295 }
metrics { name: "i32" datatype: 3 int_value: 4294967294 }
metrics { name: "i64" datatype: 4 long_value: 18446744073709551613 }
metrics { name: "u8" datatype: 5 int_value: 255 }
metrics { name: "u32" datatype: 7 long_value: 4294967295 }
metrics { name: "u64" datatype: 8 long_value: 9223372036854775807 }
metrics { name: "float" datatype: 9 float_value: 27.1 }
metrics { name: "double" datatype: 10 double_value: 27.1 }
metrics { name: "yes" datatype: 11 boolean_value: true }
metrics { name: "text" datatype: 12 string_value: "gr\\303\\274n" }
metrics { name: "when" datatype: 13 long_value: 1700000000123 }
metrics { name: "uuid" datatype: 15 string_value: "0b5d3a6e-4a55-4f60-9c39-7f5e3ad3a000" }
metrics { name: "bytes" datatype: 17 bytes_value: "\\001\\377" }
metrics { name: "null" datatype: 3 is_null: true }
metrics { name: "table" datatype: 16 dataset_value {
  num_of_columns: 2 columns: "a" columns: "b" types: 3 types: 12
  rows { elements { int_value: 4294967295 } elements { string_value: "x" } } } }
metrics { name: "motor" datatype: 19 template_value {
  version: "1" template_ref: "Motor" is_definition: false
  metrics { name: "rpm" datatype: 3 int_value: 900 }
  parameters { name: "poles" type: 3 int_value: 4 } } }
metrics { name: "int16s" datatype: 23 bytes_value: "\\377\\377\\002\\000" }
metrics { name: "flags" datatype: 32 bytes_value: "\\003\\000\\000\\000\\240" }
metrics { name: "words" datatype: 33 bytes_value: "ab\\000c\\000" }
""")
        row = out.wait(1)[0].json()
    assert row["type"] == "NBIRTH" and row["device_group"] == "G" and row["device"] == "N"
    assert row["time"] == 1700000000000
    assert row["fields"] == {
        "i8": -1, "i16": -1, "i32": -2, "i64": -3, "u8": 255, "u32": 4294967295,
        "u64": 9223372036854775807, "float": 27.1, "double": 27.1, "yes": True, "text": "grün",
        "when": 1700000000123, "uuid": "0b5d3a6e-4a55-4f60-9c39-7f5e3ad3a000", "bytes": "01ff",
        "null": None,
        "table": {"columns": ["a", "b"], "types": ["Int32", "String"], "rows": [[-1, "x"]]},
        "motor": {"reference": "Motor", "version": "1", "is_definition": False,
                  "metrics": {"rpm": 900}, "parameters": {"poles": 4}},
        "int16s": [-1, 2], "flags": [True, False, True], "words": ["ab", "c"]}


def test_paths_into_metrics(broker, start_hub, edge):
    config = config_of(broker).replace(
        '"Inputs/temperature" AS t, "Inputs/count" AS n, fields',
        '"Inputs/temperature.properties.unit" AS unit, "Inputs/temperature.datatype" AS kind, '
        'json_extract(metrics, \'$[2].name\') AS third, seq')
    start_hub(config).wait_ready()
    with Subscriber(broker.port, "out/#") as out:
        edge.say("NBIRTH", BIRTH.format(time=1700000000000))
        row = out.wait(1)[0].json()
    assert row["unit"] == "C" and row["kind"] == "Float" and row["seq"] == 0
    assert row["third"] == "Inputs/temperature"


def test_aliases_survive_a_kill(broker, start_hub, edge):
    hub = start_hub(config_of(broker)).wait_ready()
    with Subscriber(broker.port, "out/#") as out:
        edge.say("NBIRTH", BIRTH.format(time=1700000000000))
        edge.say("DBIRTH", 'timestamp: 1700000000001 seq: 1 '
                           'metrics { name: "Inputs/count" alias: 9 datatype: 3 int_value: 1 }', "D")
        assert rows(out, 2)[0]["n"] == -3
        hub.kill()
        hub.start().wait_ready()
        edge.data(2, "metrics { alias: 1 float_value: 22.25 }")
        edge.say("DDATA", "timestamp: 1 seq: 3 metrics { alias: 9 int_value: 4294967294 }", "D")
        assert rows(out, 2, "out/G/N")[1]["t"] == 22.25
        assert rows(out, 2, "out/G/N/D")[1]["n"] == -2
    books = hub.status()["books"]
    assert books["rejected"] == 0 and books["received"] == 4
    assert not hub.log_lines("INTAKE-REBIRTH", all_runs=True)


def test_a_gap_asks_for_a_rebirth_exactly_once(broker, start_hub, edge):
    hub = start_hub(config_of(broker)).wait_ready()
    with Subscriber(broker.port, "out/#") as out, Subscriber(broker.port, "spBv1.0/+/NCMD/#") as ncmd:
        edge.say("NBIRTH", BIRTH.format(time=1700000000000))
        edge.data(1, "metrics { alias: 1 float_value: 1 }")
        out.wait(2)
        assert not ncmd.messages  # The control: what is in turn asks for nothing.
        edge.data(3, "metrics { alias: 1 float_value: 3 }")
        edge.data(5, "metrics { alias: 1 float_value: 5 }")
        request = ncmd.wait(1)[0]
        assert request.topic == "spBv1.0/G/NCMD/N" and request.qos == 0 and not request.is_retained
        text = decode(SPARKPLUG, request.payload)
        assert 'name: "Node Control/Rebirth"' in text and "boolean_value: true" in text
        assert "seq" not in text
        rows(out, 4)  # QoS 0: what is on its way to the hub would go with it.
        hub.kill()
        hub.start().wait_ready()
        edge.data(9, "metrics { alias: 1 float_value: 9 }")
        assert [row["t"] for row in rows(out, 5)[2:]] == [3, 5, 9], "a gap loses no data"
        edge.say("NBIRTH", BIRTH.format(time=1700000000100))
        edge.data(1, "metrics { alias: 1 float_value: 1 }")
        rows(out, 7)
        assert len(ncmd.messages) == 1
        edge.data(7, "metrics { alias: 1 float_value: 7 }")  # A new gap is a new matter.
        ncmd.wait(2)


def test_an_unknown_alias_is_quarantined_and_asked_for(broker, start_hub, edge):
    hub = start_hub(config_of(broker)).wait_ready()
    with Subscriber(broker.port, "spBv1.0/+/NCMD/#") as ncmd:
        edge.data(1, "metrics { alias: 7 float_value: 1 }")
        ncmd.wait(1)
        wait_for(lambda: hub.status()["books"]["rejected"] == 1, what="the event is rejected")
    assert "alias 7 stands for no metric of N" in hub.run("quarantine", "list").stdout
    with Subscriber(broker.port, "out/#") as out:
        edge.say("NBIRTH", """
timestamp: 1700000000100 seq: 0 metrics { name: "bdSeq" datatype: 8 long_value: 5 }
metrics { name: "Inputs/temperature" alias: 7 datatype: 9 float_value: 1 }""")
        rows(out, 1)
        said = json.loads(hub.run("quarantine", "test", "all", "--json").stdout)  # Now it can be read.
        assert json.loads(said["deliveries"][0]["payload"])["t"] == 1 and said["rejections"] == []
        told = json.loads(hub.run("explain", "--quarantine", "1", "--json").stdout)
        assert told.get("rules") and told["rules"][0].get("deliveries"), told
        assert json.loads(told["rules"][0]["deliveries"][0]["payload"])["t"] == 1, told
        hub.run("quarantine", "replay", "all")
        row = rows(out, 2)[1]
        assert row["type"] == "NDATA" and row["t"] == 1
        edge.data(1, "metrics { alias: 7 float_value: 2 }")  # The replay counted for nothing.
        rows(out, 3)
    assert len(hub.log_lines("INTAKE-REBIRTH")) == 1


def state_of(message):
    value = message.json()
    return value["online"], value["timestamp"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_state_as_a_host_application(broker, start_hub, version):
    with Subscriber(broker.port, "spBv1.0/STATE/#") as watch:
        more = f', sparkplug_host: scada, version: "{version}"'
        hub = start_hub(config_of(broker, more)).wait_ready()
        online, born = state_of(watch.wait(1)[0])
        assert online and watch.messages[0].topic == "spBv1.0/STATE/scada"
        assert abs(born - time.time() * 1000) < 60000
        hub.kill()
        online, died = state_of(watch.wait(2)[1])
        assert not online and died == born, "the will has the birth's timestamp"
        hub.start().wait_ready()
        online, again = state_of(watch.wait(3)[2])
        assert online and again > born
        # Somebody says that we are gone.
        with Client(broker.port) as other:
            other.publish("spBv1.0/STATE/scada", b'{"online":false,"timestamp":1}', retain=True)
            watch.wait(5)
        assert [state_of(m) for m in watch.messages[3:5]] == [(False, 1), (True, again)]
        hub.terminate()
        online, ended = state_of(watch.wait(6)[5])
        assert not online and ended >= again
    with Subscriber(broker.port, "spBv1.0/STATE/scada") as late:
        assert late.wait(1)[0].is_retained and not late.messages[0].json()["online"]


def test_state_without_a_topic_that_brings_it(broker, start_hub):
    """The hub looks after its STATE by itself, and no rule sees it."""
    config = config_of(broker, ", sparkplug_host: scada").replace('["spBv1.0/#"]', '["spBv1.0/+/NDATA/#"]')
    with Subscriber(broker.port, "spBv1.0/STATE/#") as watch, Client(broker.port) as other:
        hub = start_hub(config).wait_ready()
        _, born = state_of(watch.wait(1)[0])
        other.publish("spBv1.0/STATE/scada", b"OFFLINE", retain=True)
        assert state_of(watch.wait(3)[2]) == (True, born)
        assert hub.status()["books"]["received"] == 0


def test_state_is_left_alone_without_the_option(broker, start_hub, edge):
    hub = start_hub(config_of(broker)).wait_ready()
    with Subscriber(broker.port, "spBv1.0/STATE/#", "out/#") as watch:
        edge.say("NBIRTH", BIRTH.format(time=1700000000000))
        watch.wait(1, "out/#")
        hub.terminate()
        assert not watch.on("spBv1.0/STATE/#")


@pytest.mark.parametrize("host", ["a/b", "+"])
def test_a_host_id_is_one_level(broker, start_hub, tmp_path, host):
    hub = start_hub(config_of(broker, f', sparkplug_host: "{host}"'))
    assert hub.wait() != 0
    assert re.search(r"sparkplug_host: '.*' must be 1 to 128 bytes without / \+ #", hub.tail())
