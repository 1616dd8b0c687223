"""Workflows as an operator sees them: listed, shown, cancelled, retried, replayed, counted; and what
happens in them as `mosquitto_sub` sees it. With a running hub and with the store of a stopped one."""

import json
import re
import shlex
import sqlite3
import subprocess

import pytest

from harness import PIPIT, Client, Subscriber, pipit, wait_for
from http_peer import Answer, HttpPeer

CONFIG = """
hub: {{id: shop, store: "{{dir}}/hub.db", check_broker: false, stats_every: 200 ms}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["shop/#"]}}
devices:
  shop: {{from: "shop/+", device: "'shop'", sequence: n}}
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
  stock: {{http: {{url: "{http}"}}, backoff_min: 20 ms, backoff_max: 50 ms}}
workflows:
{workflows}
"""
ORDER = """
  order:
    start: {from: shop/orders, key: number}
    variables: {amount: amount, paid: "NULL"}
    steps:
      - placed:
          emit: {to: bus, topic: "placed/{my.key}", fields: {amount: amount}}
          undo: [{unplace: {emit: {to: bus, topic: "unplaced/{my.key}", fields: {amount: amount}}}}]
      - paid: {await: {from: shop/payments, key: order_id}, take: {paid: event.amount}, within: 2 d}
      - enough: {if: "paid < amount", then: [{short: {fail: "paid {paid} of {amount}"}}]}
      - done: {end: {paid: paid}}
"""
RESERVE = """
  reserve:
    start: {from: shop/reserve, key: number}
    variables: {amount: amount}
    failure: park
    steps:
      - ask: {call: {to: stock, path: "/reserve/{my.key}", fields: {amount: amount}}, within: 10 s}
      - told: {emit: {to: bus, topic: "reserved/{my.key}", fields: {amount: amount}}}
"""
UNDO = """
  book:
    start: {from: shop/book, key: number, running: queue}
    variables: {amount: amount}
    steps:
      - booked:
          call: {to: stock, path: "/book/{my.key}", fields: {amount: amount}}
          within: 10 s
          undo: [{unbook: {call: {to: stock, method: DELETE, path: "/book/{my.key}"}, within: 10 s}}]
      - lent:
          parallel:
            one: [{one_back: {await: {from: shop/back, key: number, where: "event.half = 1"}}}]
            two: [{two_back: {await: {from: shop/back, key: number, where: "event.half = 2"}}}]
      - wait: {sleep: 1 h}
"""
ROUND = """
  round:
    start: {from: shop/round, key: number}
    variables: {letters: letters}
    steps:
      - both:
          parallel:
            left: [{ring: {emit: {to: bus, topic: "rings/{my.key}", fields: {number: my.key}}}}]
            right:
              - each:
                  for_each: letters
                  as: letter
                  steps: [{note: {emit: {to: bus, topic: "notes/{my.key}", fields: {letter: letter}}}}]
"""
TRANSITIONS = "pipit/v1/$hub/shop/workflow/#"


def config(broker, http="http://127.0.0.1:1", workflows=ORDER):
    return CONFIG.format(url=broker.url, http=http, workflows=workflows)


def lines(hub, *words, **more):
    return [json.loads(line) for line in hub.run("workflow", *words, "--json", **more).stdout.splitlines()]


def instances(hub, *words):
    return {i["key"]: i for i in lines(hub, "list", *words)}


def states(hub):
    return {key: i["state"] for key, i in instances(hub, "--state", "all").items()}


def balanced(hub):
    """Little's law holds between the counters of each step and the instances that are at it."""
    steps = lines(hub, "stats")
    assert all(s["balanced"] for s in steps), steps
    for s in steps:
        assert s["in"] == s["arrived"] - s["departed"], s
        rate = s["arrived_per_s"] * s["mean_ms"] / 1000
        assert abs(s["mean_in"] - rate) <= 0.002 * s["arrived_per_s"] + 1e-6, f"L = lambda W: {s}"
    return {(s["workflow"], s["step"]): s for s in steps}


