"""The examples that command devices, with the hub, a mosquitto and devices that run the SDK: a firmware
campaign over a fleet, and a valve that is confirmed and rolled back."""

import json
import shutil

import pytest

from harness import BUILD, ROOT, Client, Hub, Process, Subscriber, pipit, stays, wait_for

EXAMPLES = ROOT / "docs" / "examples"
COMMAND_DEVICE = BUILD / "tests" / "crash" / "command-device"
PRESSES = [f"press-{n}" for n in range(1, 9)]


class Plant:
    """An example's hub, and its devices in one process."""

    def __init__(self, broker, folder, example, devices, **changes):
        text = (EXAMPLES / example / "hub.yaml").read_text()
        for old, new in {"mqtt://127.0.0.1:1883": broker.url, **changes}.items():
            assert old in text, old
            text = text.replace(old, new)
        self.folder = folder
        self.broker = broker
        self.hub = Hub(text, folder)
        for table in (EXAMPLES / example).glob("*.csv"):
            shutil.copy(table, folder)
        self.devices = Process("devices")
        self.client = Client(broker.port).wait_connected()
        self.watch = Subscriber(broker.port, "campaigns/#", "tanks/#", "pipit/v1/plant/#")
        self.names = devices

    def __enter__(self):
        self.hub.start().wait_ready()
        self.devices.launch([COMMAND_DEVICE, self.broker.port, self.folder]
                            + [f"plant/{name}" for name in self.names])
        wait_for(lambda: len(self.watch.on("pipit/v1/plant/+/status")) >= len(self.names),
                 what="the devices are online")
        return self

    def __exit__(self, *_):
        self.devices.kill()
        self.watch.close()
        self.client.close()
        self.hub.cleanup()

    def publish(self, topic, **fields):
        self.client.publish(topic, json.dumps(fields)).wait_for_publish(10)

    def say(self, name, text):
        """What the device answers, or (NAME.command) the events that it publishes then."""
        path = self.folder / "new"
        path.write_text(text)
        path.rename(self.folder / name)

    def executed(self):
        """(device, command, its fields) in order."""
        path = self.folder / "ledger"
        lines = path.read_text().splitlines() if path.exists() else []
        words = (line.split(" ", 3) for line in lines)
        return [(word[0].split("/")[1], word[2], word[3] if len(word) > 3 else "") for word in words]

    def state(self, instance):
        """State and failure of the last that was started."""
        name, key = instance.split("/")
        listed = self.hub.run("workflow", "list", "--state", "all", "--name", name, "--key", key,
                              "--json").stdout
        rows = [json.loads(line) for line in listed.splitlines()]
        return (rows[0]["state"], rows[0].get("error")) if rows else None

    def ends(self, instance, state, error=None):
        wait_for(lambda: self.state(instance) == (state, error), 60,
                 lambda: f"{instance}: {self.state(instance)}\n{self.hub.tail()}")


@pytest.fixture
def campaign(broker, tmp_path):
    folder = tmp_path / "plant"
    folder.mkdir()
    with Plant(broker, folder, "workflow-firmware", PRESSES, **{"backoff: 1 min": "backoff: 1 s"}) as plant:
        for name in PRESSES:
            plant.say(f"{name}.update", "booted version=$version\n")
        yield plant


def test_a_campaign_goes_through_the_fleet_in_waves(campaign):
    """The hub is killed in the middle of the second wave."""
    campaign.say("press-3.say", "hold")
    campaign.publish("campaigns/start", version="2.1", url="http://firmware/2.1")
    wait_for(lambda: len(campaign.executed()) >= 3, what="the second wave")
    stays(lambda: {name for name, _, _ in campaign.executed()} <= set(PRESSES[:4]), 0.5)
    campaign.hub.kill()
    campaign.say("press-3.say", "0 done")
    campaign.hub.start().wait_ready()
    campaign.ends("campaign/2.1", "completed")
    executed = campaign.executed()
    assert sorted(name for name, _, _ in executed) == PRESSES  # Each once.
    for name, command, fields in executed:
        assert command == "update" and fields == "version=2.1 url=http://firmware/2.1", name
    waves = [{name for name, _, _ in executed[n:n + 2]} for n in range(0, 8, 2)]
    assert waves == [set(PRESSES[n:n + 2]) for n in range(0, 8, 2)]
    assert campaign.watch.wait(1, "campaigns/2.1")[0].json() == {"done": True}


def test_a_campaign_stops_when_a_quarter_has_failed(campaign):
    for name in ("press-2", "press-4"):
        campaign.say(f"{name}.say", "3 the flash is full")
    campaign.publish("campaigns/start", version="2.2", url="http://firmware/2.2")
    campaign.ends("campaign/2.2", "failed", "failed")
    assert sorted(name for name, _, _ in campaign.executed()) == PRESSES[:4]
    assert "stopped" in campaign.watch.wait(1, "campaigns/2.2")[0].json()


@pytest.fixture
def valve(broker, tmp_path):
    folder = tmp_path / "plant"
    folder.mkdir()
    with Plant(broker, folder, "workflow-valve", ["valve-4"], **{"within: 20 s": "within: 2 s"}) as plant:
        plant.say("valve-4.measure", "flow litres_per_minute=12.5 litres=50\n")
        yield plant


def commands(plant):
    return [command for _, command, _ in plant.executed()]


def test_a_valve_is_confirmed_and_closed_when_the_tank_is_full(valve, broker):
    valve.say("valve-4.open", "flow litres_per_minute=12.5 litres=0\n")
    valve.publish("tanks/4/fill", litres=50)
    wait_for(lambda: "full entered" in valve.hub.run("workflow", "show", "fill/4", check=False).stdout,
             what="it is open")
    assert commands(valve) == ["open"]
    valve.hub.kill()
    valve.hub.start().wait_ready()
    pipit("command", "--url", broker.url, "--device", "plant/valve-4", "--name", "measure")
    valve.ends("fill/4", "completed")
    assert commands(valve) == ["open", "measure", "close"]
    assert valve.watch.wait(1, "tanks/4/filled")[0].json() == {"litres": 50}


def test_a_valve_that_is_not_confirmed_is_closed_again(valve):
    valve.publish("tanks/4/fill", litres=50)
    valve.ends("fill/4", "failed", "timeout")
    assert commands(valve) == ["open", "close"]


def test_a_valve_that_says_no_was_never_open(valve):
    valve.say("valve-4.say", "5 stuck")
    valve.publish("tanks/4/fill", litres=50)
    valve.ends("fill/4", "failed", "refused")
    assert commands(valve) == ["open"]


def test_a_valve_that_is_gone_is_not_asked(valve):
    valve.devices.kill()
    wait_for(lambda: len(valve.watch.on("pipit/v1/plant/valve-4/status")) >= 2, what="its last will")
    valve.publish("tanks/4/fill", litres=20)
    valve.ends("fill/4", "failed", "offline")
    assert commands(valve) == []
