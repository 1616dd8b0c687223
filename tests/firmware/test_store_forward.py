"""firmware-examples/store-forward: what the board said it has accepted arrives, once and in order, whenever its
power went. What was being written just then may have become an event or not."""

import importlib.util
import os
import random
import re

import pytest

import build
import harness
import harness_modem
import qemu
from boards import BOARDS
from harness import wait_for

EXAMPLE = build.example("store-forward")
RUN_SECONDS = 60
LIVES = 20            # Without a line.
TAKEN_MAX = 100       # Readings of one of these: the flash holds those of all.
LIVES_MAX = 80        # When more are needed until a record was cut.
LIVES_ON_LINE = 6
CUT = re.compile(r"started: \d+ readings wait, (\d+) were cut")


def load_scenario():
    spec = importlib.util.spec_from_file_location("store_forward", EXAMPLE.folder / "scenario.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scenario = load_scenario()
kept, delivered = scenario.kept, scenario.delivered


class Bench:
    """One board's lives, its flash, and the line, broker and hub that it has later."""

    def __init__(self, board_name, elf, folder):
        self.board_name = board_name
        self.elf = elf
        self.folder = folder
        self.storage = qemu.blank_storage(folder / "flash.img", BOARDS[board_name])
        self.seed = int(os.environ.get("PIPIT_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        self.chance = random.Random(self.seed)
        print(f"PIPIT_TEST_SEED={self.seed}")
        self.machines = []
        self.lives = []  # What each said: [(reading, boot, event), ...]
        self.broker = self.modem = self.hub = None

    def machine(self, readings):
        port = self.modem.port if self.modem is not None else None
        made = qemu.Machine(self.board_name, self.elf, ["board", readings], storage=self.storage, port=port)
        self.machines.append(made)
        return made

    def life(self, cut=qemu.Machine.cut_power):
        machine = self.machine(self.taken + TAKEN_MAX)
        self.lives.append(scenario.life(machine, self.chance, cut))
        return machine

    def life_on_line(self, readings):
        """Cut while the hub stores and the flash lets go."""
        machine = self.machine(readings).start()
        before = len(delivered(self.hub))
        count = before + self.chance.randrange(1, 60)
        wait_for(lambda: len(delivered(self.hub)) >= count or not machine.is_running(), what=machine.tail,
                 step=0.005)
        machine.cut_power()
        self.lives.append(kept(machine))

    def last_life(self, readings):
        machine = self.machine(readings).start()
        assert machine.wait(RUN_SECONDS) == 0, machine.tail()
        self.lives.append(kept(machine))
        wait_for(lambda: len(delivered(self.hub)) >= readings, what=lambda: f"{len(delivered(self.hub))}")

    def cuts(self):
        """Records that the starts so far have found cut, and no start before."""
        found = [0] + [int(said[1]) for machine in self.machines for line in machine.lines
                       if (said := CUT.match(line))]
        return sum(max(0, now - before) for before, now in zip(found, found[1:]))

    def connect(self):
        self.broker = harness.Broker().start()
        self.modem = harness_modem.Modem(self.broker.port).start()
        text = (EXAMPLE.folder / "hub.yaml").read_text().replace("{url}", self.broker.url)
        self.hub = harness.Hub(text, self.folder / "hub").start().wait_ready()

    def close(self):
        for each in self.machines:
            each.kill()
        for each in (self.hub, self.modem, self.broker):
            if each is not None:
                each.cleanup()

    @property
    def taken(self):
        return self.accepted[-1][0] if self.accepted else 0

    @property
    def accepted(self):
        return [each for life in self.lives for each in life]


@pytest.fixture
def bench(firmware, tmp_path):
    up = []

    def begin(board_name):
        up.append(Bench(board_name, firmware("store-forward", board_name), tmp_path))
        return up[-1]

    yield begin
    for each in up:
        each.close()


def assert_delivered(bench, readings):
    """Each number once and in order, in the order of the events' identities; none that nobody had taken."""
    got = delivered(bench.hub)
    assert [number for number, _, _ in got] == list(range(1, readings + 1))
    identities = [(boot, event) for _, boot, event in got]
    assert identities == sorted(set(identities))
    said = {}
    for _, boot, event in bench.accepted:
        said[boot] = event
    for number, boot, event in set(got) - set(bench.accepted):  # Cut between the flash and the console.
        assert event == said.get(boot, 0) + 1, f"reading {number} as {boot}/{event} was never taken"
    books = bench.hub.status()["books"]
    assert (books["routed"], books["delivered"], books["dropped"]) == (readings, readings, 0), books
    assert books["received"] == readings + books["duplicate"], books
    print(f"{len(bench.machines)} lives, {bench.cuts()} records cut, {len(bench.accepted)} readings accepted, "
          f"{books['received']} received, {books['delivered']} delivered")


def lost(bench):
    return sorted(set(bench.accepted) - set(delivered(bench.hub)))


@pytest.mark.parametrize("board_name", EXAMPLE.boards)
def test_what_was_accepted_arrives_once_and_in_order(bench, board_name):
    """Both boards; on riscv32-virt it is SIGKILL, and goes on until records were cut in the middle."""
    bench = bench(board_name)
    cuts_min = 0 if BOARDS[board_name].is_written_behind else 2
    while len(bench.lives) < LIVES or (bench.cuts() < cuts_min and len(bench.lives) < LIVES_MAX):
        bench.life()
    assert bench.cuts() >= cuts_min
    bench.connect()
    readings = bench.taken + 500
    for _ in range(LIVES_ON_LINE):
        bench.life_on_line(readings)
    bench.last_life(readings)
    assert_delivered(bench, readings)
    assert lost(bench) == []


def test_a_chip_that_forgets_what_it_took_last(bench):
    """SIGKILL on emcraft-sf2: QEMU's chip says that a page is programmed before it is in the file. Then the end of
    what a life said may be missing, but nothing before it, and nothing else goes wrong."""
    bench = bench("emcraft-sf2")
    for _ in range(LIVES // 2):
        bench.life(cut=qemu.Machine.kill)
    bench.connect()
    readings = bench.taken + 100
    bench.last_life(readings)
    assert_delivered(bench, readings)
    missing = set(lost(bench))
    for life in bench.lives:
        is_missing = [each in missing for each in life]
        assert is_missing == sorted(is_missing), life


def life_until_full(bench):
    machine = bench.machine(100000).start()
    wait_for(lambda: any(line.startswith("full: ") for line in machine.lines), 60, machine.tail)
    machine.cut_power()
    bench.lives.append(kept(machine))
    assert machine.lines.count(f"full: reading {bench.taken + 1} has to wait") == 1
    return bench.lives[-1]


def test_a_full_flash_refuses_and_goes_on_when_the_hub_has_stored(bench):
    bench = bench("emcraft-sf2")
    life_until_full(bench)
    taken = bench.taken
    for _ in range(2):
        assert life_until_full(bench) == []  # A start takes no room of an event, nor gives any.
    bench.connect()
    bench.last_life(taken + 300)
    assert_delivered(bench, taken + 300)
    assert lost(bench) == []


def test_flash_that_is_lost_with_the_power_loses_what_was_accepted(bench):
    """The same without a file behind the flash: so the test above sees a loss if there is one."""
    bench = bench("emcraft-sf2")
    bench.storage = None
    while len(bench.lives) < 4 or len(bench.accepted) < 20:
        bench.life()
    bench.connect()
    bench.last_life(200)
    assert len(lost(bench)) >= 20
