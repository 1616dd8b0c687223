"""A board without a line, whose power goes again and again in the middle of its work; then the line comes."""

import json
import pathlib
import random
import re
import time

import qemu
from harness import wait_for

CUTS = 12
READINGS = 600
RUN_SECONDS = 60
SILENT_SECONDS = 2
KEPT = re.compile(r"kept (\d+) \(boot (\d+), event (\d+)\)$")


def kept(machine):
    """What the board says that it has accepted: (reading, boot, event)."""
    return [tuple(map(int, found.groups())) for line in machine.lines if (found := KEPT.match(line))]


def delivered(hub):
    """What the hub has delivered, likewise, in that order; what it delivered twice is there twice."""
    path = pathlib.Path(hub.dir) / "readings.ndjson"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    events = [entry["idempotency_key"].split(":")[0].split("/") for entry in entries]
    return [(entry["payload"]["number"], int(boot), int(event))
            for entry, (_, _, boot, event) in zip(entries, events)]


def far_enough(machine, count):
    """A fact to wait for: so many readings are kept, or it has kept its last one and is silent."""
    seen = [0, time.monotonic()]

    def fact():
        now = time.monotonic()
        if len(machine.lines) != seen[0]:
            seen[:] = len(machine.lines), now
        is_silent = seen[0] > 0 and now - seen[1] > SILENT_SECONDS
        return len(kept(machine)) >= count or is_silent or not machine.is_running()
    return fact


def life(machine, chance, cut=qemu.Machine.cut_power, deadline=30):
    """From power on to a random moment: before it has begun, or somewhere in its first readings."""
    machine.start()
    if chance.random() < 0.15:
        time.sleep(chance.uniform(0, 0.15))
    else:
        wait_for(far_enough(machine, chance.randrange(60)), deadline, machine.tail, step=0.001)
        time.sleep(chance.uniform(0, 0.003))
    assert machine.is_running(), f"it ended by itself:\n{machine.tail()}"
    cut(machine)
    return kept(machine)


def run(stage):
    name = f"{stage.example.name}-{stage.board_name}"
    chance = random.Random()
    storage = stage.storage()
    accepted = []
    for _ in range(CUTS):
        machine = qemu.Machine(stage.board_name, stage.example.elf(stage.board_name), [name, READINGS],
                               storage=storage)
        stage.machines.append(machine)
        accepted += life(machine, chance)
    stage.say(f"{CUTS} times on and off, each time at a random moment, without a line")
    machine = qemu.Machine(stage.board_name, stage.example.elf(stage.board_name), [name, READINGS],
                           storage=storage, port=stage.modem.port)
    stage.machines.append(machine)
    stage.say("on again, with a line")
    code = machine.start().wait(RUN_SECONDS)
    accepted += kept(machine)
    wait_for(lambda: len(delivered(stage.hub)) >= READINGS, what="the last readings")
    stage.echo("board", machine.lines[-1])
    got = delivered(stage.hub)
    is_good = [number for number, _, _ in got] == list(range(1, READINGS + 1)) and set(accepted) <= set(got)
    stage.say(f"the hub has delivered {len(got)} readings, "
              + ("each that was kept, once and in order" if is_good else "but not as they were kept"))
    return code if is_good else code or 1