def books(hub):
    """Every instance is counted once, by what it is."""
    with sqlite3.connect(f"file:{hub.dir}/hub.db?mode=ro", uri=True) as store:
        names = "queued running undoing parked completed failed cancelled".split()
        for row in store.execute(f"SELECT id, started, {', '.join(names)} FROM pipit_workflow"):
            counts = dict(zip(range(7), row[2:]))
            assert sum(counts.values()) == row[1], row
            real = dict(store.execute("SELECT state, count(*) FROM pipit_workflow_instance"
                                      " WHERE workflow = ? GROUP BY state", row[:1]))
            assert {k: v for k, v in counts.items() if v} == real, (names, row, real)


class Shop:
    """Publishes numbered events, so that none counts twice."""

    def __init__(self, broker):
        self.client, self.n = Client(broker.port), 0

    def tell(self, what, **fields):
        self.n += 1
        self.client.publish(f"shop/{what}", json.dumps({"n": self.n, **fields}).encode())

    def orders(self, *ids, amount=10):
        for key in ids:
            self.tell("orders", number=key, amount=amount)


@pytest.fixture
def shop(broker):
    made = Shop(broker)
    yield made
    made.client.close()


def test_help_teaches(tmp_path):
    text = pipit("workflow", "--help").stdout
    for verb in ("list", "show", "cancel", "retry", "replay", "stats", "draw"):
        assert text.count(f"\n  {verb} ") == 1, "each once"
        assert f"Usage: pipit workflow {verb}" in pipit("workflow", verb, "--help").stdout
    assert "mosquitto_sub" in text
    for words, said in ((["workflow"], "say what to do"),
                        (["workflow", "lst"], "did you mean 'list'?"),
                        (["workflow", "list", "--stat", "x"], "did you mean --state?"),
                        (["workflow", "list", "--older", "5"], "list: --older: must be a duration"),
                        (["workflow", "list"], "--config is required")):
        done = pipit(*words, check=False)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)


