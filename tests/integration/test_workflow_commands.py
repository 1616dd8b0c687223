"""Commands of workflows, end to end: the hub, a mosquitto, and devices that run the SDK. A step goes
on by the device's own reply and by nothing else; whatever dies meanwhile, a device executes once."""

import itertools
import json
import signal
import time

import pytest

from harness import BUILD, Broker, Client, Hub, Process, Subscriber, stays, wait_for
from protobuf import decode, encode

COMMAND_DEVICE = BUILD / "tests" / "crash" / "command-device"
COMMAND = ("pipit/v1/pipit.proto", "pipit.v1.Command")
REPLY = ("pipit/v1/pipit.proto", "pipit.v1.Reply")
STATUS = ("pipit/v1/pipit.proto", "pipit.v1.Status")

# One workflow for each way of asking; all tell how it ended.
STEP = """
  {name}:
    start: {{from: "do/{name}", key: number, running: parallel}}
    variables: {{unit: unit, level: level, executed: "NULL", said: "NULL", code: "NULL"}}
    steps:
      - boost:
          command: {{device: unit, name: boost, fields: {{level: level, note: "'for ' || my.key"}}{command}}}
          take: {{executed: "body.executed", said: "answer.reason", code: "answer.status"}}
          {more}
          on_error:
            - failed: {{emit: {{topic: "failed/{{my.key}}", fields: {{error: my.error, reason: my.reason}}}}}}
            - stop: {{fail: "{{my.reason}}"}}
      - done: {{emit: {{topic: "done/{{my.key}}", fields: {{executed: executed, said: said, code: code}}}}}}
"""
WAYS = {
    "plain": ("", "within: 25 s"),
    "impatient": ("", "within: 1 s"),
    "stubborn": ("", "within: 300 ms\n          retry: {attempts: 100, backoff: 50 ms, backoff_max: 100 ms}"),
    "brief": (", expires: 2 s", "within: 20 s"),  # Enough for a slow disk: it is sent in time.
    "fleeting": (", expires: 300 ms", ""),
    "failing": (", offline: fail", "within: 20 s"),
    "sending": (", offline: send", "within: 20 s"),
    "waiting": (", offline: wait", "within: 20 s"),
    "short": (", offline: wait", "retry: {attempts: 2, within: 1 s}"),
}
CONFIG = """
hub: {id: plant, store: "{dir}/hub.db", check_broker: false, stats_every: 1 s}
devices:
  shop: {from: "do/+", device: "'shop'", sequence: n}
sources:
  plant: {mqtt: {url: "URL"}, topics: ["do/#", "pipit/v1/+/+/reply/#", "pipit/v1/+/+/status"]}
targets:
  bus: {mqtt: {url: "URL"}}
workflows:
""" + "".join(STEP.format(name=name, command=command, more=more) for name, (command, more) in WAYS.items())

numbers = itertools.count(1)


class Plant:
    """A hub, what it tells, and devices of which each test takes its own."""

    def __init__(self, folder):
        self.folder = folder
        self.broker = Broker().start()
        self.hub = Hub(CONFIG.replace("URL", self.broker.url), folder / "hub").start().wait_ready()
        self.client = Client(self.broker.port).wait_connected()
        self.watch = Subscriber(self.broker.port, "done/#", "failed/#", "pipit/v1/plant/#",
                                "pipit/v1/$hub/plant/workflows/#")
        self.devices = []

    def device(self, name=None, folder=None):
        device = Device(self, name or f"d{next(numbers)}")
        self.devices.append(device)
        return device

    def ask(self, way, device, level=3):
        """Begins an instance; gives its key."""
        number = next(numbers)
        key = f"{way}-{number}"
        order = {"n": number, "number": key, "unit": f"plant/{device.name}", "level": level}
        self.client.publish(f"do/{way}", json.dumps(order)).wait_for_publish(10)
        return key

    def told(self, what, key):
        """What is told of the instance, each once: it may come twice, with the same key."""
        return list({m.key: m.json() for m in self.watch.on(f"{what}/{key}")}.values())

    def ended(self, what, key, deadline=30):
        found = wait_for(lambda: self.told("done", key) + self.told("failed", key), deadline,
                         lambda: f"{key} ends\n{self.hub.tail()}")
        assert len(found) == 1 and self.told(what, key) == found, found
        return found[0]

    def unknown_replies(self):
        """Replies that nobody waited for, as the hub counts them since its start."""
        topic = "pipit/v1/$hub/plant/workflows/unknown_replies"
        return int(wait_for(lambda: self.watch.on(topic), what=topic)[-1].text())

    def cleanup(self):
        for device in self.devices:
            device.kill()
        self.watch.close()
        self.client.close()
        self.hub.cleanup()
        self.broker.cleanup()


