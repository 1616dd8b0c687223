"""Five hundred devices on the SDK's own client when the broker comes back: they spread their connects,
all come back, and nothing is lost on the way to the hub. Each bound is known to be broken without the
jitter, or with a backoff that forgets at once.

PIPIT_STORM_SHOW=1 prints how the attempts are spread."""

import collections
import json
import os
import socket
import subprocess
import threading

import pytest

from harness import BUILD, Broker, Hub, Process, wait_for

COUNT = 500
BUCKET_MS = 100
STEADY_MS = 10 ** 6
TRIES = 3  # A machine that stalls brings together what was spread; without jitter it would be so each time.

HUB = """
hub: {{id: plant, store: "{{dir}}/hub.db", stats_every: 0, check_broker: false}}
sources:
  plant: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}
targets:
  out: {{file: {{path: "{{dir}}/out.ndjson"}}}}
rules:
  all: {{sql: 'SELECT device, sequence, wave FROM "pipit/v1/+/+/event/wave"', key: device, to: [out: {{}}]}}
"""


class Storm(Process):
    """tests/crash/storm.c. seeds: how far the devices' seeds lie apart, None: entropy."""

    def __init__(self, port, count=COUNT, base_ms=200, cap_ms=4000, reset_ms=STEADY_MS, seeds=None):
        super().__init__("storm")
        self.count = count
        argv = [BUILD / "tests" / "crash" / "storm", port, count, base_ms, cap_ms, reset_ms, seeds or 0]
        self.popen = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, args=(self.popen.stdout,), daemon=True)
        self._reader.start()

    def send(self, line):
        self.popen.stdin.write(f"{line}\n".encode())
        self.popen.stdin.flush()

    def events(self, what):
        """(milliseconds, device) of all that was said."""
        found = []
        for line in list(self.lines):
            words = line.split()
            assert words[0].isdigit(), f"storm said: {line}"
            if words[1] == what:
                found.append((int(words[0]), int(words[2]) if len(words) > 2 else None))
        return found

    def mark(self, word):
        """The time by the clock of the events."""
        self.send(f"say {word}")
        return wait_for(lambda: self.events(word), what=f"{word} said")[-1][0]

    def count_up(self):
        up = collections.Counter(device for _, device in self.events("up"))
        down = collections.Counter(device for _, device in self.events("down"))
        return sum(up[device] > down[device] for device in up)

    def wait_up(self):
        wait_for(lambda: self.count_up() == self.count, 30, lambda: f"{self.count_up()} of {self.count} are up", 0.05)

    def wait_down(self):
        wait_for(lambda: self.count_up() == 0, 30, lambda: f"{self.count_up()} are still up", 0.05)

    def publish(self):
        """An event of each device; gives what wait_settled has to wait for."""
        before = len(self.events("settled"))
        self.send("publish")
        return before + 1

    def wait_settled(self, count):
        wait_for(lambda: len(self.events("settled")) >= count, 30, f"{count} x all events stored", 0.05)

    def buckets(self, begin_ms, end_ms=None):
        """Attempts in each tenth of a second from begin_ms on."""
        at = [ms - begin_ms for ms, _ in self.events("try") if ms >= begin_ms and (end_ms is None or ms < end_ms)]
        counts = collections.Counter(ms // BUCKET_MS for ms in at)
        spread = [counts[n] for n in range(max(counts, default=-1) + 1)]
        if os.environ.get("PIPIT_STORM_SHOW"):
            print(f"\n{sum(spread)} attempts, at most {max(spread, default=0)} in {BUCKET_MS} ms: {spread}")
        return spread

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.kill()
            return
        self.popen.stdin.close()
        assert self.wait() == 0, self.tail()


# ---- a broker restart --------------------------------------------------------------------------


def restart(folder):
    """Down for four seconds; the backoff has grown by then. The attempts at the fall, and after the return."""
    with Broker() as broker, Hub(HUB.format(url=broker.url), folder) as hub, Storm(broker.port) as storm:
        hub.wait_ready()
        storm.wait_up()
        storm.wait_settled(storm.publish())
        broker.kill()
        storm.wait_down()
        fell_at = max(ms for ms, _ in storm.events("down"))
        waves = storm.publish()  # Accepted while the broker is away.
        threading.Event().wait(4)  # How long it is away is the test's, not a wait for a fact.
        back_at = storm.mark("back")
        broker.start()
        storm.wait_up()
        storm.wait_settled(waves)
        storm.wait_settled(storm.publish())
        first_wave = storm.buckets(fell_at, fell_at + 1000)
        spread = storm.buckets(back_at)
        wait_for(lambda: len((hub.dir / "out.ndjson").read_text().splitlines()) >= 3 * COUNT, what="all delivered")
        rows = [json.loads(line) for line in (hub.dir / "out.ndjson").read_text().splitlines()]
        seen = [(row["payload"]["device"], row["payload"]["wave"]) for row in rows]
        assert sorted(seen) == sorted((f"n{n}", wave) for n in range(COUNT) for wave in (1, 2, 3))
    return first_wave, spread


def test_a_broker_restart_is_spread_and_loses_nothing(tmp_path):
    for n in range(TRIES):
        first_wave, spread = restart(tmp_path / f"hub-{n}")
        # Base to three times base is 400 ms, 125 each; later they lie anywhere in several seconds.
        if max(first_wave) < COUNT * 0.45 and max(spread) < COUNT * 0.2:
            return
    raise AssertionError(f"all at once: {first_wave}, {spread}")


def spread_of_a_restart(**options):
    """The attempts after a broker was back that had been away for two seconds."""
    with Broker() as broker, Storm(broker.port, **options) as storm:
        storm.wait_up()
        broker.kill()
        storm.wait_down()
        threading.Event().wait(2)
        back_at = storm.mark("back")
        broker.start()
        storm.wait_up()
        return storm.buckets(back_at)


def test_without_jitter_they_come_all_at_once():
    assert any(max(spread_of_a_restart(base_ms=1000, cap_ms=1000)) > COUNT * 0.5 for _ in range(TRIES))


@pytest.mark.parametrize("seeds", [1, 1 << 16])
def test_poor_seeds_spread_as_well(seeds):
    """Serial numbers instead of entropy, in the low or the high bits."""
    assert any(max(spread_of_a_restart(cap_ms=2000, seeds=seeds)) < COUNT * 0.25 for _ in range(TRIES))


def spread_at_the_cap():
    """The broker falls again before the backoff starts anew: all fall at the same moment with a backoff
    near its cap."""
    with Broker() as broker, Storm(broker.port, base_ms=100, cap_ms=1000) as storm:
        storm.wait_up()
        broker.kill()
        storm.wait_down()
        threading.Event().wait(3)  # So long that all have come near the cap.
        broker.start()
        storm.wait_up()
        broker.kill()
        storm.wait_down()
        fell_at = max(ms for ms, _ in storm.events("down"))
        threading.Event().wait(1.5)
        return storm.buckets(fell_at, fell_at + 1500)


def test_spread_is_kept_when_the_backoff_has_reached_its_cap():
    assert any(max(spread_at_the_cap()) < COUNT * 0.35 for _ in range(TRIES))


# ---- a link that flaps -------------------------------------------------------------------------

CONNACK = bytes([0x20, 3, 0, 0, 0])
HOLD_S = 0.15


class FlappingBroker:
    """Lets everyone in, and hangs up HOLD_S later."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                client, _ = self.listener.accept()
                client.sendall(CONNACK)  # Before the CONNECT has come; the client has sent it by then.
                timer = threading.Timer(HOLD_S, client.close)
                timer.daemon = True
                timer.start()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def test_a_link_that_flaps_keeps_backing_off():
    """Beside it devices whose link has stood long enough each time: they start anew."""
    count, watched_s = 50, 5
    options = {"count": count, "base_ms": 100, "cap_ms": 2000}
    with FlappingBroker() as broker, Storm(broker.port, reset_ms=3000, **options) as flapping, \
            Storm(broker.port, reset_ms=int(HOLD_S * 500), **options) as steady:
        threading.Event().wait(watched_s)
        late = [storm.buckets(2000) for storm in (flapping, steady)]
        ups = [len(storm.events("up")) for storm in (flapping, steady)]
    assert min(ups) > count, "it does not flap"
    assert sum(late[0]) < 0.6 * sum(late[1]), f"{sum(late[0])} attempts beside {sum(late[1])}"