def test_listed_shown_and_counted(start_hub, broker, shop):
    hub = start_hub(config(broker)).wait_ready()
    assert "no such instance" in hub.run("workflow", "list").stdout
    shop.orders("7", "a/b", "8")
    wait_for(lambda: len(instances(hub)) == 3, what=hub.tail)
    shop.tell("payments", order_id="7", amount=10)
    shop.tell("payments", order_id="8", amount=3)
    wait_for(lambda: states(hub) == {"7": "completed", "a/b": "running", "8": "failed"}, what=lambda: states(hub))

    waiting = instances(hub)["a/b"]
    assert waiting["workflow"] == "order" and waiting["current"] and waiting["configured"]
    assert [s["step"] for s in waiting["steps"]] == ["paid"]
    assert waiting["due"] - waiting["started"] == 2 * 86400 * 1000
    table = hub.run("workflow", "list").stdout.splitlines()
    assert table[0].split() == "ID WORKFLOW KEY STATE STEP SINCE DUE NOTE".split()
    assert table[1].split()[:5] == [str(waiting["id"]), "order", "a/b", "running", "paid"]
    assert "in 47 h 59 min" in table[1] or "in 1 d 23 h" in table[1], table[1]
    assert "\033[" not in "".join(table), "no colours in a pipe"

    for filters, keys in ((["--state", "failed"], {"8"}), (["--state", "ended"], {"7", "8"}),
                          (["--key", "7", "--state", "all"], {"7"}), (["--name", "other"], set()),
                          (["--older", "1 h"], set()), (["--newer", "1 h"], {"a/b"}),
                          (["--state", "all", "--limit", "1"], {"8"})):
        assert set(instances(hub, *filters)) == keys, filters

    shown = lines(hub, "show", "order/7")[0]
    assert shown["state"] == "completed" and shown["result"] == {"paid": 10}
    assert shown["variables"] == {"amount": 10, "paid": 10} and shown["start"]["paid"] is None
    story = [(entry.get("step", ""), entry["what"]) for entry in shown["history"]]
    assert story[0] == ("", "started") and story[-1] == ("", "completed")
    assert ("paid", "entered") in story and ("paid", "done") in story
    assert shown["definition"]["name"] == "order"
    paid = [entry for entry in shown["history"] if entry.get("step") == "paid" and entry["what"] == "done"]
    assert paid[0]["took"] >= 0 and paid[0]["data"]["taken"] == {"paid": 10}
    assert paid[0]["data"]["topic"] == "shop/payments" and paid[0]["data"]["body"]["amount"] == 10
    placed = next(entry for entry in shown["history"] if entry.get("step") == "placed")
    assert placed["data"] == {"to": "bus", "topic": "placed/7", "payload": {"amount": 10}}
    text = hub.run("workflow", "show", "order/8").stdout
    assert "failed" in text and "paid 3 of 10" in text and "unplace" in text
    text = hub.run("workflow", "show", "order/a/b").stdout
    assert "waits for an event" in text and "would undo" in text and "placed" in text

    shop.orders("\x1b[31m")  # No topic can have it.
    wait_for(lambda: states(hub).get("\x1b[31m") == "failed", what=lambda: states(hub))
    steering = "\x9b31m\x7f\x1b]0;x\x07"  # The first is ESC [ as one character.
    shop.orders(steering)
    wait_for(lambda: states(hub).get(steering) == "failed", what=lambda: states(hub))
    hub.run("workflow", "replay", "5")  # It fails as before.
    for words in (["show", "4"], ["show", "5"], ["show", f"order/{steering}", "--json"], ["show", "5", "--full"],
                  ["list", "--state", "all"], ["list", "--state", "all", "--json"],
                  ["show", f"order/no{steering}"], ["show", f"no{steering}/7"], ["show", f"no{steering}"],
                  ["cancel", "--name", f"no{steering}"], ["cancel", "5"], [f"no{steering}"], ["draw", f"no{steering}"],
                  ["retry", "5"], ["cancel", "5", f"--no{steering}"]):
        done = hub.run("workflow", *words, check=False)
        for said in (done.stdout, done.stderr):
            assert not set(said) & {chr(c) for c in (*range(10), *range(11, 32), *range(127, 160))}, (words, said)
    assert json.loads(hub.run("workflow", "show", "5", "--json").stdout)["key"] == steering

    done = hub.run("workflow", "show", "order/none", check=False)
    assert done.returncode == 1 and "no instance order/none" in done.stderr
    for words in (["show", "ordr/7"], ["cancel", "ordr/7"], ["retry", "--name", "ordr"],
                  ["replay", "--name", "ordr", "--yes"], ["cancel", "--name", "ordr", "--yes"]):
        done = hub.run("workflow", *words, check=False)
        assert done.returncode == 1 and "there is no workflow 'ordr'" in done.stderr, (words, done.stderr)
        assert "did you mean 'order'?" in done.stderr and done.stdout == "", (words, done.stderr)
    done = hub.run("workflow", "cancel", "--name", "quitedifferent", check=False)
    assert done.returncode == 1 and "no workflow 'quitedifferent'" in done.stderr and "mean" not in done.stderr
    assert "did you mean 'order'?" in hub.run("workflow", "list", "--name", "ordr").stderr
    assert hub.run("workflow", "list", "--name", "order", "--state", "parked").stderr == ""
    assert hub.run("workflow", "show", "x", check=False).returncode == 2

    steps = balanced(hub)
    assert steps["order", "paid"]["in"] == 1 and steps["order", "paid"]["arrived"] == 3
    assert steps["order", "paid"]["oldest_ms"] > 0 and steps["order", "placed"]["in"] == 0
    assert steps["order", "short"]["failed"] == 1
    head = hub.run("workflow", "stats").stdout.splitlines()[0]
    assert head.startswith("WORKFLOW") and "MEAN TIME" in head
    books(hub)
    status = hub.status()
    line = next(w for w in status["workflows"] if w["name"] == "order")
    assert (line["started"], line["running"], line["completed"], line["failed"]) == (6, 1, 1, 4)
    assert "workflows" in hub.run("status", "--interval", "0").stdout
    with Subscriber(broker.port, "pipit/v1/$hub/shop/workflows/order/#") as stats:
        wait_for(lambda: {m.topic.split("/")[-1]: m.text() for m in stats.messages}.get("running") == "1")
        wait_for(lambda: [m.text() for m in stats.on("+/+/+/+/+/+/steps/paid/in")][-1:] == ["1"],
                 what=lambda: sorted((m.topic, m.text()) for m in stats.messages))


