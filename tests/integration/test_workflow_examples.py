"""The four whole workflows of the manual, run for real: a broker, an HTTP server, devices that run the SDK. Only
addresses and times are others than in docs/examples; the cases beside them are run by test_cases.py."""

import json
import shutil

import pytest

import shop
from harness import BUILD, ROOT, Client, Hub, Process, Subscriber, wait_for
from protobuf import encode

COMMAND_DEVICE = BUILD / "tests" / "crash" / "command-device"
EVENT = ("pipit/v1/pipit.proto", "pipit.v1.Event")


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
    """A hub on an example, a client, a subscriber, and devices."""

    def __init__(self, folder, broker, text, *filters):
        self.folder = folder
        self.hub = Hub(text, folder / "hub")
        self.client = Client(broker.port)
        self.watch = Subscriber(broker.port, *filters)
        self.devices = Process("devices")
        self.port = broker.port
        self.sequences = {}

    def start(self):
        self.hub.start().wait_ready()
        return self

    def start_devices(self, *names):
        online = set()
        with Subscriber(self.port, "pipit/v1/+/+/status") as statuses:
            self.devices.launch([COMMAND_DEVICE, self.port, self.folder, *names])
            wait_for(lambda: online.update(m.topic for m in statuses.messages) or len(online) >= len(names),
                     what="all devices are online")

    def say(self, device, text):
        path = self.folder / "new"
        path.write_text(text, encoding="utf-8")
        path.rename(self.folder / f"{device}.say")

    def executed(self):
        """(device, command, fields) of each command that a device has executed."""
        path = self.folder / "ledger"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [(words[0], words[2], " ".join(words[3:])) for words in map(str.split, lines)]

    def publish(self, topic, payload):
        self.client.publish(topic, json.dumps(payload)).wait_for_publish(10)

    def event(self, device, kind, fields):
        """As a device with the SDK sends it, by protoc."""
        number = self.sequences[device] = self.sequences.get(device, 0) + 1
        text = f'boot: 1 sequence: {number} type: "{kind}" ' + " ".join(f"fields {{ {field} }}" for field in fields)
        self.client.publish(f"pipit/v1/{device}/event/{kind}", encode(EVENT, text)).wait_for_publish(10)

    def show(self, instance):
        return json.loads(self.hub.run("workflow", "show", instance, "--json").stdout)

    def wait_state(self, instance, state):
        def fact():
            done = self.hub.run("workflow", "show", instance, "--json", check=False)
            shown = json.loads(done.stdout) if done.returncode == 0 else {}
            return shown if shown.get("state") == state else None
        return wait_for(fact, what=lambda: f"{instance} is {state}\n{self.hub.run('workflow', 'show', instance).stdout}",
                        step=0.1)

    def close(self):
        self.devices.kill()
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
            shop.check_orders(hub, some)
            shop.check_store(store, some)
            shop.check_books(hub, count)
            told = {message.topic: message.json()["status"] for message in watch.messages}
            assert told == {f"shop/status/{o.id}": o.status for o in some if o.status != "placed"}
            assert hub.run("workflow", "show", f"order/{by_status['placed'].id}").stdout.count("release") > 0


def test_cold_chain(make_plant, broker):
    plant = make_plant(configuration("cold-chain", broker, **{"within: 10 min": "within: 1 s", "within: 5 min": "within: 6 s"}), "alarms/+",
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
    with Subscriber(broker.port, "alarms/+") as late:  # Retained alarms are taken back.
        assert not late.messages


def test_firmware_campaign(make_plant, broker):
    """Waves of two; the second failure of eight stops it."""
    plant = make_plant(configuration("firmware", broker), "campaigns/2.0", "campaigns/2.1")
    shutil.copy(ROOT / "docs" / "examples" / "workflow-firmware" / "fleet.csv", plant.hub.dir)
    presses = [f"plant/press-{i}" for i in range(1, 9)]
    plant.start().start_devices(*presses)
    plant.publish("campaigns/start", {"version": "2.0", "url": "http://updates/2.0.bin"})
    for first in range(0, 8, 2):
        wait_for(lambda first=first: len(plant.executed()) == first + 2, what=lambda: f"a wave: {plant.executed()}")
        assert {device for device, _, _ in plant.executed()[first:]} == set(presses[first:first + 2])
        for press in presses[first:first + 2]:
            plant.event(press, "booted", ['name: "version" text: "2.0"'])
    plant.wait_state("campaign/2.0", "completed")
    assert plant.watch.wait(1)[0].json() == {"done": True}
    # The next one fails at two of the first four, so that the others never hear of it.
    plant.say("press-2", "7 battery low")
    plant.say("press-3", "7 battery low")
    plant.publish("campaigns/start", {"version": "2.1", "url": "http://updates/2.1.bin"})
    plant.event(presses[0], "booted", ['name: "version" text: "2.1"'])
    plant.event(presses[3], "booted", ['name: "version" text: "2.1"'])
    shown = plant.wait_state("campaign/2.1", "failed")
    assert "battery low" in shown["reason"] or "stopped" in shown["reason"], shown
    told = [device for device, command, fields in plant.executed() if "2.1.bin" in fields]
    assert sorted(told) == presses[:4]
    assert "stopped" in plant.watch.wait(2)[1].json()


def test_valve(make_plant, broker):
    plant = make_plant(configuration("valve", broker, **{"within: 20 s": "within: 2 s"}), "tanks/+/filled").start()
    plant.start_devices("plant/valve-4", "plant/valve-5")
    plant.publish("tanks/4/fill", {"litres": 50})
    plant.publish("tanks/5/fill", {"litres": 50})  # Nothing will flow there.
    plant.event("plant/valve-4", "flow", ['name: "litres_per_minute" real: 12.5', 'name: "litres" real: 0'])
    shown = plant.wait_state("fill/5", "failed")
    assert shown["error"] == "timeout"
    assert [command for device, command, _ in plant.executed() if device == "plant/valve-5"] == ["open", "close"]
    assert [command for device, command, _ in plant.executed() if device == "plant/valve-4"] == ["open"]
    plant.event("plant/valve-4", "flow", ['name: "litres_per_minute" real: 12.5', 'name: "litres" real: 50'])
    plant.wait_state("fill/4", "completed")
    assert [command for device, command, _ in plant.executed() if device == "plant/valve-4"] == ["open", "close"]
    assert plant.watch.wait(1)[0].json() == {"litres": 50}
    # One that is gone is not asked.
    plant.devices.kill()
    wait_for(lambda: shop.query(plant.hub, "SELECT online FROM pipit_presence WHERE device = 'plant/valve-4'") == [(0,)],
             what="the last will")
    plant.publish("tanks/4/fill", {"litres": 20})
    assert plant.wait_state("fill/4", "failed")["error"] == "offline"
