"""Payloads in every format through a hub: protobuf against protoc, CBOR against another library, what
does not fit, and a descriptor set that changes under a running hub."""

import json
import math
import random
import re
import shutil
import signal
import struct
import subprocess

import cbor2

from harness import ROOT, Client, Subscriber, wait_for

DATA = ROOT / "tests" / "data"
PROTOC = shutil.which("protoc") or "/usr/bin/protoc"

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["in/#"]}}
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
formats:
{formats}
rules:
  all:
    sql: SELECT topic_part(3) AS n, fields() AS f FROM "in/#"
    to: [bus: {{topic: "out/{{n}}"}}, bus: {{topic: "raw/{{n}}", payload: original}}]
"""


def protoc(*arguments, data=b""):
    done = subprocess.run([PROTOC, *map(str, arguments)], input=data, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def encode(message, text):
    return protoc(f"--encode={message}", "-I", DATA, DATA / "formats.proto", data=text.encode())


def decode(message, payload):
    return protoc(f"--decode={message}", "-I", DATA, DATA / "formats.proto", data=payload).decode()


def descriptors(folder, proto=DATA / "formats.proto"):
    path = folder / (proto.stem + ".desc")
    protoc("-I", proto.parent, "--include_imports", f"--descriptor_set_out={path}", proto)
    return path


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["received"] == b["routed"] + b["filtered"] + b["duplicate"] + b["rejected"], b
    return b


# ---- protobuf, as protoc reads it ---------------------------------------------------------------

LOCATION = {"lat": "double", "lon": "double", "name": "string?"}
CORE = {"depth": "int32", "cores": "[core"}
LEGACY = {"id": "int32?", "serial": "string?", "speed": "int32?", "note": "string?", "is_on": "bool?", "loose": "[int32",
          "packed": "[int32", "kind": "kind?", "counts": "{string int32", "first": "int64?", "second": "string?",
          "ratio": "double?", "share": "float?", "data": "bytes?"}
LESS = {"an_int32": "int32", "a_string": "string"}
EVERYTHING = {
    "a_double": "double", "a_float": "float", "an_int32": "int32", "an_int64": "int64", "a_uint32": "uint32",
    "a_uint64": "uint64", "a_sint32": "int32", "a_sint64": "int64", "a_fixed32": "uint32", "a_fixed64": "uint64",
    "a_sfixed32": "int32", "a_sfixed64": "int64", "a_bool": "bool", "a_string": "string", "a_bytes": "bytes",
    "a_mode": "mode", "location": "location?", "maybe_int": "int32?", "maybe_text": "string?", "maybe_mode": "mode?",
    "maybe_bytes": "bytes?", "packed_ints": "[int32", "packed_doubles": "[double", "loose_ints": "[int32",
    "flags": "[bool", "modes": "[mode", "names": "[string", "blobs": "[bytes", "places": "[location",
    "zigzags": "[int64", "fixeds": "[uint32", "floats": "[float", "labels": "{string string",
    "by_number": "{int32 double", "by_truth": "{bool string", "by_place": "{string location", "by_big": "{uint64 mode",
    "count": "int32?", "word": "string?", "spot": "location?", "raw": "bytes?", "state": "mode?", "level": "double?",
    "inner": "inner?", "again": "everything?", "legacy": "legacy?", "far": "uint32"}
ONEOF = ["count", "word", "spot", "raw", "state", "level"]
MESSAGES = {"location": LOCATION, "core": CORE, "inner": {"core": "core?"}, "everything": EVERYTHING, "legacy": LEGACY}
INTEGERS = {"int32": (-2**31, 2**31 - 1), "int64": (-2**63, 2**63 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)}
ZEROS = {"double": 0.0, "float": 0.0, "bool": False, "string": "", "bytes": "", "mode": "MODE_OFF"}


def as_float(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def quoted(text):
    return '"' + "".join(f"\\{byte:03o}" for byte in text) + '"'


class Writer:
    """Random messages in protoc's text format."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def scalar(self, kind):
        pick = self.random.choice
        if kind in INTEGERS:
            low, high = INTEGERS[kind]
            return str(pick([low, high, 0, 1, self.random.randint(low, high)]))
        if kind == "double":
            return repr(pick([0.0, -1.5, 1e300, 27.1, self.random.uniform(-1e6, 1e6)]))
        if kind == "float":
            return repr(as_float(pick([0.0, 27.1, 1e-20, self.random.uniform(-1000, 1000)])))
        if kind == "bool":
            return pick(["true", "false"])
        if kind == "string":
            return quoted(pick(["", "plain", "é ☃ 𝄞", 'quo"te', "line\nend"]).encode())
        if kind == "bytes":
            return quoted(self.random.randbytes(self.random.randint(0, 20)))
        return pick({"mode": ["MODE_OFF", "MODE_COOL", "-3", "77"], "kind": ["KIND_A", "KIND_B"]}[kind])

    def value(self, name, kind, depth):
        if kind in MESSAGES:
            return f"{name} {{ {self.message(MESSAGES[kind], depth + 1)} }}"
        return f"{name}: {self.scalar(kind)}"

    def field(self, name, kind, depth):
        if kind[0] == "[":
            return [self.value(name, kind[1:], depth) for _ in range(self.random.randint(0, 3))]
        if kind[0] == "{":
            key, value = kind[1:].split()
            return [f"{name} {{ key: {self.scalar(key)} {self.value('value', value, depth)} }}"
                    for _ in range(self.random.randint(0, 3))]
        return [self.value(name, kind.rstrip("?"), depth)]

    def message(self, fields, depth=0, turn=None):
        """The first turns have all there can be, each with another member of the oneof."""
        chosen = self.random.choice(ONEOF) if turn is None else ONEOF[turn % len(ONEOF)]
        gaps = 0 if turn is not None and turn < len(ONEOF) else 0.3
        lines = []
        for name, kind in fields.items():
            is_required = fields is LEGACY and name in ("id", "serial")
            is_too_deep = depth > 2 and kind.strip("[?") in MESSAGES
            is_other = (fields is EVERYTHING and name in ONEOF and name != chosen) or (fields is LEGACY and name == "first")
            if is_required or not (is_too_deep or is_other or self.random.random() < gaps):
                lines += self.field(name, kind, depth)
        return "\n".join(lines)


TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[{}:]|[^\s{}:"]+)')
ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", '"': b'"', "'": b"'", "\\": b"\\"}


def unquoted(token):
    parts = re.findall(rb'\\([0-7]{1,3})|\\(.)|([^\\]+)', token[1:-1].encode())
    return b"".join(bytes([int(octal, 8)]) if octal else ESCAPES[one.decode()] if one else plain
                    for octal, one, plain in parts)


class Reader:
    """protoc's text format as (name, value) pairs: values are texts as they stand, or such lists."""

    def __init__(self, text):
        self.tokens = TOKEN.findall(text)
        self.at = 0

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def message(self):
        pairs = []
        while self.at < len(self.tokens) and self.tokens[self.at] != "}":
            name, mark = self.next(), self.next()
            if mark == "{":
                pairs.append((name, self.message()))
                assert self.next() == "}"
            else:
                pairs.append((name, self.next()))
        return pairs


def plain(kind, token):
    """What the hub's JSON should have for it."""
    if kind in MESSAGES:
        return as_json(MESSAGES[kind], token)
    if kind in INTEGERS:
        number = int(token)
        return number if number < 2**63 else float(number)
    if kind in ("double", "float"):
        return float(token)
    if kind == "bool":
        return token == "true"
    if kind == "string":
        return unquoted(token).decode()
    if kind == "bytes":
        return unquoted(token).hex()
    return int(token) if re.fullmatch(r"-?\d+", token) else token


def zero(kind):
    return 0 if kind in INTEGERS else ZEROS[kind]


def as_json(fields, pairs):
    found = {name: [] if kind[0] == "[" else {} if kind[0] == "{" else zero(kind)
             for name, kind in fields.items() if kind[-1] != "?"}
    for name, value in pairs:
        kind = fields.get(name)
        if kind is None:
            assert re.fullmatch(r"\d+", name), name  # Unknown here: no column.
        elif kind[0] == "[":
            found[name].append(plain(kind[1:], value))
        elif kind[0] == "{":
            entry = dict(value)
            key = unquoted(entry["key"]).decode() if kind[1:].startswith("string") else entry["key"]
            found[name][key] = plain(kind.split()[1], entry["value"])
        else:
            found[name] = plain(kind.rstrip("?"), value)
    return found


def same(fields, ours, theirs):
    """Equal, floats as floats: protoc prints so many digits, the hub the fewest that name it."""
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        kind = fields[name].strip("[?").split()[-1]
        mine = ours[name]
        pairs = zip(mine, value) if isinstance(value, list) else \
            [(mine[key], value[key]) for key in value] if fields[name][0] == "{" else [(mine, value)]
        if isinstance(value, (list, dict)):
            assert len(mine) == len(value), name
        for one, other in pairs:
            if kind in MESSAGES:
                same(MESSAGES[kind], one, other)
            elif kind == "float":
                assert as_float(one) == as_float(other), name
            else:
                assert one == other and isinstance(one, bool) == isinstance(other, bool), name
    return True


def test_protobuf_agrees_with_protoc_for_every_kind_of_field(start_hub, broker, tmp_path):
    desc = descriptors(tmp_path)
    start_hub(CONFIG.format(url=broker.url, formats=f"""
  all: {{from: "in/all/+", protobuf: {{descriptors: {desc}, message: acme.Everything}}}}
  less: {{from: "in/less/+", protobuf: {{descriptors: {desc}, message: acme.Less}}}}
  legacy: {{from: "in/legacy/+", protobuf: {{descriptors: {desc}, message: .acme.Legacy}}}}
""")).wait_ready()
    print("seed", seed := random.randrange(2**32))
    writer = Writer(seed)
    cases = []  # (topic, fields, message, payload)
    for turn in range(25):
        payload = encode("acme.Everything", writer.message(EVERYTHING, turn=turn))
        cases += [("all", EVERYTHING, "acme.Everything", payload), ("less", LESS, "acme.Less", payload)]
    for turn in range(10):
        payload = encode("acme.Legacy", writer.message(LEGACY, turn=turn))
        cases.append(("legacy", LEGACY, "acme.Legacy", payload))
    cases.append(("all", EVERYTHING, "acme.Everything", b""))
    with Subscriber(broker.port, "out/#", "raw/#") as watcher, Client(broker.port) as client:
        for number, (topic, _, _, payload) in enumerate(cases):
            client.publish(f"in/{topic}/{number}", payload)
        watcher.wait(2 * len(cases))
        seen = set()
        for number, (_, fields, message, payload) in enumerate(cases):
            theirs = as_json(fields, Reader(decode(message, payload)).message())
            ours = watcher.on(f"out/{number}")[0].json()["f"]
            assert same(fields, ours, theirs), (ours, theirs)
            seen |= theirs.keys()
            assert watcher.on(f"raw/{number}")[0].payload == payload  # With what was unknown.
    assert seen >= EVERYTHING.keys() | LEGACY.keys() - {"first"}, seen  # Each kind was there.


# ---- CBOR, as another library writes it ---------------------------------------------------------

def cbor_value(rng, depth=0):
    pick = rng.randrange(11 if depth < 4 else 8)
    if pick == 0:
        return rng.choice([0, 23, 24, 255, 256, 65536, 2**32, 2**63 - 1, -1, -2**63])
    if pick == 1:
        return rng.choice([0.0, 1.5, 65504.0, 1e300, -0.1, 27.1])
    if pick == 2:
        return rng.choice([True, False, None])
    if pick < 6:
        return rng.choice(["", "plain", "é ☃ 𝄞", "x" * 300])
    if pick < 8:
        return rng.randbytes(rng.randrange(30))
    if pick == 8:
        return [cbor_value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {f"k{i}": cbor_value(rng, depth + 1) for i in range(rng.randrange(5))}


def shown(value):
    """Blobs are hexadecimal in JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [shown(item) for item in value]
    return {key: shown(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_cbor_agrees_with_another_library(start_hub, broker):
    start_hub(CONFIG.format(url=broker.url, formats='  c: {from: "in/c/+", cbor: {}}')).wait_ready()
    print("seed", seed := random.randrange(2**32))
    rng = random.Random(seed)
    values = [{"v": cbor_value(rng), "n": number} for number in range(100)]
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        for number, value in enumerate(values):
            # By an entry, or by the content type alone; numbers as short as can be, or as they are.
            topic, kind = ("in/c/", None) if number % 2 == 0 else ("in/d/", "application/cbor")
            client.publish(topic + str(number), cbor2.dumps(value, canonical=number % 3 == 0), content_type=kind)
        watcher.wait(len(values))
        for number, value in enumerate(values):
            assert watcher.on(f"out/{number}")[0].json()["f"] == shown(value)


# ---- what does not fit --------------------------------------------------------------------------

def test_what_does_not_fit_is_kept_with_its_reason_and_acknowledged(start_hub, broker, tmp_path):
    hub = start_hub(CONFIG.format(url=broker.url, formats=f"""
  m: {{from: "in/m/+", protobuf: {{descriptors: {descriptors(tmp_path)}, message: acme.Legacy}}}}
  t: {{from: "in/t/+", json: {{}}, fields: {{level: number, unit: "text?"}}}}
  c: {{from: "in/c/+", cbor: {{}}}}
  n: {{from: "in/n/+", number: {{}}}}
""")).wait_ready()
    poison = [
        ("in/m/1", b"\xff\xff\xff", "is not a acme.Legacy: malformed or cut short"),
        ("in/m/2", b"\x08\x01", "acme.Legacy: serial: is missing; acme.Legacy requires it"),
        ("in/t/1", b'{"unit":"m"}', 'the field "level" is missing or null; it must be a number'),
        ("in/t/2", b'{"level":"high"}', 'the field "level" is a text; it must be a number'),
        ("in/c/1", b"\x9b" + b"\xff" * 8, "the CBOR does not parse: byte 0 of 9"),
        ("in/c/2", b"\x81" * 100000, "nested deeper than 32 levels"),
        ("in/n/1", b"12 C", "is not a number in decimal text"),
    ]
    good = [("in/m/8", b"\x08\x01\x12\x01x"), ("in/t/8", b'{"level":1}'), ("in/c/8", b"\xa0"), ("in/n/8", b"12")]
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        for topic, payload, _ in poison:
            client.publish(topic, payload)
        for topic, payload in good:
            client.publish(topic, payload)
        watcher.wait(len(good))
    entries = [json.loads(line) for line in hub.run("quarantine", "list", "--json").stdout.splitlines()]
    for topic, _, reason in poison:
        assert any(entry["topic"] == topic and reason in entry["reason"] for entry in entries), (topic, entries)
    before = books(hub)
    assert before["rejected"] == len(poison) and before["routed"] == len(good), before
    assert hub.terminate() == 0  # Acknowledged: none of it comes again.
    hub.start().wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        client.publish("in/n/9", b"13")
        assert watcher.wait(1)[0].json() == {"n": "9", "f": {"value": 13}}
    assert books(hub)["received"] == before["received"] + 1


def test_a_reload_reads_the_descriptors_again(start_hub, broker, tmp_path):
    proto = tmp_path / "board.proto"
    proto.write_text('syntax = "proto3"; package b; message Board { int32 heat = 1; }')
    desc = descriptors(tmp_path, proto)
    hub = start_hub(CONFIG.format(url=broker.url, formats=f"""
  b: {{from: "in/b/+", protobuf: {{descriptors: {desc}, message: b.Board}}}}
""")).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        client.publish("in/b/1", b"\x08\x05\x10\x07")
        assert watcher.wait(1)[0].json()["f"] == {"heat": 5}
        proto.write_text('syntax = "proto3"; package b; message Board { int32 warmth = 1; int32 draft = 2; }')
        descriptors(tmp_path, proto)
        hub.signal(signal.SIGHUP)
        hub.wait_log("id=RELOAD")
        client.publish("in/b/2", b"\x08\x05\x10\x07")
        assert watcher.wait(2)[1].json()["f"] == {"warmth": 5, "draft": 7}
        desc.write_bytes(b"no descriptors")
        hub.signal(signal.SIGHUP)
        hub.wait_log("not what protoc --descriptor_set_out writes")
        client.publish("in/b/3", b"\x08\x05\x10\x07")
        assert watcher.wait(3)[2].json()["f"] == {"warmth": 5, "draft": 7}


def test_mirror_shows_fields_whatever_the_format(start_hub, broker):
    text = CONFIG.format(url=broker.url, formats='  c: {from: "in/c/+", cbor: {}}')
    start_hub(text.replace("stats_every: 0", "stats_every: 0, mirror: true")).wait_ready()
    with Subscriber(broker.port, "pipit/v1/$hub/#") as watcher, Client(broker.port) as client:
        client.publish("in/c/1", cbor2.dumps({"level": 1.5, "raw": b"\xfe", "odd": math.nan}))
        line = wait_for(lambda: watcher.on("pipit/v1/$hub/plant/mirror/#"))[0].json()
        assert line["payload"] == {"level": 1.5, "raw": "fe", "odd": None}


def test_descriptors_of_the_examples_are_those_of_their_protos(tmp_path):
    protos = sorted((ROOT / "docs" / "examples").glob("*/*.proto"))
    assert protos
    for proto in protos:
        assert descriptors(tmp_path, proto).read_bytes() == proto.with_suffix(".desc").read_bytes(), \
            f"{proto}: run protoc --include_imports --descriptor_set_out again"