def test_a_list_that_is_cut_off_says_so(start_hub, broker, shop):
    """What waits longest is what an operator looks for, of what is over it is the last."""
    hub = start_hub(config(broker)).wait_ready()
    shop.orders(*(f"over-{i}" for i in range(5)), *(f"open-{i}" for i in range(4)))
    for i in range(5):
        shop.tell("payments", order_id=f"over-{i}", amount=10)
    wait_for(lambda: [s for s in states(hub).values()].count("completed") == 5, what=lambda: states(hub))
    for state, limit, keys, said in (
            ("open", 2, ["open-0", "open-1"], "the oldest 2 of 4 instances are listed; --limit 0 lists all\n"),
            ("running", 4, ["open-0", "open-1", "open-2", "open-3"], ""),
            ("ended", 2, ["over-4", "over-3"], "the newest 2 of 5 instances are listed; --limit 0 lists all\n"),
            ("completed", 4, ["over-4", "over-3", "over-2", "over-1"], "the newest 4 of 5 instances are listed"),
            ("all", 5, ["open-3", "open-2", "open-1", "open-0", "over-4"], "the newest 5 of 9 instances"),
            ("all", 0, None, "")):
        for form in ([], ["--json"]):
            done = hub.run("workflow", "list", "--state", state, "--limit", str(limit), *form)
            rows = [json.loads(line)["key"] if form else line.split()[2] for line in done.stdout.splitlines()]
            rows = rows if form else rows[1:]
            assert rows == keys or (keys is None and len(rows) == 9), (state, rows)
            assert said in done.stderr and bool(said) == bool(done.stderr), (state, done.stderr)
    text = " ".join(pipit("workflow", "list", "--help").stdout.split())
    assert "the oldest first" in text and "started last that comes first" in text


def test_a_check_that_does_not_add_up_is_said(start_hub, broker, shop):
    """The control of the law: counters that are wrong are found."""
    hub = start_hub(config(broker)).wait_ready()
    shop.orders("7")
    wait_for(lambda: len(instances(hub)) == 1)
    balanced(hub)
    hub.terminate()
    with sqlite3.connect(hub.dir / "hub.db") as store:
        store.execute("UPDATE pipit_workflow_step SET area = area + 1 WHERE name = 'paid'")
    done = hub.run("workflow", "stats", check=False)
    assert done.returncode == 1 and "do not add up" in done.stderr and "does not add up" in done.stdout


def test_transitions_are_seen_by_mosquitto_sub(start_hub, broker, shop):
    hub = start_hub(config(broker)).wait_ready()
    with subprocess.Popen(["mosquitto_sub", "-p", str(broker.port), "-v", "-t", TRANSITIONS, "-C", "6",
                           "-W", "20"], stdout=subprocess.PIPE, text=True) as watcher:
        with Subscriber(broker.port, "$SYS/broker/subscriptions/count") as counts:
            wait_for(lambda: counts.messages, what="the broker's statistics")
        shop.orders("a b/c")
        wait_for(lambda: states(hub) == {"a b/c": "running"}, what=hub.tail)
        shop.tell("payments", order_id="a b/c", amount=10)
        seen = [line.split(" ", 1) for line in watcher.communicate(timeout=30)[0].splitlines()]
    topics = [topic for topic, _ in seen]
    assert all(topic.startswith("pipit/v1/$hub/shop/workflow/order/a%20b%2Fc/") for topic in topics), topics
    whats = [topic.split("/", 7)[-1] for topic in topics]
    assert whats[0] == "started" and "placed/done" in whats and "paid/entered" in whats, whats
    first = json.loads(seen[0][1])
    assert first["workflow"] == "order" and first["key"] == "a b/c" and first["what"] == "started"
    assert first["at"].endswith("Z") and first["state"] == "running" and first["instance"] == 1
    assert first["data"]["amount"] == 10