class Device(Process):
    """One that runs the SDK and writes down what it executes."""

    def __init__(self, plant, name):
        super().__init__(f"device {name}")
        self.plant = plant
        self.name = name
        self.folder = plant.folder / name
        self.folder.mkdir()

    def start(self):
        before = len(self.statuses())
        self.launch([COMMAND_DEVICE, self.plant.broker.port, self.folder, f"plant/{self.name}"])
        wait_for(lambda: "online: true" in "".join(self.statuses()[before:]), what=f"{self.name} is online")
        return self

    def die(self):
        """Gone without a word; the broker tells its last will."""
        before = len(self.statuses())
        self.kill()
        wait_for(lambda: len(self.statuses()) > before, what=f"the last will of {self.name}")
        assert "online" not in self.statuses()[-1]  # false is not written.
        return self

    def statuses(self):
        return [decode(STATUS, m.payload) for m in self.plant.watch.on(f"pipit/v1/plant/{self.name}/status")]

    def say(self, text):
        path = self.folder / "new"
        path.write_text(text)
        path.rename(self.folder / f"{self.name}.say")

    def executed(self):
        path = self.folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def wait_executed(self, count):
        wait_for(lambda: len(self.executed()) >= count, what=lambda: f"{count} in {self.executed()}")

    def commands(self):
        return self.plant.watch.on(f"pipit/v1/plant/{self.name}/command/#")

    def replies(self):
        return self.plant.watch.on(f"pipit/v1/plant/{self.name}/reply/#")


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    running = Plant(tmp_path_factory.mktemp("plant"))
    yield running
    try:
        books = running.hub.status()["books"]
        assert books["enqueued"] == books["delivered"] + books["waiting"] + books["dead"] + books["dropped"]
        assert books["received"] == (books["routed"] + books["filtered"] + books["duplicate"]
                                     + books["rejected"])
    finally:
        running.cleanup()


def test_a_reply_makes_the_step_go_on_with_what_it_says(plant):
    device = plant.device().start()
    device.say("0 very well")
    key = plant.ask("plain", device, level=7)
    assert plant.ended("done", key) == {"executed": 1, "said": "very well", "code": 0}
    (line,) = device.executed()
    name, ticket, command, fields = line.split(" ", 3)
    assert (name, command, fields) == (f"plant/{device.name}", "boost", f"level=7 note=for {key}")
    (sent,) = device.commands()
    assert sent.qos == 1 and sent.key == ticket and f'id: "{ticket}"' in decode(COMMAND, sent.payload)
    asked, answered = told_of(plant, key)
    topic = f"pipit/v1/plant/{device.name}"
    assert asked["topic"] == f"{topic}/command/boost" and not {"payload", "payload_hex"} & set(asked), asked
    assert asked["command"] == {"id": ticket, "name": "boost", "fields": {"level": 7, "note": f"for {key}"}}
    assert answered["topic"] == f"{topic}/reply/boost" and not {"body", "body_hex"} & set(answered), answered
    assert answered["fields"] == {"id": ticket, "status": 0, "message": "very well", "executed": 1,
                                  "level": 7, "note": f"for {key}"}
    text = plant.hub.run("workflow", "show", f"plain/{key}").stdout
    assert f'"fields":{{"level":7,"note":"for {key}"}}' in text and '"message":"very well"' in text, text


def told_of(plant, key):
    """The data of the step that asks, when it asked and when it was answered."""
    way = key.split("-")[0]
    shown = json.loads(plant.hub.run("workflow", "show", f"{way}/{key}", "--json").stdout)
    asked = [e for e in shown["history"] if e.get("step") == "boost" and e["what"] in ("entered", "done")]
    return tuple(e["data"] for e in asked)


def test_the_history_says_when_a_command_expires(plant):
    device = plant.device().start()
    device.say("0 fine")
    key = plant.ask("brief", device)
    wait_for(lambda: plant.told("done", key) + plant.told("failed", key), what=f"{key} ends, in time or not")
    command = told_of(plant, key)[0]["command"]
    assert command["name"] == "boost" and 0 < command["expires"] < time.time() * 1000 + 60000
    text = plant.hub.run("workflow", "show", f"brief/{key}").stdout
    assert '"expires":"20' in text and str(command["expires"]) not in text, text


