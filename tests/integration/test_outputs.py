"""What routes send, read by programs that are not ours: CBOR, CloudEvents, user properties; and that a delivery keeps
its properties while it waits, dies and is replayed."""

import json
import re
import signal
import subprocess

import cbor2

from harness import ROOT, Broker, Client, Subscriber, pipit, wait_for

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#"]}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
targets:
  bus: {{mqtt: {{url: "{target}"}}, attempts: 2, backoff_min: 20 ms, backoff_max: 50 ms}}
  log: {{file: {{path: "{{dir}}/out.ndjson"}}}}
rules:
  r:
    sql: SELECT device, n, x, "on", place, list, x'00ff' AS raw FROM "a/+" WHERE x IS NOT NULL
    key: device
    to:
      - bus: {{topic: "out/cbor/{{device}}", payload: cbor, qos: 1}}
  c:
    sql: SELECT device, n, x, place, 'north' AS ce_zone, "on" AS ce_live FROM "a/+" WHERE x IS NOT NULL
    key: device
    to:
      - bus: {{topic: "out/binary/{{device}}", payload: cloudevent, type: "plant.{{place}}", subject: "{{device}}", qos: 1}}
      - bus: {{topic: "out/structured/{{device}}", payload: cloudevent, mode: structured, source: "/x", qos: 1}}
  p:
    sql: SELECT device, n, place FROM "a/+"
    key: device
    to:
      - bus: {{topic: "out/{{place}}/{{device}}", properties: {{site: "{{place}}-1", none: "{{fields.gone}}"}}, qos: 1}}
      - log: {{properties: {{site: "{{place}}-1"}}}}
