"""firmware-examples/linux-lamp: what its README says, with a mosquitto, and the workflow that stands there."""

import json
import re

import pytest

from harness import BUILD, ROOT, Client, Hub, Process, Subscriber, pipit, wait_for

README = (ROOT / "firmware-examples" / "linux-lamp" / "README.md").read_text()
CONFIG = re.search(r"```yaml\n(.*?)```", README, re.DOTALL).group(1)


class Lamp(Process):
    def __init__(self, broker, file):
        super().__init__("lamp")
        self.url = broker.url
        self.file = file

    def start(self):
        before = len(self.lines)
        self.launch([BUILD / "device-sdk" / "pipit-lamp", self.url, self.file])
        wait_for(lambda: "waiting for commands" in self.lines[before:], what=lambda: self.tail())
        return self

    def switched(self, count=0):
        """What it has done, when it has done that much."""
        def done():
            return [line for line in self.lines if line.startswith("switched")]
        wait_for(lambda: len(done()) >= count, what=self.tail)
        return done()

    def command(self, *arguments, code=0):
        done = pipit("command", "--url", self.url, "--device", "home/lamp", "--name", *arguments, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()


@pytest.fixture
def lamp(broker, tmp_path):
    running = Lamp(broker, tmp_path / "lamp").start()
    yield running
    running.kill()


def test_what_the_readme_shows(lamp):
    shown = re.findall(r"^\$ pipit command --device home/lamp --name (.*)\n(.*)$", README, re.MULTILINE)
    assert len(shown) == 4
    for arguments, said in shown:
        assert lamp.command(*arguments.split(), code=0 if ": done" in said else 1) == said
    assert lamp.file.read_text() == "1\n"
    lamp.command("light", "state=off")
    assert lamp.file.read_text() == "0\n"
    assert lamp.switched(2) == ["switched on", "switched off"]
    assert lamp.terminate() == 0


@pytest.mark.parametrize("fields", [[], ["state=1"], ["state=onward"], ["level=3"]])
def test_what_is_no_state_is_refused(lamp, fields):
    assert lamp.command("light", *fields, code=1) == "home/lamp: status 1, state: a text, on or off"
    assert not lamp.switched() and not lamp.file.exists()


def test_a_lamp_that_cannot_be_switched_says_why(broker, tmp_path):
    lamp = Lamp(broker, tmp_path / "nowhere" / "lamp").start()
    try:
        said = lamp.command("light", "state=on", code=1)
        assert said == "home/lamp: status 2, not switched: No such file or directory"
        wait_for(lambda: f"lamp: {lamp.file}: not switched: No such file or directory" in lamp.lines,
                 what=lamp.tail)
    finally:
        lamp.kill()


def test_a_killed_lamp_has_forgotten_what_it_did(lamp):
    """What the manual warns of; light sets, so nothing changes."""
    lamp.command("light", "state=on", "--id", "job-17")
    lamp.kill()
    lamp.start()
    assert lamp.command("light", "state=on", "--id", "job-17") == "home/lamp: done state=on"
    assert lamp.switched(2) == ["switched on", "switched on"] and lamp.file.read_text() == "1\n"


class Home:
    """The hub of the README, and what it tells."""

    def __init__(self, broker, folder):
        assert CONFIG.count("mqtt://127.0.0.1:1883") == 2 and "store: hub.db" in CONFIG
        text = CONFIG.replace("mqtt://127.0.0.1:1883", broker.url).replace("store: hub.db", 'store: "{dir}/hub.db"')
        self.hub = Hub(text, folder).start().wait_ready()
        self.client = Client(broker.port).wait_connected()
        self.watch = Subscriber(broker.port, "rooms/+/is", "rooms/+/dark", "pipit/v1/home/lamp/#")

    def wants(self, room, state):
        self.client.publish(f"rooms/{room}/light", json.dumps({"state": state})).wait_for_publish(10)

    def told(self, what):
        return self.watch.wait(1, f"rooms/{what}")[0].json()

    def states(self, key):
        """Of the instances of this key, the newest first."""
        listed = self.hub.run("workflow", "list", "--state", "all", "--key", key, "--json").stdout
        return [json.loads(line)["state"] for line in listed.splitlines()]

    def cleanup(self):
        self.watch.close()
        self.client.close()
        self.hub.cleanup()


@pytest.fixture
def home(broker, tmp_path):
    running = Home(broker, tmp_path / "hub")
    yield running
    running.cleanup()


def test_a_workflow_switches_it(lamp, home):
    """One instance completes; the next of the same room is refused by the lamp."""
    home.wants("hall", "on")
    home.wants("hall", "green")
    told = dict(re.findall(r"^rooms/(hall/\S+) (.*)$", README, re.MULTILINE))
    assert home.told("hall/is") == json.loads(told["hall/is"])
    assert home.told("hall/dark") == json.loads(told["hall/dark"])
    wait_for(lambda: home.states("hall") == ["failed", "completed"], what=lambda: str(home.states("hall")))
    shown = re.findall(r"pipit workflow (?:list|show) [^`\n]*", README)
    assert len(shown) == 2
    for line in shown:
        said = pipit(*line.split()[1:], cwd=home.hub.dir).stdout
        assert "state: a text, on or off" in said, f"{line}\n{said}"
    lamp.command("light", "state=off")
    assert lamp.switched(2) == ["switched on", "switched off"]


def test_the_same_command_twice_is_done_once(lamp, home):
    """As a broker or a retry delivers it again: the same bytes under the same id."""
    home.wants("hall", "on")
    assert home.told("hall/is") == {"state": "on"}
    (command,) = home.watch.wait(1, "pipit/v1/home/lamp/command/light")
    home.client.publish(command.topic, command.payload).wait_for_publish(10)
    first, second = home.watch.wait(2, "pipit/v1/home/lamp/reply/light")
    assert first.payload == second.payload
    lamp.command("light", "state=off")  # Comes behind it, so it was not run meanwhile.
    assert lamp.switched(2) == ["switched on", "switched off"]
    assert home.states("hall") == ["completed"] and len(home.watch.on("rooms/hall/is")) == 1