def test_nothing_is_published_where_transitions_are_off(start_hub, broker, shop):
    text = config(broker).replace("stats_every: 200 ms", "stats_every: 200 ms, transitions: false")
    hub = start_hub(text).wait_ready()
    with Subscriber(broker.port, TRANSITIONS, "placed/#") as watcher:
        shop.orders("7")
        watcher.wait(1, "placed/#")
        wait_for(lambda: states(hub) == {"7": "running"})
        assert not watcher.on("pipit/#")
    assert lines(hub, "show", "1")[0]["history"][0]["what"] == "started"


@pytest.mark.parametrize("is_running", [True, False], ids=["hub", "store"])
def test_cancelled_and_undone(start_hub, broker, shop, is_running):
    hub = start_hub(config(broker)).wait_ready()
    shop.orders("7", "8", "9")
    wait_for(lambda: len(instances(hub)) == 3)
    if not is_running:
        hub.terminate()
    with Subscriber(broker.port, "unplaced/#") as undone:
        done = hub.run("workflow", "cancel", "--name", "order", check=False)
        assert done.returncode == 2 and "takes 3 instances; add --yes to cancel them all" in done.stderr
        text = hub.run("workflow", "cancel", "order/7", "--reason", "the customer called").stdout
        assert text == "instance 1 is being cancelled\n"
        assert lines(hub, "cancel", "2", "--abandon") == [{"instance": 2, "done": "is being cancelled"}]
        if not is_running:
            hub.start().wait_ready()
        wait_for(lambda: states(hub) == {"7": "cancelled", "8": "cancelled", "9": "running"}, what=lambda: states(hub))
        undone.wait(1)
        assert [m.topic for m in undone.messages] == ["unplaced/7"], "what is abandoned is not undone"
        shown = lines(hub, "show", "order/7")[0]
        assert "the customer called" in json.dumps(shown["history"])
        assert ("unplace", "done") in [(e.get("step"), e["what"]) for e in shown["history"]]
        done = hub.run("workflow", "cancel", "order/7", check=False)
        assert done.returncode == 1 and "cancelled" in done.stderr
        hub.run("workflow", "cancel", "--name", "order", "--yes")
        wait_for(lambda: states(hub)["9"] == "cancelled")
        undone.wait(2)
    done = hub.run("workflow", "cancel", "--name", "order", "--yes", check=False)
    assert done.returncode == 1 and "takes no instance" in done.stderr
    balanced(hub)
    books(hub)


BODIES = """
  fetch:
    start: {from: shop/fetch, key: number}
    variables: {amount: amount}
    steps:
      - ask: {call: {to: stock, method: GET, path: "/fetch/{my.key}", fields: {amount: amount}}, within: 10 s}
      - drop: {call: {to: stock, method: DELETE, path: "/drop"}, within: 10 s}
      - put: {call: {to: stock, method: PUT, path: "/put", fields: {amount: amount}}, within: 10 s}
      - told: {emit: {to: bus, topic: "raw/{my.key}", fields: {amount: amount, half: "amount / 2.0"}, payload: pipit}}
      - packed: {emit: {to: bus, topic: "cbor/{my.key}", fields: {half: "amount / 2.3"}, payload: cbor}}
"""


def test_the_history_shows_what_was_sent(start_hub, broker, shop):
    """No payload where the method has none; what is decoded is readable, what is not is hexadecimal."""
    with HttpPeer(lambda request: Answer(body={})) as stock:
        hub = start_hub(config(broker, stock.url, BODIES)).wait_ready()
        shop.tell("fetch", number="7", amount=4)
        wait_for(lambda: states(hub) == {"7": "completed"}, what=lambda: f"{states(hub)}{hub.tail()}")
        history = lines(hub, "show", "1")[0]["history"]
        sent = {e["step"]: e["data"] for e in history if "to" in e.get("data", {})}
        for data in sent.values():
            data.pop("until", None)
        assert sent["ask"] == {"to": "stock", "topic": "GET /fetch/7"}
        assert sent["drop"] == {"to": "stock", "topic": "DELETE /drop"}
        assert sent["put"] == {"to": "stock", "topic": "PUT /put", "payload": {"amount": 4}}
        assert not any(r.body for r in stock.requests if r.method != "PUT"), "as it says"
        event = sent["told"]["event"]
        assert event["type"] == "fetch" and event["fields"] == {"amount": 4, "half": 2.0} and event["time"] > 0
        assert bytes.fromhex(sent["packed"]["payload_hex"])[:6] == b"\xa1\x64half", sent["packed"]


