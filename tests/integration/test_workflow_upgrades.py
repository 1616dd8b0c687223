"""What becomes of running instances when the definition changes, is renamed or goes away, and when an
older copy of the store is brought back."""

import json
import shutil
import sqlite3

from harness import Client, Subscriber, wait_for
from http_peer import HttpPeer

CONFIG = """
hub: {{id: shop, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["shop/#"]}}
devices:
  shop: {{from: "shop/#", device: "'shop'", sequence: n}}
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
  stock: {{http: {{url: "{http}"}}, backoff_min: 20 ms, backoff_max: 50 ms}}
{workflows}
"""
ORDER = """
workflows:
  {name}:
    start: {{from: shop/orders, key: number}}
    steps:
      - reserve:
          call: {{to: stock, path: "/reserve/{{my.key}}"}}
          undo: [{{release: {{call: {{to: stock, method: DELETE, path: "/reserve/{{my.key}}"}}}}}}]
      - paid: {{await: {{from: shop/payments, key: order_id}}}}
      - ship: {{call: {{to: stock, path: "/ship/{{my.key}}"}}}}
      - tell: {{emit: {{to: bus, topic: "done/{{my.key}}", fields: {{version: "'{version}'"}}}}}}
"""
LONG_S = 30


class Shop:
    def __init__(self, broker, start_hub, peer, workflows):
        self.broker, self.peer, self.sent = broker, peer, 0
        self.hub = start_hub(self.text(workflows))
        self.hub.wait_ready()
        self.client = Client(broker.port)
        self.done = Subscriber(broker.port, "done/+")

    def text(self, workflows):
        return CONFIG.format(url=self.broker.url, http=self.peer.url, workflows=workflows)

    def publish(self, topic, **fields):
        self.sent += 1
        self.client.publish(topic, json.dumps({"n": self.sent, **fields})).wait_for_publish(LONG_S)

    def order(self, *keys):
        for key in keys:
            self.publish("shop/orders", number=key)
        self.wait_at("paid", keys)

    def pay(self, *keys):
        for key in keys:
            self.publish("shop/payments", order_id=key)

    def wait_at(self, step, keys):
        """Until the instances of these keys wait at that step."""
        def fact():
            listed = self.listed()
            return all(any(i["key"] == key and [at["step"] for at in i["steps"]] == [step] for i in listed) for key in keys)
        wait_for(fact, LONG_S, lambda: f"{keys} at {step}: {self.listed()}\n{self.hub.tail()}")

    def listed(self, *words):
        lines = self.hub.run("workflow", "list", "--json", *words).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def wait_done(self, **versions):
        """Until what was told of these keys is this."""
        def fact():
            got = {m.topic.split("/")[1]: m.json()["version"] for m in self.done.messages}
            return all(got.get(key) == version for key, version in versions.items())
        wait_for(fact, LONG_S, lambda: f"{versions}: {self.done.messages}\n{self.hub.tail()}")

    def change(self, workflows):
        self.hub.write_config(self.text(workflows))
        return self.hub.run("apply").stdout

    def restart(self):
        self.hub.kill()
        self.hub.start().wait_ready()

    def close(self):
        self.client.close()
        self.done.close()


def test_instances_stay_on_the_version_they_began_with(broker, start_hub):
    with HttpPeer() as peer:
        shop = Shop(broker, start_hub, peer, ORDER.format(name="order", version="one"))
        shop.order("a", "b")
        said = shop.change(ORDER.format(name="order", version="two"))
        assert "order" in said and "2 instances" in said, said
        shop.order("c")
        versions = {i["key"]: i["version"] for i in shop.listed()}
        assert versions["a"] == versions["b"] != versions["c"], versions
        shop.pay("a", "c")
        shop.wait_done(a="one", c="two")
        shop.restart()
        shop.pay("b")
        shop.wait_done(b="one")
        shop.change(ORDER.format(name="order", version="one"))  # As it was: the first version again.
        shop.order("d")
        assert {i["key"]: i["version"] for i in shop.listed()}["d"] == versions["a"]
        shop.close()


def test_a_renamed_workflow_leaves_its_instances_to_end_under_their_name(broker, start_hub):
    with HttpPeer() as peer:
        shop = Shop(broker, start_hub, peer, ORDER.format(name="order", version="old"))
        shop.order("a")
        shop.change(ORDER.format(name="purchase", version="new"))
        shop.restart()
        shop.order("b")
        assert {(i["workflow"], i["key"]) for i in shop.listed()} == {("order", "a"), ("purchase", "b")}
        shop.pay("a", "b")
        shop.wait_done(a="old", b="new")
        shop.close()


def test_a_workflow_that_is_gone_leaves_instances_that_can_be_looked_at_and_cancelled(broker, start_hub):
    with HttpPeer() as peer:
        shop = Shop(broker, start_hub, peer, ORDER.format(name="order", version="one"))
        shop.order("a", "b")
        shop.change("")
        shop.publish("shop/orders", number="c")  # Nobody starts one any more.
        shop.restart()
        assert [i["key"] for i in shop.listed()] == ["a", "b"]
        shown = json.loads(shop.hub.run("workflow", "show", "order/a", "--json").stdout)
        assert shown["state"] == "running" and shown["configured"] is False, shown
        shop.hub.run("workflow", "cancel", "order/a")
        wait_for(lambda: [r.path for r in peer.requests if r.method == "DELETE"] == ["/reserve/a"], LONG_S, "a is undone")
        wait_for(lambda: shop.listed("--state", "cancelled"), LONG_S, "a is cancelled")
        shop.pay("b")  # The other one goes on as it began.
        shop.wait_done(b="one")
        shop.close()


def test_an_older_copy_of_the_store_repeats_calls_with_their_keys_and_makes_others_with_others(broker, start_hub, tmp_path):
    with HttpPeer() as peer:
        shop = Shop(broker, start_hub, peer, ORDER.format(name="order", version="one"))
        shop.order("a", "b")
        store = shop.hub.dir / "hub.db"
        with sqlite3.connect(store) as live, sqlite3.connect(tmp_path / "copy.db") as copy:
            live.backup(copy)
        shop.hub.run("workflow", "cancel", "order/a")  # All this the copy does not know:
        shop.hub.run("workflow", "cancel", "order/b")
        wait_for(lambda: len(shop.listed("--state", "cancelled")) == 2, LONG_S, "both are cancelled")
        shop.order("c")
        shop.hub.kill()
        for end in ("", "-wal", "-shm"):
            (shop.hub.dir / f"hub.db{end}").unlink(missing_ok=True)
        shutil.copy(tmp_path / "copy.db", store)
        shop.hub.start().wait_ready()
        assert [(i["key"], i["state"]) for i in shop.listed()] == [("a", "running"), ("b", "running")]
        shop.hub.run("workflow", "cancel", "order/a")  # The same again: the receiver knows it by its key.
        wait_for(lambda: shop.listed("--state", "cancelled"), LONG_S, "a is cancelled")
        shop.pay("b")  # Another way than before: what is called in the place of the undo is not the undo.
        shop.wait_done(b="one")
        shop.order("d")  # Gets the number that c had.
        effects = {}
        for request in peer.requests:
            effects.setdefault(request.key, set()).add((request.method, request.path))
        assert all(len(calls) == 1 for calls in effects.values()), effects
        assert sorted(call for calls in effects.values() for call in calls) == [
            ("DELETE", "/reserve/a"), ("DELETE", "/reserve/b"), ("POST", "/reserve/a"), ("POST", "/reserve/b"),
            ("POST", "/reserve/c"), ("POST", "/reserve/d"), ("POST", "/ship/b")]
        shop.close()
