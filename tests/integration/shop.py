"""The shop of the order example: events made of the real orders and payments, the store that the workflow
calls, and what every run must show whatever was killed."""

import collections
import csv
import json
import random
import sqlite3
import threading

from harness import ROOT
from http_peer import Answer, HttpPeer

DATA = ROOT / "tests" / "data"
EXAMPLE = ROOT / "docs" / "examples" / "workflow-order" / "hub.yaml"

# What happens to the parcel of an order with this status; None: it is never paid.
PARCELS = {"placed": None, "shipped": ["shipped"], "completed": ["shipped", "delivered"],
           "return_pending": ["shipped", "sent_back"], "returned": ["shipped", "sent_back", "arrived_back"]}
# How its instance ends, and what the store has done for it.
STATES = {"placed": "failed", "shipped": "running", "completed": "completed", "return_pending": "running",
          "returned": "completed"}
EFFECTS = {"placed": ["reserve", "release"], "shipped": ["reserve", "charge"], "completed": ["reserve", "charge"],
           "return_pending": ["reserve", "charge"], "returned": ["reserve", "charge", "refund"]}


class Wrong(AssertionError):
    """A promise was broken. The negative controls want to see it."""


def check(is_right, what):
    if not is_right:
        raise Wrong(what() if callable(what) else what)


class Order:
    def __init__(self, row, payments):
        self.id, self.user, self.status = int(row["id"]), int(row["user_id"]), row["status"]
        self.payments = [int(payment["amount"]) for payment in payments]
        self.total = sum(self.payments)

    def events(self):
        """(topic, payload) in the order in which they happen. One that is only placed is never paid."""
        yield "shop/orders", {"order_id": self.id, "user_id": self.user, "amount": self.total}
        if PARCELS[self.status] is None:
            return
        for amount in self.payments:
            yield "shop/payments", {"order_id": self.id, "amount": amount}
        for what in PARCELS[self.status]:
            yield "shop/parcels", {"order_id": self.id, "what": what}


def read(name):
    with open(DATA / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def orders():
    payments = collections.defaultdict(list)
    for payment in read("payments.csv"):
        payments[payment["order_id"]].append(payment)
    return [Order(row, payments[row["id"]]) for row in read("orders.csv")]


def events(of, seed):
    """All of them, numbered, those of each order in their order and the orders mixed."""
    waiting = [collections.deque(order.events()) for order in of]
    chance = random.Random(seed)
    number = 0
    while waiting:
        mine = chance.choice(waiting)
        topic, payload = mine.popleft()
        number += 1
        yield topic, json.dumps({"n": number, **payload})
        waiting = [queue for queue in waiting if queue]


class Store:
    """with Store() as store: a real HTTP server that does what it is asked once for each Idempotency-Key,
    and keeps book of it. seed: some answers are lost after it was done, some calls fail before."""

    def __init__(self, seed=None, remembers=True):
        self.effects = []  # (what, order, amount)
        self.calls = collections.Counter()  # By key.
        self.remembers = remembers
        self._answers = {}
        self._chance = None if seed is None else random.Random(seed)
        self._lock = threading.Lock()
        self.peer = HttpPeer(self._answer)

    def _do(self, request):
        if request.method == "DELETE":
            self.effects.append(("release", int(request.path.rsplit("/", 1)[1]), None))
            return {}
        body = request.json()
        what = {"/reservations": "reserve", "/charges": "charge", "/refunds": "refund"}[request.path]
        self.effects.append((what, int(body["order"]), body.get("amount")))
        return {"id": f"r{body['order']}"} if what == "reserve" else {}

    def _answer(self, request):
        with self._lock:
            self.calls[request.key] += 1
            luck = 1 if self._chance is None else self._chance.random()
            if luck < 0.05:
                return Answer(503)
            if not self.remembers or request.key not in self._answers:
                self._answers[request.key] = self._do(request)
            return Answer(raw=b"") if luck < 0.15 else Answer(body=self._answers[request.key])

    def of(self, order):
        with self._lock:
            return [what for what, whose, _ in self.effects if whose == order.id]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.stop()


def configuration(broker, store):
    """The example as it stands, on this broker and this store."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in (("hub: {id: shop, store: hub.db}",
                      'hub: {id: shop, store: "{dir}/hub.db", stats_every: 0, check_broker: false}'),
                     ("mqtt://127.0.0.1:1883", broker.url),
                     ('{http: {url: "http://127.0.0.1:8080"}}',
                      f'{{http: {{url: "{store.peer.url}", timeout: 2 s}}, backoff_min: 50 ms, backoff_max: 500 ms}}')):
        assert old in text, old
        text = text.replace(old, new)
    return text


def query(hub, sql):
    with sqlite3.connect(f"file:{hub.dir}/hub.db?mode=ro", uri=True, timeout=10) as store:
        return store.execute(sql).fetchall()


def states(hub):
    """(state, status of the order) by the order's number; running ones are waiting for a parcel."""
    names = ["queued", "running", "undoing", "parked", "completed", "failed", "cancelled"]
    rows = query(hub, "SELECT key, state, coalesce(variables, start) FROM pipit_workflow_instance ORDER BY id")
    return {int(key): (names[state], json.loads(variables)["status"]) for key, state, variables in rows}


def wanted(of):
    return {order.id: (STATES[order.status], order.status) for order in of}


def is_done(order, found):
    """It is where its row says, as far as that does not take days."""
    return found.get(order.id) == ("running" if order.status == "placed" else STATES[order.status], order.status)


def check_orders(hub, of):
    """Each order ended in the state of its row; nothing of it was done twice."""
    found = states(hub)
    wrong = {number: (found.get(number), want) for number, want in wanted(of).items() if found.get(number) != want}
    check(not wrong, lambda: f"orders are not as their rows say: {wrong}")
    check(len(query(hub, "SELECT 1 FROM pipit_workflow_instance")) == len(of), "an order was begun twice")
    # A step is entered once an attempt, and left once.
    for what, by in (("what = 'entered'", "execution, attempt"), ("what IN ('done', 'error', 'cancelled')", "execution")):
        twice = query(hub, "SELECT instance, execution, step, count(*) FROM pipit_workflow_entry WHERE execution > 0 AND "
                           f"{what} GROUP BY instance, {by} HAVING count(*) > 1")
        check(not twice, lambda twice=twice: f"steps were applied twice: {twice[:5]}")


def check_store(store, of):
    """One effect a key, each effect once an order, and the money is where it belongs."""
    for order in of:
        check(store.of(order) == EFFECTS[order.status],
              lambda order=order: f"order {order.id}, {order.status}: {store.of(order)}")
    check(len(store.effects) == len(store.calls), lambda: f"{len(store.effects)} effects of {len(store.calls)} keys")
    moved = sum((amount or 0) * {"charge": 1, "refund": -1}.get(what, 0) for what, _, amount in store.effects)
    kept = sum(order.total for order in of if order.status in ("shipped", "completed", "return_pending"))
    check(moved == kept, lambda: f"{moved} were kept, not {kept}")


def check_books(hub, count):
    books = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    check(books["received"] == books["routed"] + books["filtered"] + books["duplicate"] + books["rejected"], books)
    check(books["enqueued"] == books["delivered"] + books["waiting"] + books["dead"] + books["dropped"], books)
    check(books["routed"] == count, lambda: f"{count} events changed state {books['routed']} times: {books}")
    check(books["waiting"] == books["dead"] == books["rejected"] == books["missing"] == 0, books)
    hub.run("workflow", "stats")  # Ends with 1 where a step's counters and the instances do not add up.
    return books