def test_shown_while_it_waits_for_its_next_attempt(start_hub, broker, shop):
    workflow = RESERVE.replace("within: 10 s}", "within: 10 s, retry: {attempts: 5, backoff: 1 h, backoff_max: 1 h}}")
    with HttpPeer() as stock:
        stock.answer = lambda request: Answer(503, {"error": "closed"})
        hub = start_hub(config(broker, stock.url, workflow)).wait_ready()
        shop.tell("reserve", number="7", amount=4)
        wait_for(lambda: "waits for attempt 2" in hub.run("workflow", "show", "1", check=False).stdout)


def test_parked_retried_and_replayed(start_hub, broker, shop):
    with HttpPeer() as stock:
        stock.answer = lambda request: Answer(409, {"error": "sold out"})
        hub = start_hub(config(broker, stock.url, ORDER + RESERVE)).wait_ready()
        shop.tell("reserve", number="7", amount=4)
        wait_for(lambda: states(hub) == {"7": "parked"}, what=lambda: f"{states(hub)}{hub.tail()}")
        balanced(hub)
        books(hub)
        parked = instances(hub, "--state", "parked")["7"]
        assert [s["step"] for s in parked["steps"]] == ["ask"] and parked["error"] == "refused"
        assert "refused" in hub.run("workflow", "list").stdout
        assert "parked at" in hub.run("workflow", "show", "reserve/7").stdout
        done = hub.run("workflow", "replay", "reserve/7", check=False)
        assert done.returncode == 1 and "has not ended" in done.stderr
        stock.answer = lambda request: Answer(body={"ok": True})
        with Subscriber(broker.port, "reserved/#") as told:
            assert lines(hub, "retry", "--name", "reserve", "--yes") == [{"instance": 1, "done": "goes on"}]
            wait_for(lambda: states(hub) == {"7": "completed"}, what=lambda: states(hub))
            story = [(e.get("step", ""), e["what"]) for e in lines(hub, "show", "1")[0]["history"]]
            assert ("", "retried") in story, story
            entries = [e["data"] for e in lines(hub, "show", "1")[0]["history"] if e.get("step") == "ask" and "data" in e]
            assert entries[0]["topic"] == "POST /reserve/7" and entries[0]["payload"] == {"amount": 4}
            assert entries[-1]["status"] == 200 and entries[-1]["body"] == {"ok": True}
            assert "topic" not in entries[-1], "an answer comes by none"
            done = hub.run("workflow", "retry", "1", check=False)
            assert done.returncode == 1 and "has ended" in done.stderr
            assert lines(hub, "replay", "reserve/7") == [{"instance": 1, "done": "started anew", "started": 2}]
            wait_for(lambda: [i["state"] for i in lines(hub, "list", "--state", "all")] == ["completed"] * 2)
            told.wait(2)
        keys = stock.keys()
        assert len(keys) == 3 and keys[2] not in keys[:2], "another instance, another key"
        balanced(hub)
        books(hub)