@pytest.mark.parametrize("why, say, reason", [
    ("the device's own code", "7 no pressure", "no pressure"),
    ("an error of the SDK", "-10 not now", "not now"),
    ("no word about it", "3", "status 3"),
])
def test_a_device_that_says_no(plant, why, say, reason):
    device = plant.device().start()
    device.say(say)
    told = plant.ended("failed", plant.ask("plain", device))
    assert told["error"] == "refused" and reason in told["reason"], why
    assert say.split()[0] in told["reason"], why
    assert len(device.executed()) == 1


def test_no_answer_is_a_timeout(plant):
    device = plant.device().start()
    device.say("hold")
    told = plant.ended("failed", plant.ask("impatient", device))
    assert told["error"] == "timeout"
    device.say("0 too late")  # Its answer finds nobody.
    wait_for(device.replies, what="the late reply")
    assert len(device.executed()) == 1


def test_the_brokers_word_is_no_answer(plant):
    """The command is delivered and settled, and the step still waits for the device."""
    device = plant.device().start()
    device.say("hold")
    key = plant.ask("plain", device)
    device.wait_executed(1)
    wait_for(lambda: plant.hub.status()["books"]["waiting"] == 0, what="the outbox is empty")
    stays(lambda: not plant.told("done", key) + plant.told("failed", key), 0.5)
    device.say("0 done")
    assert plant.ended("done", key)["executed"] == 1


def test_a_command_that_is_sent_again_is_executed_once(plant):
    device = plant.device().start()
    device.say("hold")
    key = plant.ask("stubborn", device)
    wait_for(lambda: len(device.commands()) >= 4, what="attempts")
    device.say("0 once")
    assert plant.ended("done", key) == {"executed": 1, "said": "once", "code": 0}
    assert len(device.executed()) == 1
    assert len({m.key for m in device.commands()}) == 1  # The same id for every attempt.
    # Answers to the others may come, too, and change nothing.
    stays(lambda: len(plant.told("done", key)) == 1, 0.3)


@pytest.mark.parametrize("way", ["plain", "stubborn"])
def test_the_hub_dies_between_command_and_reply(plant, way):
    device = plant.device().start()
    device.say("hold")
    key = plant.ask(way, device)
    device.wait_executed(1)
    plant.hub.kill()
    device.say("0 done")
    wait_for(device.replies, what="the reply is with the broker")
    plant.hub.start().wait_ready()
    assert plant.ended("done", key) == {"executed": 1, "said": "done", "code": 0}
    assert len(device.executed()) == 1


def test_the_hub_dies_before_the_command_is_sent(plant):
    """The order is in the store, the device is not there yet."""
    device = plant.device().start().die()
    key = plant.ask("waiting", device)
    wait_for(lambda: instances(plant, key) == 1, what="the instance is in the store")
    plant.hub.kill()
    device.start()
    plant.hub.start().wait_ready()
    assert plant.ended("done", key)["executed"] == 1
    assert len(device.executed()) == 1


def instances(plant, key):
    listed = plant.hub.run("workflow", "list", "--key", key, "--json").stdout
    return len([line for line in listed.splitlines() if key in line])


def test_an_expired_command_is_not_begun(plant):
    device = plant.device().start()
    device.say("hold")
    first = plant.ask("plain", device)
    device.wait_executed(1)  # It holds the device up, so that the next one comes too late.
    second = plant.ask("brief", device)
    (command,) = wait_for(lambda: device.commands()[1:], what="the second command")
    time.sleep(max(0, expires_ms(command) / 1000 - time.time() + 0.05))  # The expiry is the fact.
    device.say("0 done")
    assert plant.ended("done", first)["executed"] == 1
    told = plant.ended("failed", second)
    assert told["error"] == "refused"
    assert len(device.executed()) == 1


def expires_ms(message):
    line = next(line for line in decode(COMMAND, message.payload).splitlines() if "expires" in line)
    return int(line.split(": ")[1])


def test_the_broker_keeps_no_expired_command(plant):
    """For a device without a clock: MQTT 5 message expiry, for those that come back too late."""
    device = plant.device().start()
    device.say("0 done")
    with Subscriber(plant.broker.port, f"pipit/v1/plant/{device.name}/command/#") as watch:
        intervals = []
        watch.paho.on_message = lambda _c, _u, m: intervals.append(
            getattr(m.properties, "MessageExpiryInterval", None))
        plant.ended("done", plant.ask("brief", device))
        plant.ended("done", plant.ask("plain", device))
        wait_for(lambda: len(intervals) == 2, what="both commands")
    assert intervals[0] in (1, 2) and intervals[1] is None  # What is left of 2 s in whole seconds, not less.


