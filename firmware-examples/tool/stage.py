"""What an example is shown on: a broker, a hub with the example's rules, a modem on the serial line (tests/modem),
and the boards.

An example that needs more than "start it and see" has a scenario.py beside its main.c with run(stage).
"""

import importlib.util
import pathlib

import qemu
from boards import BOARDS

import harness
import harness_modem

TOOL = pathlib.Path(__file__).resolve().parent
RUN_SECONDS = 90


class Stage:
    """Everything that a scenario can use. echo(who, text) is called for each line that is worth showing."""

    def __init__(self, example, board_name, folder, echo=lambda who, text: None, rules=None):
        self.rules = rules  # A hub.yaml in place of the example's.
        self.example = example
        self.board_name = board_name
        self.folder = pathlib.Path(folder)
        self.echo = echo
        self.broker = harness.Broker()
        self.modem = None
        self.hub = None
        self.watcher = None
        self.machines = []

    # ---- set up and torn down ------------------------------------------------------------------

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        self.broker.start()
        self.modem = harness_modem.Modem(self.broker.port, *self.example.modem).start()
        path = self.example.folder / "hub.yaml"
        text = self.rules or (path if path.exists() else TOOL / "hub.yaml").read_text()
        self.hub = harness.Hub(text.replace("{url}", self.broker.url), self.folder / "hub")
        self.hub.start().wait_ready()
        self.watch()

    def __exit__(self, *_):
        for machine in self.machines:
            machine.kill()
        if self.watcher is not None:
            self.watcher.close()
        if self.hub is not None:
            self.hub.cleanup()
        if self.modem is not None:
            self.modem.cleanup()
        self.broker.cleanup()

    def watch(self):
        """What the hub publishes on out/#, shown as mosquitto_sub -v would."""
        self.watcher = harness.Subscriber(self.broker.port, "out/#")
        inner = self.watcher.paho.on_message

        def shown(client, user, message):
            inner(client, user, message)
            self.echo("hub", f"{message.topic} {message.payload.decode('utf-8', 'replace')}")

        self.watcher.paho.on_message = shown

    # ---- for scenarios ---------------------------------------------------------------------------

    @property
    def board(self):
        return BOARDS[self.board_name]

    def results(self, topic="out/#"):
        """What the hub has delivered so far, as decoded JSON."""
        return [message.json() for message in self.watcher.on(topic)]

    def storage(self):
        """The file behind the board's flash; blank the first time."""
        return qemu.blank_storage(self.folder / "flash.img", self.board)

    def machine(self, *arguments, **more):
        """Starts the example's program."""
        made = Shown(self, self.board_name, self.example.elf(self.board_name), arguments,
                     **{"port": self.modem.port, **more})
        self.machines.append(made)
        return made.start()

    def pipit(self, *arguments, check=True):
        """Runs the command line against this broker and shows it."""
        done = harness.pipit(*arguments, "--url", self.broker.url, check=check)
        self.echo("$", "pipit " + " ".join(map(str, arguments)))
        for line in (done.stdout + done.stderr).splitlines():
            self.echo("", line)
        return done

    def say(self, text):
        self.echo("*", text)


class Shown(qemu.Machine):
    """A machine whose lines are shown as they come."""

    def __init__(self, stage, *arguments, **more):
        super().__init__(*arguments, **more)
        self.stage = stage

    def _read(self, stream):
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.lines.append(text)
            self.stage.echo("board", text)

    def wait_line(self, text, deadline=harness.DEADLINE_S):
        def fact():
            return any(text in line for line in self.lines) or not self._reader.is_alive()
        harness.wait_for(fact, deadline, lambda: f"'{text}' of the board:\n{self.tail()}")
        assert any(text in line for line in self.lines), f"ended without '{text}':\n{self.tail()}"


def plain(stage):
    """The usual scenario: the program runs to its end and says with its exit code how it went."""
    return stage.machine(f"{stage.example.name}-{stage.board_name}").wait(RUN_SECONDS)


def scenario(example):
    path = example.folder / "scenario.py"
    if not path.exists():
        return plain
    spec = importlib.util.spec_from_file_location(f"scenario_{example.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run