def test_an_undo_that_fails_parks_until_an_operator_decides(start_hub, broker, shop):
    refusing = set()
    with HttpPeer(lambda request: Answer(409 if request.method in refusing else 200, {})) as stock:
        hub = start_hub(config(broker, stock.url, UNDO)).wait_ready()
        for number in ("1", "1", "2"):
            shop.tell("book", number=number, amount=5)
        wait_for(lambda: [i["state"] for i in lines(hub, "list")] == ["running", "queued", "running"], what=hub.tail)
        wait_for(lambda: all(len(i["steps"]) == 3 for i in lines(hub, "list", "--state", "running")))
        shop.tell("back", number="1", half=1)
        wait_for(lambda: sorted(s["step"] for s in lines(hub, "show", "1")[0]["steps"]) == ["lent", "two_back"])
        text = hub.run("workflow", "show", "1").stdout
        assert "its branches: 1 of 2 done" in text and "would undo" in text, text
        balanced(hub)
        assert hub.run("workflow", "list").stdout.count("lent") == 2

        refusing.add("DELETE")
        ended = lambda: [i["state"] for i in reversed(lines(hub, "list", "--state", "all"))]
        with Subscriber(broker.port, TRANSITIONS) as watch:
            hub.run("workflow", "cancel", "1", "2", "--reason", "no use")
            wait_for(lambda: ended() == ["parked", "cancelled", "running"], what=ended)
            wait_for(lambda: [m for m in watch.messages if m.topic.endswith("/parked")], what=hub.tail)
            told = [m for m in watch.messages if m.topic.endswith("/parked")]
        what_to_mend(hub, told)
        text = hub.run("workflow", "show", "1").stdout
        parked = re.search(r"(?m)^parked at +\w+, since .*: refused: DELETE .*: 409", text)
        assert parked, "why the undo failed, not why it began\n" + text
        balanced(hub)
        books(hub)
        done = hub.run("workflow", "cancel", "1", check=False)
        assert done.returncode == 1 and "pipit workflow cancel --abandon 1 -c " in done.stderr, done.stderr
        refusing.clear()
        advised(done.stderr, "retry 1 ")
        wait_for(lambda: ended() == ["cancelled", "cancelled", "running"], what=ended)
        story = [(e.get("step"), e["what"]) for e in lines(hub, "show", "1")[0]["history"]]
        assert story.count(("unbook", "entered")) == 2 and ("booked", "undone") in story, story
        assert [r.method for r in stock.requests if r.path == "/book/1"] == ["POST", "DELETE", "DELETE"]

        refusing.add("DELETE")
        hub.run("workflow", "cancel", "3")
        wait_for(lambda: ended()[2] == "parked", what=ended)
        hub.terminate()
        done = hub.run("workflow", "cancel", "3", check=False)
        advised(done.stderr, "cancel --abandon 3 ")
        assert ended()[2] == "cancelled"
        balanced(hub)
        books(hub)


def test_the_history_says_which_branch_and_item(start_hub, broker, shop):
    hub = start_hub(config(broker, workflows=ROUND)).wait_ready()
    with Subscriber(broker.port, TRANSITIONS) as watch:
        shop.tell("round", number="1", letters=["a", "x" * 100])
        wait_for(lambda: [m for m in watch.messages if m.topic.endswith("/completed")], what=hub.tail)
        told = [json.loads(m.payload) for m in watch.messages]
    right = {"step": "both", "branch": "right"}
    for entries in (lines(hub, "show", "1")[0]["history"], told):
        branches = [(e.get("step"), e.get("branch")) for e in entries if e["what"] == "done"]
        assert branches == [
            ("ring", [{"step": "both", "branch": "left"}]),
            ("note", [right, {"step": "each", "item": 1, "value": "a"}]),
            ("note", [right, {"step": "each", "item": 2}]),
            ("each", [right]),
            ("both", None),
        ], entries
    text = hub.run("workflow", "show", "1").stdout
    names = re.findall(r"(?m)^  \S+ \S+  (\S.*) done", text)
    assert names == ["ring [left]", 'note [right/1 "a"]', "note [right/2]", "each [right]", "both"], text


def what_to_mend(hub, told):
    """The list and the transition name the undo that failed, and why; the list also what it began with."""
    parked = instances(hub, "--state", "parked")["1"]
    assert (parked["error"], parked["reason"]) == ("cancelled", "no use"), parked
    assert parked["parked"]["step"] == "unbook" and parked["parked"]["error"] == "refused", parked
    assert re.match("DELETE .*: 409", parked["parked"]["reason"]), parked
    text = hub.run("workflow", "list", "--state", "parked").stdout
    assert re.search("unbook: refused: DELETE .*: 409.*; after cancelled: no use", text), text
    assert [m.topic for m in told] == ["pipit/v1/$hub/shop/workflow/book/1/parked"]
    said = json.loads(told[0].payload)
    assert {k: said[k] for k in ("step", "error", "reason")} == {k: parked["parked"][k] for k in ("step", "error", "reason")}
    assert not [i for i in lines(hub, "list", "--state", "all") if i["state"] != "parked" and "parked" in i]


