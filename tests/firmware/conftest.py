"""What the firmware tests share: the builder and the machines of firmware-examples/tool, and the system
tests' broker and hub."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
for folder in ("firmware-examples/tool", "tests/integration"):
    if str(ROOT / folder) not in sys.path:
        sys.path.insert(0, str(ROOT / folder))

import build  # noqa: E402
import qemu  # noqa: E402
from fixtures import broker, pytest_runtest_makereport, start_hub  # noqa: E402, F401


@pytest.fixture(scope="session")
def firmware():
    """firmware("name", "board"): the built ELF file."""
    built = set()

    def elf(name, board):
        if name not in built:
            build.build([name])
            built.add(name)
        return build.example(name).elf(board)

    return elf


@pytest.fixture
def machine(firmware):
    """machine("name", "board", arguments=...): a started QEMU, killed after the test."""
    started = []

    def start(name, board, **more):
        made = qemu.Machine(board, firmware(name, board), **more)
        started.append(made)
        return made.start()

    yield start
    for each in started:
        each.kill()