"""

EVENT = {"n": 1, "x": 2.5, "on": True, "place": "hall", "list": [1, {"a": None}]}


def publish(client, n=1, **more):
    client.publish("a/d1", json.dumps({**EVENT, "n": n, **more}).encode(), properties=[("traceparent", TRACE)])


def books(hub):
    return hub.status()["books"]


def test_an_independent_decoder_reads_our_cbor(start_hub, broker):
    hub = start_hub(CONFIG.format(url=broker.url, target=broker.url)).wait_ready()
    with Subscriber(broker.port, "out/cbor/#") as watcher, Client(broker.port) as client:
        publish(client)
        publish(client, 2, x=-1e-300, on=False, list=[], place="Zürich 東京")
        publish(client, 3, x=-9007199254740993, list={"deep": {"er": [0.5, -1]}}, place="")
        messages = watcher.wait(3)
    assert {m.content_type for m in messages} == {"application/cbor"}
    assert [cbor2.loads(m.payload) for m in messages] == [
        {"device": "d1", "n": 1, "x": 2.5, "on": True, "place": "hall", "list": [1, {"a": None}], "raw": b"\x00\xff"},
        {"device": "d1", "n": 2, "x": -1e-300, "on": False, "place": "Zürich 東京", "list": [], "raw": b"\x00\xff"},
        {"device": "d1", "n": 3, "x": -9007199254740993, "on": True, "place": "", "list": {"deep": {"er": [0.5, -1]}},
         "raw": b"\x00\xff"}]
    assert hub.terminate() == 0


def test_cloudevents_and_properties_as_mosquitto_sub_shows_them(start_hub, broker, tmp_path):
    hub = start_hub(CONFIG.format(url=broker.url, target=broker.url)).wait_ready()
    shown = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-p", str(broker.port), "-t", "out/binary/#", "-t", "out/structured/#",
                              "-t", "out/hall/#", "-C", "3", "-W", "30", "-d",
                              "-F", "%t|%C|%P|%p"], stdout=subprocess.PIPE, text=True)
    try:
        lines = iter(shown.stdout.readline, "")
        assert any("SUBACK" in line for line in lines)
        with Client(broker.port) as client:
            publish(client)
        said = [line.rstrip("\n").split("|", 3) for line in lines if line.startswith("out/")]
        assert shown.wait(30) == 0
    finally:
        shown.kill()
    got = {topic: (content_type, properties, payload) for topic, content_type, properties, payload in said}

    content_type, properties, payload = got["out/binary/d1"]
    time = re.search(r"time:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)", properties).group(1)
    assert content_type == "application/json"
    assert properties.split() == ["specversion:1.0", "id:a/d1/0/1:c:1", "source:/pipit/plant",
                                  "type:plant.hall", "subject:d1", f"time:{time}", "zone:north", "live:true",
                                  f"traceparent:{TRACE}"]
    assert json.loads(payload) == {"device": "d1", "n": 1, "x": 2.5, "place": "hall"}

    content_type, properties, payload = got["out/structured/d1"]
    assert content_type == "application/cloudevents+json; charset=utf-8"
    assert json.loads(payload) == {
        "specversion": "1.0", "id": "a/d1/0/1:c:2", "source": "/x", "type": "c", "time": time, "zone": "north", "live": True,
        "datacontenttype": "application/json", "data": {"device": "d1", "n": 1, "x": 2.5, "place": "hall"}}

    content_type, properties, payload = got["out/hall/d1"]
    assert properties.split() == ["idempotency-key:a/d1/0/1:p:1", "site:hall-1", f"traceparent:{TRACE}"]
    wait_for(lambda: books(hub)["waiting"] == 0)
    line = json.loads((hub.dir / "out.ndjson").read_text())
    assert line["properties"] == {"site": "hall-1", "traceparent": TRACE}
    assert line["idempotency_key"] == "a/d1/0/1:p:2"


def test_properties_wait_with_their_delivery_over_a_restart(start_hub, broker):
    target = Broker()
    hub = start_hub(CONFIG.format(url=broker.url, target=target.url)).wait_ready()
    try:
        with Client(broker.port) as client:
            for n in range(1, 4):
                publish(client, n)
            wait_for(lambda: books(hub)["enqueued"] == 15, what=hub.tail)
        hub.kill()
        target.start()
        with Subscriber(target.port, "out/hall/#") as watcher:
            hub.start().wait_ready()
            messages = watcher.wait(3)
        assert [(m.key, m.properties["site"], m.properties["traceparent"]) for m in messages] == [
            (f"a/d1/0/{n}:p:1", "hall-1", TRACE) for n in range(1, 4)]
    finally:
        target.cleanup()


def test_properties_stay_with_a_dead_letter_and_its_replay(start_hub, broker, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite out/cbor/#\n")
    acl.chmod(0o644)
    with Broker(conf_extra=f"acl_file {acl}\n") as target:
        hub = start_hub(CONFIG.format(url=broker.url, target=target.url)).wait_ready()
        with Client(broker.port) as client:
            publish(client)
        wait_for(lambda: books(hub)["dead"] == 3 and books(hub)["waiting"] == 0, what=hub.tail)
        acl.write_text("topic readwrite out/#\n")
        target.signal(signal.SIGHUP)
        with Subscriber(target.port, "out/#") as watcher:
            hub.run("dead", "replay", "all")
            messages = {m.topic: m for m in watcher.wait(3)}
        assert messages["out/hall/d1"].properties == {
            "idempotency-key": "a/d1/0/1:p:1", "site": "hall-1", "traceparent": TRACE}
        assert messages["out/binary/d1"].properties["id"] == "a/d1/0/1:c:1"
        assert messages["out/binary/d1"].properties["type"] == "plant.hall"


def test_what_cannot_be_rendered_is_quarantined_and_named(start_hub, broker):
    config = CONFIG.format(url=broker.url, target=broker.url).replace("'north' AS ce_zone", "x'00' AS ce_zone")
    hub = start_hub(config).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        publish(client)
        publish(client, 2)
        watcher.wait(2, "out/cbor/#")
        watcher.wait(2, "out/hall/#")
        assert not watcher.on("out/binary/#") and not watcher.on("out/structured/#")
    entries = [json.loads(line) for line in hub.run("quarantine", "list", "--json").stdout.splitlines()]
    reason = 'rule "c": CloudEvent: column "ce_zone" is a blob, not a text; use hex(...) for it'
    assert [entry["reason"] for entry in entries] == [reason, reason]


FIELDS = {
    "a_double": "-1e-300", "a_float": "0.1", "an_int32": "-2147483648", "an_int64": "-9223372036854775807 - 1",
    "a_uint32": "4294967295", "a_uint64": "9223372036854775807", "a_sint32": "-1", "a_sint64": "-9007199254740993",
    "a_fixed32": "7", "a_fixed64": "8", "a_sfixed32": "-7", "a_sfixed64": "-8", "a_bool": '"on"', "a_string": "'Zürich'",
    "a_bytes": "x'00ff'", "a_mode": "'MODE_COOL'", "location.lat": "47.5", "location.name": "place",
    "maybe_int": "0", "maybe_text": "NULL", "maybe_mode": "1", "packed_ints": "list", "names": "json_array('a', '')",
    "modes": "json_array('MODE_HEAT', 0, -3)", "places": "json_array(json_object('lat', 1.5), json_object('name', 'x'))",
    "labels": "json_object('site', place, 'none', '')", "by_number": "json_object('-1', 0.5)",
}
MESSAGE = """a_double: -1e-300
a_float: 0.1
an_int32: -2147483648
an_int64: -9223372036854775808
a_uint32: 4294967295
a_uint64: 9223372036854775807
a_sint32: -1
a_sint64: -9007199254740993
a_fixed32: 7
a_fixed64: 8
a_sfixed32: -7
a_sfixed64: -8
a_bool: true
a_string: "Z\\303\\274rich"
a_bytes: "\\000\\377"
a_mode: MODE_COOL
location {
  lat: 47.5
  name: "hall"
}
maybe_int: 0
maybe_mode: MODE_HEAT
packed_ints: 1
packed_ints: 2
packed_ints: -3
modes: MODE_HEAT
modes: MODE_OFF
modes: MODE_BELOW
names: "a"
names: ""
places {
  lat: 1.5
}
places {
  name: "x"
}
labels {
  key: "none"
  value: ""
}
labels {
  key: "site"
  value: "hall"
}
by_number {
  key: -1
  value: 0.5
}
"""


def protobuf_config(broker, fields, tmp_path):
    data = ROOT / "tests/data"
    subprocess.run(["protoc", f"-I{data}", "--include_imports", f"--descriptor_set_out={tmp_path}/formats.pb",
                    str(data / "formats.proto")], check=True, timeout=30)
    columns = ", ".join(f'{value} AS "{name}"' for name, value in fields.items())
    return f"""
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{broker.url}", probe: false}}, topics: ["a/#"]}}
targets:
  bus: {{mqtt: {{url: "{broker.url}"}}}}
