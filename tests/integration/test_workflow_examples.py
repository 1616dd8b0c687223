"""The whole workflows of the manual, run for real, with a broker and an HTTP server; those that command devices are run
by test_workflow_devices.py. Only addresses and times are others than in docs/examples; the cases beside them are run
by test_cases.py."""

import json

import pytest

import shop
from harness import ROOT, Client, Hub, Subscriber, stays, wait_for


def configuration(name, broker, **times):
    """The example on this broker, with other times: of each the text that stands there, and what is put for it."""
    text = (ROOT / "docs" / "examples" / f"workflow-{name}" / "hub.yaml").read_text(encoding="utf-8")
    changes = [("mqtt://127.0.0.1:1883", broker.url),
               ("store: hub.db}", 'store: "{dir}/hub.db", stats_every: 0, check_broker: false}')]
    for old, new in changes + list(times.items()):
        assert old in text, old
        text = text.replace(old, new)
    return text


class Plant:
    """A hub on an example, a client and a subscriber."""

    def __init__(self, folder, broker, text, *filters):
        self.hub = Hub(text, folder / "hub")
        self.client = Client(broker.port)
        self.watch = Subscriber(broker.port, *filters)

    def start(self):
        self.hub.start().wait_ready()
        return self

    def publish(self, topic, payload):
        self.client.publish(topic, json.dumps(payload)).wait_for_publish(10)

    def wait_state(self, instance, state):
        def fact():
            done = self.hub.run("workflow", "show", instance, "--json", check=False)
            shown = json.loads(done.stdout) if done.returncode == 0 else {}
            return shown if shown.get("state") == state else None
        return wait_for(fact, what=lambda: f"{instance} is {state}\n{self.hub.run('workflow', 'show', instance).stdout}",
                        step=0.1)

    def close(self):
        self.watch.close()
        self.client.close()
        self.hub.cleanup()


@pytest.fixture
def make_plant(tmp_path, broker):
    made = []

    def make(text, *filters):
        made.append(Plant(tmp_path, broker, text, *filters))
        return made[-1]

    yield make
    for plant in made:
        plant.close()


def test_order(tmp_path, broker):
    """One order of each status, and the money."""
    by_status = {order.status: order for order in reversed(shop.orders())}
    some = list(by_status.values())
    assert set(by_status) == set(shop.PARCELS)
    with shop.Store() as store:
        text = shop.configuration(broker, store).replace("within: 2 d", "within: 5 s")
        with Hub(text, tmp_path / "hub") as hub, Client(broker.port) as client, \
                Subscriber(broker.port, "shop/status/+") as watch:
            hub.wait_ready()
            count = 0
            for topic, payload in shop.events(some, 1):
                client.publish(topic, payload).wait_for_publish(10)
                count += 1
            wait_for(lambda: shop.states(hub) == shop.wanted(some), what=lambda: f"{shop.states(hub)}\n{hub.tail()}")
            wait_for(lambda: shop.query(hub, "SELECT count(*) FROM pipit_outbox")[0][0] == 0, what="all is delivered")
            shop.check_orders(hub, some)
            shop.check_store(store, some)
            shop.check_books(hub, count)
            want = {f"shop/status/{o.id}": o.status for o in some if o.status != "placed"}
            wait_for(lambda: {m.topic: m.json()["status"] for m in list(watch.messages)} == want, what=f"{want} is told")
            assert hub.run("workflow", "show", f"order/{by_status['placed'].id}").stdout.count("release") > 0


def test_cold_chain(make_plant, broker):
    plant = make_plant(configuration("cold-chain", broker, **{"within: 10 min": "within: 2 s", "within: 5 min": "within: 6 s"}), "alarms/+",
                       "escalations/+").start()
    plant.publish("trucks/t1/temperature", {"celsius": 9.5})
    plant.publish("trucks/t1/temperature", {"celsius": 7.5})
    plant.publish("trucks/t2/temperature", {"celsius": 9.5})
    plant.publish("trucks/t3/temperature", {"celsius": 12})
    alarms = {message.topic: message.json() for message in plant.watch.wait(2, "alarms/+")}
    assert set(alarms) == {"alarms/t2", "alarms/t3"} and alarms["alarms/t3"]["celsius"] == 12
    plant.publish("alarms/t2/acknowledged", {"person": "Grace"})
    assert plant.wait_state("cold-chain/t2", "completed")["result"] == {"alarm": True, "person": "Grace"}
    assert plant.wait_state("cold-chain/t1", "completed")["result"] == {"alarm": False}
    assert plant.watch.wait(1, "escalations/+")[0].topic == "escalations/t3"
    plant.publish("alarms/t3/acknowledged", {"person": "Ada"})
    assert plant.wait_state("cold-chain/t3", "completed")["result"] == {"alarm": True, "person": "Ada"}
    assert [m.topic for m in plant.watch.on("escalations/+")] == ["escalations/t3"]
    for truck in ("t2", "t3"):  # Retained alarms are taken back.
        wait_for(lambda: plant.watch.on(f"alarms/{truck}")[-1].payload == b"", what=f"no alarm of {truck} any more")
    with Subscriber(broker.port, "alarms/+") as late:
        stays(lambda: not late.messages, 0.3)