def test_a_command_that_expires_before_the_broker_is_reached(plant, tmp_path):
    """It is not sent then: a device without a clock would take it."""
    with Broker() as other:
        other.kill()
        text = CONFIG.replace("URL", plant.broker.url, 1).replace("URL", other.url)
        with Hub(text, tmp_path / "hub") as hub:
            hub.wait_ready()
            order = {"n": 1, "number": "late", "unit": "plant/far", "level": 1}
            plant.client.publish("do/fleeting", json.dumps(order)).wait_for_publish(10)
            wait_for(lambda: "boost" in hub.run("workflow", "list").stdout, what="it waits")
            time.sleep(0.4)  # The expiry is the fact.
            other.start()
            with Subscriber(other.port, "failed/late", "pipit/v1/plant/far/#") as watch:
                told = watch.wait(1, "failed/late")[0].json()
                assert told["error"] == "refused" and "expired" in told["reason"]
                assert not watch.on("pipit/v1/plant/far/command/#")


def test_offline_fail(plant):
    device = plant.device().start().die()
    told = plant.ended("failed", plant.ask("failing", device))
    assert told["error"] == "offline" and device.name in told["reason"]
    assert not device.commands()


def test_offline_wait(plant):
    device = plant.device().start().die()
    key = plant.ask("waiting", device)
    stays(lambda: not device.commands(), 0.5)
    device.start()
    assert plant.ended("done", key)["executed"] == 1


def test_offline_wait_ends_with_its_time(plant):
    device = plant.device().start().die()
    told = plant.ended("failed", plant.ask("short", device))
    assert told["error"] == "offline"
    assert not device.commands()
    device.start()
    stays(lambda: not device.executed(), 0.5)


def test_offline_send(plant):
    """The broker keeps it for the device's session."""
    device = plant.device().start().die()
    key = plant.ask("sending", device)
    wait_for(device.commands, what="the command is sent")
    device.start()
    assert plant.ended("done", key)["executed"] == 1


def test_a_device_that_nothing_is_known_of_is_asked(plant):
    device = plant.device()
    key = plant.ask("waiting", device)
    wait_for(device.commands, what="the command is sent")
    assert not plant.told("failed", key)


def forged(ticket, status=0):
    return encode(REPLY, f'id: "{ticket}" status: {status} message: "forged"')


def test_replies_that_nobody_waits_for_change_nothing(plant):
    device = plant.device().start()
    device.say("0 done")
    key = plant.ask("plain", device)
    assert plant.ended("done", key)["said"] == "done"
    ticket = device.executed()[0].split()[1]
    before = plant.unknown_replies()
    topic = f"pipit/v1/plant/{device.name}/reply/boost"
    store = ticket.split("/")[0]
    replies = [
        forged(ticket), forged(ticket),  # A second and a third reply to what is answered.
        forged("never-asked"), forged(f"{store}/w999999-1-0-1"), forged(f"{store}/w1-999-0-1"),
        forged(ticket.replace(store, "00000000")),
    ]
    for reply in replies:
        plant.client.publish(topic, reply).wait_for_publish(10)
    wait_for(lambda: plant.unknown_replies() == before + len(replies),
             what=lambda: f"{plant.unknown_replies()} after {before}")
    assert plant.told("done", key) == [{"executed": 1, "said": "done", "code": 0}]


def test_a_reply_of_another_device_is_none(plant):
    device = plant.device().start()
    device.say("hold")
    key = plant.ask("plain", device)
    device.wait_executed(1)
    ticket = device.executed()[0].split()[1]
    before = plant.unknown_replies()
    plant.client.publish("pipit/v1/plant/rogue/reply/boost", forged(ticket)).wait_for_publish(10)
    wait_for(lambda: plant.unknown_replies() == before + 1, what="it is counted")
    device.say("0 done")
    assert plant.ended("done", key)["said"] == "done"


def test_what_is_no_device_fails_the_step(plant):
    class Nobody:
        name = "+"
    told = plant.ended("failed", plant.ask("plain", Nobody))
    assert told["error"] == "expression" and "is no device" in told["reason"]


def test_many_kills_and_each_device_executes_once(plant):
    """Eight devices are asked while the hub is killed again and again."""
    devices = [plant.device().start() for _ in range(8)]
    for device in devices:
        device.say("0 done")
    keys = {}
    for round_number in range(5):
        for device in devices:
            keys.setdefault(device, []).append(plant.ask("stubborn", device))
        wait_for(lambda: len(plant.watch.on("done/#")) > round_number, what="some are done")
        plant.hub.signal(signal.SIGKILL)
        plant.hub.wait()
        plant.hub.start()
    plant.hub.wait_ready()
    for device in devices:
        for key in keys[device]:
            plant.ended("done", key)
        assert len(device.executed()) == 5, device.executed()
        assert len({line.split()[1] for line in device.executed()}) == 5