def advised(text, begin):
    """Runs the command as a person pastes it."""
    command = re.search(f"pipit (workflow {begin}[^;\n]*)", text)
    assert command, text
    subprocess.run(f"{shlex.quote(str(PIPIT))} {command[1]}", shell=True, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("name", ["my hub's.yaml", "grün.yaml", "$(false).yaml"])
def test_advice_quotes_the_configuration(start_hub, broker, shop, name):
    hub = start_hub(config(broker)).wait_ready()
    shop.orders("7")
    shop.tell("payments", order_id="7", amount=10)
    wait_for(lambda: states(hub) == {"7": "completed"})
    path = hub.dir / name
    path.write_text(hub.config.read_text())
    done = pipit("workflow", "retry", "order/7", "-c", path, check=False)
    assert done.returncode == 1
    advised(done.stderr, "replay 1 ")
    assert set(instances(hub)) == {"7"}


def test_instances_outlive_their_definition(start_hub, broker, shop):
    hub = start_hub(config(broker)).wait_ready()
    shop.orders("7")
    wait_for(lambda: len(instances(hub)) == 1)
    hub.terminate()
    hub.write_config(config(broker, workflows=ORDER.replace("2 d", "3 d")))
    hub.start().wait_ready()
    shop.orders("8")
    wait_for(lambda: len(instances(hub)) == 2)
    found = instances(hub)
    assert not found["7"]["current"] and found["8"]["current"]
    assert found["8"]["due"] - found["8"]["started"] == 3 * 86400 * 1000
    assert "older version" in hub.run("workflow", "list", "--key", "7").stdout
    steps = lines(hub, "stats")
    assert sorted(s["current"] for s in steps if s["step"] == "paid") == [False, True]
    hub.terminate()
    hub.write_config(config(broker, workflows=RESERVE))
    hub.start().wait_ready()
    assert "not configured any more" in hub.run("workflow", "list", "--key", "8").stdout
    assert "not configured any more" in hub.run("workflow", "stats", "--name", "order").stdout
    shop.orders("9")
    shop.tell("payments", order_id="7", amount=10)
    wait_for(lambda: states(hub)["7"] == "completed", what="it runs on")
    assert set(states(hub)) == {"7", "8"}, "nothing new begins"
    done = hub.run("workflow", "replay", "order/7", check=False)
    assert done.returncode == 1 and "not in the running configuration" in done.stderr
    with Subscriber(broker.port, "unplaced/#") as undone:
        hub.run("workflow", "cancel", "order/8")
        undone.wait(1)
    wait_for(lambda: states(hub)["8"] == "cancelled")
    balanced(hub)
    books(hub)


def test_what_cannot_be_run_any_more_can_be_given_up(start_hub, broker, shop):
    """A definition of an earlier version of Pipit that this one does not take."""
    hub = start_hub(config(broker)).wait_ready()
    shop.orders("7", "8")
    wait_for(lambda: len(instances(hub)) == 2)
    hub.terminate()
    with sqlite3.connect(hub.dir / "hub.db") as store:
        store.execute("UPDATE pipit_workflow_definition SET text = replace(text, 'within', 'withun'), version = 'x'")
    hub.write_config(config(broker, workflows=RESERVE))
    hub.start().wait_ready()
    assert [s["step"] for s in instances(hub)["7"]["steps"]] == ["paid"]
    assert "waits for" in hub.run("workflow", "show", "order/7").stdout
    done = hub.run("workflow", "cancel", "order/7", check=False)
    assert done.returncode == 1 and "pipit workflow cancel --abandon 1" in done.stderr, done.stderr
    hub.run("workflow", "cancel", "1", "--abandon")
    hub.terminate()
    hub.run("workflow", "cancel", "2", "--abandon")
    assert states(hub) == {"7": "cancelled", "8": "cancelled"}
    assert lines(hub, "show", "1")[0]["history"][-1]["what"] == "cancelled"
    balanced(hub)
    books(hub)
