"""Sagas under kill -9: a workflow of five steps against a real HTTP server, every step failing in turn,
the hub killed at every request that the server sees and at random points. Each effect happens once for
each Idempotency-Key, each undo too, in reverse order, and the books balance."""

import collections
import json
import random
import threading
import time

import pytest

from harness import Client, Hub, wait_for
from http_peer import Answer, HttpPeer

STEPS = 5
SURE = "retry: {attempts: 1000, backoff: 20 ms, backoff_max: 200 ms}"

CONFIG = """
hub: {id: plant, store: "{dir}/hub.db", check_broker: false}
devices:
  shop: {from: "shop/orders", device: "'shop'", sequence: n}   # An order that comes twice is one.
sources:
  shop: {mqtt: {url: "BROKER"}, topics: ["shop/orders"]}
targets:
  world: {http: {url: "http://127.0.0.1:PORT", timeout: 1 s}, backoff_min: 20 ms, backoff_max: 100 ms}
workflows:
WORKFLOWS
"""
ORDER = """
  {name}:
    start: {{from: "shop/orders", where: "kind = '{name}'", key: number}}
    variables: {{fails: fails}}
    steps:
"""
STEP = """
      - step{n}:
          call: {{to: world, path: "/do/{n}/{{my.key}}?fails={{fails}}"}}
          {how}
          undo:
            - undo{n}: {{call: {{to: world, path: "/undo/{n}/{{my.key}}?fails={{fails}}"}}, within: 10 s, {sure}}}
"""


def workflow(name, how):
    steps = (STEP.format(n=n, how=how, sure=SURE) for n in range(1, STEPS + 1))
    return ORDER.format(name=name) + "".join(steps)


def branched(name):
    """Steps 2 and 3 beside 4 and 5, behind step 1."""
    def steps(indent, *numbers):
        text = "".join(STEP.format(n=n, how="within: 10 s\n          " + SURE, sure=SURE) for n in numbers)
        return text.replace("\n", "\n" + " " * indent)
    return (ORDER.format(name=name) + steps(0, 1) + "\n      - both:\n          parallel:"
            + "\n            a:" + steps(8, 2, 3) + "\n            b:" + steps(8, 4, 5) + "\n          wait: all\n")


# `patient` asks until it is told; `hasty` asks once and does not wait long, but long enough for answers.
WORKFLOWS = (workflow("patient", "within: 10 s\n          " + SURE) + workflow("hasty", "within: 900 ms")
             + branched("wide"))


class World(HttpPeer):
    """A server that does what it is asked once for each Idempotency-Key, and keeps book of it."""

    def __init__(self):
        self.effects = collections.OrderedDict()  # Idempotency-Key: (what, number, order).
        self.answers = {}                         # Idempotency-Key: status.
        self.on_news = lambda key, is_answered: None
        self.chance = None    # Of losing an answer; None: none is lost.
        self.work_s = 0       # How long it takes.
        self.refused = set()  # (what, number) that are refused for now.
        self.silent = set()   # Orders with a call that is not answered now.
        self.overtaken = []   # Those that were undone meanwhile.
        super().__init__(self.handle)

    def handle(self, request):
        key = request.key
        with self.lock:
            is_new = key not in self.answers
            if is_new:
                self.answers[key] = self.act(key, request.path)
            status = self.answers[key]
        time.sleep(self.work_s)
        if is_new:
            self.on_news(key, False)
        if status is None:
            self.keep_silent(request)
        if status is None or (self.chance is not None and self.chance.random() < 0.2):
            return Answer(raw=b"")  # It has happened, and who asked is not told.
        return Answer(status, {"key": key}, after=(lambda: self.on_news(key, True)) if is_new else None)

    def keep_silent(self, request):
        order = request.path.partition("?")[0].split("/")[-1]
        self.silent.add(order)
        request.wait_given_up()
        self.silent.discard(order)

    def act(self, key, path):
        """Does it, unless the order says that this step fails; gives the status, None: silence."""
        path, _, query = path.partition("?")
        what, number, order = path.strip("/").split("/")
        if (what == "do" and query == f"fails={number}") or (what, int(number)) in self.refused:
            return 422
        end = time.monotonic() + 0.2  # The thread that hears of the end of the call may come later.
        while order in self.silent and time.monotonic() < end:
            time.sleep(0.01)
        if order in self.silent:
            self.overtaken.append((what, number, order))
        self.effects[key] = (what, int(number), order)
        return None if what == "do" and query == f"fails=-{number}" else 200

    def done_for(self, order):
        with self.lock:
            return [(what, number) for what, number, whose in self.effects.values() if whose == order]

    def done_but_refused(self, order):
        """The same without the undo of a step that was refused in the end, of which an earlier attempt
        was not heard of: that might have happened."""
        done = self.done_for(order)
        return [(what, number) for what, number in done if what == "do" or ("do", number) in done]


