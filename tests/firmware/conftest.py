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
import harness  # noqa: E402
import qemu  # noqa: E402


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


@pytest.fixture
def broker():
    with harness.Broker() as running:
        yield running


@pytest.fixture
def start_hub(tmp_path):
    hubs = []

    def start(config_text, folder="hub", **more):
        hub = harness.Hub(config_text, tmp_path / folder, **more)
        hubs.append(hub)
        return hub.start()

    yield start
    for hub in hubs:
        hub.cleanup()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its machines, hubs and brokers said last."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for name, value in list(getattr(item, "funcargs", {}).items()):
        if isinstance(value, harness.Process):
            report.sections.append((f"{name} said", value.tail(60)))
