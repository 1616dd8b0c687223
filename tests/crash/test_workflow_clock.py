"""Timers of workflows when the clock jumps a day forward and back (libfaketime) and the hub is killed
meanwhile: each fires once, none before its time, none is lost."""

import sqlite3

import pytest

from faked import RELEASE, clock_environment, needs_release
from harness import Client, Collector, Hub, wait_for

HOUR_MS = 3600000
DAY_S = 86400
EACH = 300  # Instances that wait so long, of each of WAITS_MS.
WAITS_MS = {"soon": 1000, "half": 12 * HOUR_MS, "tomorrow": 36 * HOUR_MS, "month": 30 * 24 * HOUR_MS}
LONG_S = 120

CONFIG = """
hub: {{id: clock, store: "{{dir}}/hub.db", stats_every: 0, check_broker: false}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["timers/+"]}}
devices:
  timers: {{from: "timers/+", device: "'timers'", sequence: n}}
targets:
  bus: {{mqtt: {{url: "{url}"}}, backoff_min: 50 ms, backoff_max: 500 ms}}
workflows:
  timer:
    start: {{from: "timers/+", key: topic_part(2)}}
    variables: {{wait: wait}}
    keep: 365 d
    steps:
      - alarm: {{until: "my.started + wait"}}
      - tell: {{emit: {{to: bus, topic: "fired/{{my.key}}", fields: {{due: "my.started + wait", at: "now_ms()"}}}}}}
"""


class Timers:
    def __init__(self, broker, tmp_path):
        self.clock = tmp_path / "clock"
        self.set_clock(0)
        self.hub = Hub(CONFIG.format(url=broker.url), tmp_path / "hub", env=clock_environment(self.clock))
        self.client = Client(broker.port)
        self.collector = Collector(broker.port, "fired/+")
        self.sent = 0

    def set_clock(self, seconds):
        self.clock.write_text(f"{seconds:+d}")

    def start(self, kinds):
        handles = []
        for number in range(EACH):
            for kind in kinds:
                self.sent += 1
                payload = f'{{"n": {self.sent}, "wait": {WAITS_MS[kind]}}}'
                handles.append(self.client.publish(f"timers/{kind}-{self.sent}", payload))
        for handle in handles:
            handle.wait_for_publish(LONG_S)
        wait_for(lambda: self.count("SELECT count(*) FROM pipit_workflow_instance") == self.sent, LONG_S, "all began")

    def count(self, sql):
        with sqlite3.connect(f"file:{self.hub.dir}/hub.db?mode=ro", uri=True) as store:
            return store.execute(sql).fetchone()[0]

    def waiting(self):
        return self.count("SELECT count(*) FROM pipit_workflow_wait WHERE due IS NOT NULL")

    def fired(self, kind):
        """Keys of that kind whose message came, whatever how often."""
        return {message.topic for message in self.collector.messages if message.topic.startswith(f"fired/{kind}-")}

    def wait_fired(self, kind, count):
        wait_for(lambda: len(self.fired(kind)) == count, LONG_S,
                 lambda: f"{count} of {kind}; there are {len(self.fired(kind))}\n{self.hub.tail()}")

    def restart(self):
        self.hub.kill()
        self.hub.start().wait_ready()

    def close(self):
        self.client.close()
        self.collector.close()
        self.hub.cleanup()


@pytest.fixture
def timers(tmp_path, broker, monkeypatch):
    monkeypatch.setattr("harness.PIPIT", RELEASE / "hub" / "pipit")
    made = Timers(broker, tmp_path)
    made.hub.start().wait_ready()
    yield made
    made.close()


@needs_release
def test_jumps_of_a_day_neither_lose_nor_double_a_timer(timers):
    timers.start(WAITS_MS)
    timers.wait_fired("soon", EACH)
    timers.set_clock(DAY_S)  # Noon of the next day: what waited for half of one is due.
    wait_for(lambda: timers.fired("half"), LONG_S, "the first of them fires")
    timers.restart()  # In the midst of it.
    timers.wait_fired("half", EACH)
    timers.set_clock(0)  # Back by a day: nothing fires again, and what begins now fires in its time.
    timers.start(["soon"])
    timers.wait_fired("soon", 2 * EACH)
    timers.restart()
    assert timers.waiting() == 2 * EACH, "what is due later waits on"
    timers.set_clock(2 * DAY_S)
    timers.wait_fired("tomorrow", EACH)
    timers.restart()
    assert not timers.fired("month")
    timers.hub.kill()  # The last ones become due while the hub is down: they fire when it is up.
    timers.set_clock(31 * DAY_S)
    timers.hub.start().wait_ready()
    timers.wait_fired("month", EACH)
    wait_for(lambda: timers.hub.status()["books"]["waiting"] == 0, LONG_S, "all is delivered")
    judge(timers)


def judge(timers):
    """Nobody fired early; each completed once, each visit of a step was done once."""
    early = [message for message in timers.collector.messages if message.json()["at"] < message.json()["due"]]
    assert not early, early[:3]
    keys = {}
    for message in timers.collector.messages:
        keys.setdefault(message.topic, set()).add(message.key)
    assert len(keys) == timers.sent
    assert all(len(found) == 1 for found in keys.values()), "an instance has sent two"
    assert timers.count("SELECT count(*) FROM pipit_workflow_instance WHERE ended IS NOT NULL") == timers.sent
    assert timers.count("SELECT count(*) FROM (SELECT 1 FROM pipit_workflow_entry WHERE what = 'done'"
                        " GROUP BY instance, execution HAVING count(*) > 1)") == 0
    assert timers.count("SELECT completed FROM pipit_workflow") == timers.sent
    assert timers.waiting() == 0
    books = timers.hub.status()["books"]
    assert books["enqueued"] == books["delivered"] == timers.sent, books
    assert books["received"] == books["routed"] + books["filtered"] + books["duplicate"] + books["rejected"], books
