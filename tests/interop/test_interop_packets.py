"""The SDK's codec against npm's mqtt-packet, in both directions, on random packets of both versions.

PIPIT_PACKETS_SEED=<n> repeats a run."""

import json
import os
import random
import subprocess

import pytest

from peers import NODE_ENV, PROGRAMS, node_script

SEED = int(os.environ.get("PIPIT_PACKETS_SEED", random.randrange(1 << 31)))
COUNT = 6000
OURS = PROGRAMS / "client-packets"
KINDS_WRITTEN = {"connect", "publish", "subscribe", "unsubscribe", "puback", "pubrec", "pubrel", "pubcomp"}
KINDS_READ = {"connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "suback", "unsuback"}
FIRST_BYTES = {"puback": 0x40, "pubrec": 0x50, "pubrel": 0x62, "pubcomp": 0x70, "suback": 0x90, "unsuback": 0xB0}
# What the client assumes where a CONNACK says nothing.
SILENT = {"maximumPacketSize": 0xFFFFFFFF, "receiveMaximum": 65535, "serverKeepAlive": 60, "maximumQoS": 2,
          "retainAvailable": True}
MALFORMED, PROTOCOL_ERROR, TOPIC_INVALID, ALIAS_INVALID = 0x81, 0x82, 0x90, 0x94


def run(argv, given=()):
    """Its output, a JSON object a line."""
    text = "".join(json.dumps(each) + "\n" for each in given)
    done = subprocess.run([str(a) for a in argv], input=text, capture_output=True, text=True, env=NODE_ENV,
                          timeout=120, check=False)
    assert done.returncode == 0, f"{argv} gave {done.returncode}:\n{done.stderr[-4000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def contains(packet, wanted):
    """Does packet hold all that is wanted? mqtt-packet adds what it knows of the header."""
    if isinstance(wanted, dict):
        return isinstance(packet, dict) and all(contains(packet.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(packet, list) and len(packet) == len(wanted) and all(map(contains, packet, wanted))
    return packet == wanted and (isinstance(packet, bool) == isinstance(wanted, bool))


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 1500 else text[:1500] + "..."


def hexed(packets):
    """What the other side gets to see."""
    return [{"v": each["v"], "hex": each["hex"]} for each in packets]


# ---- what we write, it reads -------------------------------------------------------------------

OPTIONAL = ("will", "username", "password", "properties")


def test_what_we_write_mqtt_packet_reads():
    written = run([OURS, "write", SEED, COUNT])
    assert len(written) == COUNT
    parsed = run(node_script("packets.mjs") + ["parse"], hexed(written))
    for ours, theirs in zip(written, parsed):
        wanted = ours["packet"]
        assert contains(theirs, wanted), f"seed {SEED}: {short(ours)}\nread as {short(theirs)}"
        extra = [name for name in OPTIONAL if name in theirs and name not in wanted]
        assert not extra, f"seed {SEED}: {short(ours)}\nhas {extra} too"
        properties = theirs.get("properties", {}).keys() ^ wanted.get("properties", {}).keys()
        assert not properties, f"seed {SEED}: {short(ours)}\ndiffers in {properties}"
    assert {w["packet"]["cmd"] for w in written} == KINDS_WRITTEN
    lengths = {len(w["hex"]) // 2 for w in written}
    for edge in (127, 16383, 2097151):  # The length takes one more byte from there on.
        assert any(size <= edge for size in lengths) and any(size > edge for size in lengths)


# ---- what it writes, we read -------------------------------------------------------------------


def wanted_of(packet):
    """What our readers make of a packet that mqtt-packet generated."""
    cmd = packet["cmd"]
    if cmd == "publish":
        return {key: packet[key] for key in ("cmd", "topic", "payload", "qos", "messageId") if key in packet}
    if cmd == "connack":
        said = {key: value for key, value in packet.get("properties", {}).items() if key in SILENT}
        return {"cmd": cmd, "sessionPresent": packet["sessionPresent"],
                "code": packet.get("reasonCode", packet.get("returnCode")), **SILENT, **said}
    code = packet.get("reasonCode", 0) if "granted" not in packet else packet["granted"][0]
    return {"first": FIRST_BYTES[cmd], "messageId": packet["messageId"], "code": code}


def test_what_mqtt_packet_writes_we_read():
    generated = run(node_script("packets.mjs") + ["generate", SEED, COUNT])
    assert len(generated) == COUNT
    for theirs, ours in zip(generated, run([OURS, "read"], hexed(generated))):
        wanted = wanted_of(theirs["packet"])
        assert ours == wanted, f"seed {SEED}: {short(theirs)}\nread as {short(ours)}\nnot {short(wanted)}"
    assert {g["packet"]["cmd"] for g in generated} == KINDS_READ
    assert {g["v"] for g in generated} == {4, 5}


@pytest.mark.parametrize("why, version, packet, reason", [
    ("a topic alias, which we never allow", 5, "3006 0000 03 230001", ALIAS_INVALID),
    ("QoS 3", 4, "3605 0001 74 0001", MALFORMED),
    ("DUP at QoS 0", 4, "3803 0001 74", MALFORMED),
    ("an identifier of 0", 4, "3205 0001 74 0000", MALFORMED),
    ("a wildcard in a topic", 4, "3003 0001 23", TOPIC_INVALID),
    ("a topic that is no UTF-8", 4, "3003 0001 ff", TOPIC_INVALID),
    ("properties longer than the packet", 5, "3004 0001 74 05", MALFORMED),
    ("an unknown property", 5, "3006 0001 74 02 7f00", MALFORMED),
    ("a receive maximum of 0", 5, "2006 0000 03 210000", PROTOCOL_ERROR),
    ("reserved flags in CONNACK", 4, "2002 0200", MALFORMED),
    ("a length of five bytes", 4, "30ffffffff01", MALFORMED),
    ("a SUBACK without a code", 4, "9002 0001", MALFORMED),
])
def test_what_no_broker_may_send_is_refused(why, version, packet, reason):
    assert run([OURS, "read"], [{"v": version, "hex": packet.replace(" ", "")}]) == [{"error": reason}], why
