"""No PUBACK before the sync: promise 1, seen from outside.

The broker is played by the test; strace tells the order of the hub's system calls, or holds up or
breaks its syncs.
"""

import re
import time

import pytest

from harness import stays, wait_for
from scripted_broker import ScriptedBroker

CONFIG = """
hub: {{id: order, store: "{{dir}}/hub.db", stats_every: 0, check_broker: false}}
sources:
  plant:
    mqtt: {{url: "{url}", probe: false, version: "{version}"{more}}}
    topics: ["a/#"]
targets:
  out: {{file: {{path: "{{dir}}/out.ndjson"}}}}
rules:
  all:
    sql: SELECT n FROM "a/#"
    to:
      - out: {{}}
"""
# LeakSanitizer cannot work under ptrace.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0"}
DELAY_S = 0.5


def config(broker, version="auto", more=""):
    return CONFIG.format(url=broker.url, version=version, more=more)


def batch(number, size=20):
    return [(f"a/{number}", b'{"n": %d}' % (number * 1000 + i)) for i in range(size)]


def system_calls(path):
    """(name, rest of the line) of completed calls in their order of completion."""
    begun = {}
    for line in path.read_text(errors="replace").splitlines():
        thread, _, text = line.partition(" ")
        text = text.strip()
        call = re.match(r"(\w+)\((.*)", text)
        if call and "<unfinished" in text:
            begun[thread] = (call.group(1), call.group(2).partition("<unfinished")[0].rstrip())
            continue
        resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", text)
        if resumed:
            name, rest = begun.pop(thread, (resumed.group(1), ""))
            yield name, rest + resumed.group(2)
        elif call:
            yield call.groups()


def check_order(path, port):
    """Between the last byte read and a PUBACK written to the broker lies a sync of the store.
    Gives how many PUBACKs and syncs there were."""
    to_broker = re.compile(rf"\d+<(TCP|socket):\[[^]]*:{port}\]>")
    unsynced, pubacks, syncs = False, 0, 0
    for name, rest in system_calls(path):
        if name in ("fdatasync", "fsync") and re.search(r"hub\.db(-wal)?>\) *= 0", rest):
            unsynced = False
            syncs += 1
        elif not to_broker.match(rest):
            continue
        elif name in ("read", "recvfrom") and re.search(r"= [1-9]\d*$", rest):
            unsynced = True
        elif name in ("write", "sendto") and '"@' in rest:
            pubacks += 1
            assert not unsynced, f"PUBACK {pubacks} was written before the store was synced"
    return pubacks, syncs


def run_traced(start_hub, tmp_path, broker, version="auto", more="", faults=False):
    """Five batches, each acknowledged before the next comes; gives the trace."""
    trace = tmp_path / f"trace-{version}"
    hub = start_hub(config(broker, version, more), folder=f"hub-{version}", faults=faults,
                    env=ENVIRONMENT,
                    wrap=["strace", "-f", "-yy", "-s", "16", "-o", trace, "-e",
                          "trace=read,recvfrom,write,sendto,fdatasync,fsync"])
    hub.wait_ready()
    for number in range(5):
        broker.wait_acknowledged(broker.publish_all(batch(number)))
    hub.terminate()
    return trace


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_every_acknowledgement_follows_a_sync(start_hub, tmp_path, version):
    with ScriptedBroker() as broker:
        trace = run_traced(start_hub, tmp_path, broker, version)
        pubacks, syncs = check_order(trace, broker.port)
        assert pubacks == 100
        assert syncs >= 5
        assert len(set(broker.acknowledged())) == len(broker.acknowledged()) == 100


def test_the_test_notices_early_acknowledgement(start_hub, tmp_path):
    with ScriptedBroker() as broker:
        trace = run_traced(start_hub, tmp_path, broker, more=", ack_before_commit: true",
                           faults=True)
        with pytest.raises(AssertionError, match="before the store was synced"):
            check_order(trace, broker.port)


def test_a_slow_sync_holds_the_acknowledgement_up(start_hub):
    with ScriptedBroker() as broker:
        hub = start_hub(config(broker), env=ENVIRONMENT, wrap=[
            "strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
            f"inject=fdatasync,fsync:delay_enter={int(DELAY_S * 1e6)}"])
        hub.wait_ready()
        for number in range(2):
            sent = time.monotonic()
            ids = broker.publish_all(batch(number))
            broker.wait_acknowledged(ids)
            first = min(at for packet_id, at in broker.pubacks if packet_id in ids)
            assert first - sent >= DELAY_S


def test_a_failing_sync_acknowledges_nothing(start_hub):
    """From the 20th sync on, long after the start, the disk is broken."""
    with ScriptedBroker() as broker:
        hub = start_hub(config(broker), env=ENVIRONMENT, wrap=[
            "strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
            "inject=fdatasync,fsync:error=EIO:when=20+"])
        hub.wait_ready()
        number = 0
        while True:  # Until a batch meets the broken sync.
            ids = broker.publish_all(batch(number, 3))
            number += 1
            try:
                broker.wait_acknowledged(ids, 3)
            except AssertionError:
                break
            assert number < 40, "the injected fault never came"
        stays(lambda: not set(ids) & set(broker.acknowledged()), 1,
              "a batch was acknowledged that was not synced")
        wait_for(lambda: hub.log_lines("level=error"), what=lambda: f"an error line:\n{hub.tail()}")