def expected(fails):
    """What happens outside for an order whose step `fails` is refused; 0: none is; negative: that
    step is never answered, so that it may have happened and is undone, too."""
    last = STEPS if fails == 0 else abs(fails) - (fails > 0)
    done = [("do", n) for n in range(1, last + 1)]
    return done + ([] if fails == 0 else [("undo", n) for n in range(last, 0, -1)])


@pytest.fixture
def world():
    with World() as running:
        yield running


def make_hub(broker, world, folder):
    text = CONFIG.replace("WORKFLOWS", WORKFLOWS)
    return Hub(text.replace("BROKER", broker.url).replace("PORT", str(world.port)), folder)


def instances(hub):
    """Instances by key; each has its state."""
    listed = hub.run("workflow", "list", "--state", "all", "--limit", "0", "--json").stdout
    found = [json.loads(line) for line in listed.splitlines() if line.strip()]
    rows = found[0] if len(found) == 1 and isinstance(found[0], list) else found
    return {row["key"]: row for row in rows}


def check_end(hub, world, orders):
    """Every order has ended as it must, whatever came between."""
    wait_for(lambda: is_quiet(world, orders), 60, lambda: f"all orders are over\n{hub.tail()}")
    for order, fails in orders.items():
        assert world.done_but_refused(order) == expected(fails), order
        assert len(set(world.done_for(order))) == len(world.done_for(order)), order
    check_instances(hub, orders)


def check_instances(hub, orders):
    """Each has ended in the state that it has to, and the books balance."""
    ended = wait_for(lambda: has_ended(hub, orders), what="all instances have ended", deadline=60, step=0.2)
    for order, fails in orders.items():
        assert ended[order]["state"] == ("completed" if fails == 0 else "failed"), ended[order]
    books = hub.status()["books"]
    assert books["enqueued"] == books["delivered"] + books["waiting"] + books["dead"] + books["dropped"]
    assert books["received"] == books["routed"] + books["filtered"] + books["duplicate"] + books["rejected"]
    assert books["waiting"] == books["dead"] == 0
    assert books["routed"] == len(orders)


def is_quiet(world, orders):
    return all(len(world.done_but_refused(order)) >= len(expected(fails)) for order, fails in orders.items())


def has_ended(hub, orders):
    found = instances(hub)
    is_over = all(order in found and found[order]["state"] in ("completed", "failed") for order in orders)
    return found if is_over and len(found) == len(orders) else None


def place(client, orders, kind="patient"):
    for number, (order, fails) in enumerate(orders.items(), 1):
        text = json.dumps({"n": number, "number": order, "fails": fails, "kind": kind})
        client.publish("shop/orders", text).wait_for_publish(10)


class Reaper:
    """Kills the hub when it is told to, and starts it again."""

    def __init__(self, hub):
        self.hub = hub
        self.bell = threading.Event()
        self.kills = 0
        self.is_ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            self.bell.wait()
            self.bell.clear()
            if self.is_ending:
                return
            self.hub.kill()
            self.kills += 1
            self.hub.start()

    def end(self):
        self.is_ending = True
        self.bell.set()
        self.thread.join(30)


def test_killed_at_every_request(broker, world, tmp_path):
    """By turns before the answer is sent and just after it, at each request that is new."""
    orders = {f"fails-{fails}": fails for fails in range(STEPS + 1)}
    hub = make_hub(broker, world, tmp_path / "hub").start().wait_ready()
    reaper = Reaper(hub)
    keys = {}

    def on_news(key, is_answered):
        number = keys.setdefault(key, len(keys))
        if is_answered == (number % 2 == 1):
            before = reaper.kills
            reaper.bell.set()
            if not is_answered:  # The answer finds nobody.
                wait_for(lambda: reaper.kills > before, what="the hub is killed")
    world.on_news = on_news
    try:
        with Client(broker.port) as client:
            place(client, orders)
            wait_for(lambda: len(world.answers) >= sum(2 * f - 1 if f else STEPS for f in orders.values()),
                     60, lambda: f"{len(world.answers)} requests\n{hub.tail()}")
        world.on_news = lambda key, is_answered: None
        reaper.end()
        check_end(hub, world, orders)
        assert reaper.kills >= 10
        assert len(world.requests) > len(world.answers)  # Without the keys effects had happened twice.
    finally:
        reaper.end()
        hub.cleanup()


def kill_at_random(hub, world, chance, is_over):
    """Until it is over, at most for some seconds; gives how often."""
    kills = 0
    end = time.monotonic() + 5
    while time.monotonic() < end and kills < 12 and not is_over():
        seen = len(world.requests) + chance.randrange(1, 30)
        wait_for(lambda: len(world.requests) >= seen or is_over(), 30)
        time.sleep(chance.random() * 0.02)  # So that it dies anywhere between two requests.
        hub.kill()
        kills += 1
        hub.start()
    return kills