rules:
  r:
    sql: |
      SELECT {columns} FROM "a/+"
    to:
      - bus: {{topic: out/protobuf, payload: protobuf, descriptors: "{tmp_path}/formats.pb", message: acme.Everything, qos: 1}}
"""


def test_protoc_decodes_our_protobuf(start_hub, broker, tmp_path):
    hub = start_hub(protobuf_config(broker, FIELDS, tmp_path)).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        client.publish("a/d1", json.dumps({"on": True, "place": "hall", "list": [1, 2, -3]}).encode())
        message = watcher.wait(1)[0]
    assert message.content_type == "application/x-protobuf"
    decoded = subprocess.run(["protoc", f"-I{ROOT}/tests/data", "--decode=acme.Everything", "formats.proto"], input=message.payload,
                             capture_output=True, check=True, timeout=30).stdout.decode()
    assert decoded == MESSAGE
    assert hub.terminate() == 0


def test_a_value_that_does_not_fit_its_field_is_quarantined(start_hub, broker, tmp_path):
    hub = start_hub(protobuf_config(broker, {"an_int32": "x", "location.lat": "y"}, tmp_path)).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        for x, y in ((1, 2.5), ("one", 1), (2**31, 1), (1.5, 1), (2, "north"), (3, 4)):
            client.publish("a/d1", json.dumps({"x": x, "y": y}).encode())
        assert len(watcher.wait(2)) == 2
    entries = [json.loads(line) for line in hub.run("quarantine", "list", "--json").stdout.splitlines()]
    for entry, column in zip(entries, ["an_int32", "an_int32", "an_int32", "location.lat"]):
        assert f'column "{column}"' in entry["reason"], entry
    assert len(entries) == 4


def test_check_finds_the_column_that_the_message_lacks(broker, tmp_path):
    config = tmp_path / "hub.yaml"
    for fields, wanted in (({"a_strin": "1"}, "a_string"), ({"location.latt": "1"}, "lat")):
        config.write_text(protobuf_config(broker, fields, tmp_path).replace("{dir}", str(tmp_path)))
        done = pipit("check", "-c", config, check=False)
        assert done.returncode != 0 and f'column "{list(fields)[0]}"' in done.stderr and wanted in done.stderr, done
        assert re.search(r"hub\.yaml:12:\d+: ", done.stderr), done.stderr
    text = protobuf_config(broker, {"a_string": "1"}, tmp_path).replace("{dir}", str(tmp_path))
    config.write_text(text.replace("acme.Everything", "acme.Everythin"))
    done = pipit("check", "-c", config, check=False)
    assert done.returncode != 0 and "acme.Everything" in done.stderr, done
