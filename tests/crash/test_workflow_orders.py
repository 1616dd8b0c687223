"""The order example over all 99 real orders, with the hub killed a hundred times at random moments and, in another
run, at every commit: each order ends in the state that its row gives, no step is applied twice, the store that the
workflow calls has done everything once for each Idempotency-Key, and all books balance. Two promises are taken away
in turn, and the same checks must then fail.

PIPIT_KILLS_SEED=<n> replays the moments of a run (as far as the machine does)."""

import os
import random
import re
import threading

import pytest

import shop
from faked import RELEASE, clock_environment, needs_release
from harness import Broker, Client, Collector, Hub, wait_for

SEED = int(os.environ.get("PIPIT_KILLS_SEED", random.randrange(1 << 31)))
LONG_S = 120
KILLS = 100
DAYS = 3 * 86400  # A payment has two.

pytestmark = needs_release


class Run:
    """Broker, store and hub with a clock of its own; the orders and their events."""

    def __init__(self, folder, orders, identity=True, remembers=True):
        self.orders = orders
        self.clock = folder / "clock"
        self.set_clock(0)
        self.broker = Broker(persistence=True).start()
        self.store = shop.Store(SEED, remembers)
        text = shop.configuration(self.broker, self.store)
        if not identity:
            text = re.sub(r"devices:.*?\n\n", "", text, flags=re.S)
        self.hub = Hub(text, folder / "hub", env=clock_environment(self.clock))
        self.events = list(shop.events(orders, SEED))
        self.client = Client(self.broker.port)
        self.told = Collector(self.broker.port, "shop/status/+")
        self.kills = 0
        self.patience_s = LONG_S  # Of one life, for something to happen.
        self.chance = random.Random(SEED)

    def set_clock(self, seconds):
        self.clock.write_text(f"{seconds:+d}")

    def publish(self, events):
        handles = [self.client.publish(topic, payload) for topic, payload in events]
        for handle in handles:
            handle.wait_for_publish(LONG_S)

    def kill(self):
        """At a moment that may be any of a life: while it starts, connects, commits, calls."""
        longest = self.chance.choice([0.02, 0.12, 0.25])
        threading.Event().wait(self.chance.uniform(0, longest))  # When it is killed is the test's, not a wait for a fact.
        self.hub.kill()
        self.hub.start()
        self.kills += 1

    def wait_done(self, what, is_done):
        def fact():
            found = shop.states(self.hub)
            return all(is_done(order, found) for order in self.orders)
        wait_for(fact, LONG_S, lambda: f"{what}: {shop.states(self.hub)}\n{self.hub.tail()}", step=0.1)

    def wait_here(self):
        """All that does not take days has happened."""
        self.wait_done("all orders are where they can be today", shop.is_done)

    def wait_over(self):
        self.wait_done("all orders are over", lambda order, found: found.get(order.id) == shop.wanted([order])[order.id])

    def check(self):
        wait_for(lambda: shop.query(self.hub, "SELECT count(*) FROM pipit_outbox")[0][0] == 0, LONG_S, "all is delivered")
        shop.check_orders(self.hub, self.orders)
        shop.check_store(self.store, self.orders)
        books = shop.check_books(self.hub, len(self.events))
        self.check_told()
        return books

    def check_told(self):
        """What the world was told last of each order is how it is."""
        paid = [order for order in self.orders if order.status != "placed"]
        want = {f"shop/status/{order.id}": order.status for order in paid}

        def last():
            return {message.topic: message.json()["status"] for message in list(self.told.messages)}
        wait_for(lambda: last() == want, what=lambda: f"told last: {set(last().items()) ^ set(want.items())}")

    def close(self):
        self.client.close()
        self.told.close()
        self.hub.cleanup()
        self.store.peer.stop()
        self.broker.cleanup()


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.PIPIT", RELEASE / "hub" / "pipit")
    made = []

    def make(*arguments, **options):
        made.append(Run(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for run in made:
        run.close()


def chunks(events, count):
    return [events[len(events) * i // count:len(events) * (i + 1) // count] for i in range(count)]


def test_killed_a_hundred_times(make_run):
    run = make_run(shop.orders())
    assert len(run.orders) == 99
    run.hub.start().wait_ready()  # Subscribed: from now on the broker keeps what comes.
    for some in chunks(run.events, KILLS - 20):
        run.publish(some)
        run.kill()
    run.wait_here()
    run.hub.kill()  # The time for payments ends while the hub is down.
    run.set_clock(DAYS)
    run.hub.start()
    for _ in range(20):
        run.kill()
    run.wait_over()
    books = run.check()
    again = sum(run.store.calls.values()) - len(run.store.calls)
    print(f"seed {SEED}: {run.kills} kills; {books['duplicate']} events and {again} calls came again")
    assert run.kills == KILLS and again > 0


class Lives:
    """Lives of the hub that end at a sync or a write of the store, by strace."""

    def __init__(self, run):
        self.run = run
        self.trace = run.hub.dir / "trace"
        self.count = 0
        self.at_start = self.syncs_at_start()

    def begin(self, *inject):
        self.run.hub.wrap = ["strace", "-f", "-o", self.trace, "-e", "trace=fdatasync,pwrite64", *inject]
        self.run.hub.start()

    def syncs_at_start(self):
        """Syncs of a start after a kill with nothing to do."""
        self.run.hub.start().wait_ready()
        self.run.hub.kill()
        self.begin()
        self.run.hub.wait_ready()
        self.run.hub.kill()
        return self.trace.read_text().count("fdatasync(")

    def live(self, is_over):
        """Ends at the first sync behind those of a start, so that no commit is left out, or (each second time) at a
        write of it, so that the commit is lost. Gives whether all is over."""
        self.count += 1
        place = f"fdatasync:signal=SIGKILL:when={self.at_start + 1 + self.count // 2 % 2}"
        if self.count % 2 == 0:
            place = f"pwrite64:signal=SIGKILL:when={self.run.chance.randrange(1, 80)}"
        self.begin("-e", f"inject={place}")
        hub = self.run.hub  # Before it is ready, what is killed might be a child of strace's own.
        wait_for(lambda: not hub.is_running() or (hub.log_lines("id=HUB-READY") and is_over()), self.run.patience_s,
                 lambda: f"it dies: {hub.tail()}")
        hub.kill()
        return is_over()


def live_through(run, count):
    """All events come in while each life ends as Lives says; then the time for payments ends. Gives the lives of both
    days and the syncs of a start."""
    lives = Lives(run)
    waiting = chunks(run.events, count)

    def is_here():
        return not waiting and all(shop.is_done(order, shop.states(run.hub)) for order in run.orders)

    while waiting:
        run.publish(waiting.pop(0))
        lives.live(is_here)
    while not lives.live(is_here):
        assert lives.count < 10 * count, f"no end: {shop.states(run.hub)}"
    today = lives.count
    run.set_clock(DAYS)
    while not lives.live(lambda: shop.states(run.hub) == shop.wanted(run.orders)):
        assert lives.count < 20 * count, f"no end: {shop.states(run.hub)}"
    run.hub.wrap = []
    run.hub.start().wait_ready()
    return today, lives.count - today, lives.at_start


def test_killed_at_every_commit(make_run):
    run = make_run(shop.orders())
    today, later, syncs = live_through(run, 60)
    books = run.check()
    again = sum(run.store.calls.values()) - len(run.store.calls)
    print(f"seed {SEED}: {today} and {later} lives of {syncs} syncs and one; {books['duplicate']} events and {again} calls "
          "came again")
    assert books["duplicate"] > 0 and again > 0, "nothing came again: the kills hit nothing"


@pytest.mark.parametrize("taken,told", [({"identity": False}, "changed state|begun twice|orders are not|were kept"),
                                        ({"remembers": False}, "order .*reserve")],
                         ids=["identity", "memory of keys"])
def test_without_it_the_same_run_fails(make_run, taken, told):
    """Events without identity are new each time they come; a store that forgets keys does everything again. That may
    leave orders that never get where they should, and then a hub in which nothing happens any more: it does not die."""
    run = make_run(shop.orders()[:30], **taken)
    run.patience_s = 20
    with pytest.raises((shop.Wrong, AssertionError), match=f"{told}|no end|it dies") as wrong:
        live_through(run, 20)
        run.check()
    print(f"seed {SEED}: {str(wrong.value)[:200]}")