@pytest.mark.parametrize("seed, is_lossy", [(1, False), (2, True)])
def test_killed_at_random(broker, world, tmp_path, seed, is_lossy):
    chance = random.Random(seed)
    world.chance = random.Random(seed) if is_lossy else None
    world.work_s = 0.05
    orders = {f"order-{n}": chance.randrange(STEPS + 1) for n in range(40)}
    hub = make_hub(broker, world, tmp_path / "hub").start().wait_ready()
    try:
        with Client(broker.port) as client:
            place(client, orders)
        kills = kill_at_random(hub, world, chance, lambda: is_quiet(world, orders))
        check_end(hub, world, orders)
        assert kills >= 5
    finally:
        hub.cleanup()


def test_branches_killed_at_random(broker, world, tmp_path):
    """Who fails ends the other branch, whose calls may be on their way: nothing that happened stays."""
    chance = random.Random(3)
    world.chance = random.Random(3)
    world.work_s = 0.05
    orders = {f"wide-{n}": chance.randrange(STEPS + 1) for n in range(30)}
    hub = make_hub(broker, world, tmp_path / "hub").start().wait_ready()
    try:
        with Client(broker.port) as client:
            place(client, orders, "wide")
        kills = kill_at_random(hub, world, chance, lambda: not_over(world, orders) == [])
        check_instances(hub, orders)
        for order, fails in orders.items():
            done = world.done_for(order)
            assert len(set(done)) == len(done), order
            happened = [number for what, number in done if what == "do"]
            undone = [number for what, number in done if what == "undo"]
            assert set(undone) >= (set(happened) if fails else set()), order
            assert fails or not undone, order
            for number in happened if fails else []:
                assert done.index(("undo", number)) > done.index(("do", number)), order
        assert kills >= 5
    finally:
        hub.cleanup()


def not_over(world, orders):
    """Orders of which something stays that must not, or is not there yet."""
    def stays(order, fails):
        done = world.done_for(order)
        happened = {number for what, number in done if what == "do"}
        undone = {number for what, number in done if what == "undo"}
        return bool(happened - undone) or not happened if fails > 1 else len(happened) < (0 if fails else STEPS)
    return [order for order, fails in orders.items() if stays(order, fails)]


def test_what_may_have_happened_is_undone(broker, world, tmp_path):
    """A step that does it and never says so: its undo comes first, and not before the call is over."""
    orders = {f"silent-{n}": -n for n in range(1, STEPS + 1)}
    hub = make_hub(broker, world, tmp_path / "hub").start().wait_ready()
    try:
        with Client(broker.port) as client:
            place(client, orders, "hasty")
        wait_for(lambda: all(("do", -fails) in world.done_for(order) for order, fails in orders.items()),
                 what="each is at its silent step")
        hub.kill()
        hub.start()
        check_end(hub, world, orders)
        assert not world.overtaken
    finally:
        hub.cleanup()


def test_an_undo_does_not_overtake_the_call_of_a_branch(broker, world, tmp_path):
    """Step 4 is refused while step 2, in the other branch, is not answered yet."""
    world.refused = {("do", 4)}

    def on_news(key, is_answered):
        if key not in world.effects and not is_answered:  # Refused, but not before step 2 is there.
            wait_for(lambda: ("do", 2) in world.done_for("wide"), what="step 2 is called")
    world.on_news = on_news
    hub = make_hub(broker, world, tmp_path / "hub").start().wait_ready()
    try:
        with Client(broker.port) as client:
            place(client, {"wide": -2}, "wide")
        wait_for(lambda: ("undo", 1) in world.done_for("wide"), what="all is undone")
        assert world.done_for("wide") == [("do", 1), ("do", 2), ("undo", 2), ("undo", 1)]
        assert not world.overtaken
    finally:
        hub.cleanup()


def test_an_undo_that_is_refused_waits_for_an_operator(broker, world, tmp_path):
    orders = {"stuck": STEPS}
    world.refused = {("undo", 2)}
    hub = make_hub(broker, world, tmp_path / "hub").start().wait_ready()
    try:
        with Client(broker.port) as client:
            place(client, orders)
        wait_for(lambda: instances(hub).get("stuck", {}).get("state") == "parked", what="it is parked")
        hub.kill()
        hub.start().wait_ready()
        assert instances(hub)["stuck"]["state"] == "parked"
        assert world.done_for("stuck") == expected(STEPS)[:-2]  # Up to the undo that is refused.
        world.refused = set()
        hub.run("workflow", "retry", "patient/stuck")
        check_end(hub, world, orders)
    finally:
        hub.cleanup()
