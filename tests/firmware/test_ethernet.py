"""The transport over lwIP: on the host against lwIP itself, and on boards against a real broker and hub."""

import json
import pathlib
import re
import signal
import subprocess

import pytest

import build
import stage as stages
from harness import wait_for

ROOT = build.ROOT
LWIP_TEST = ROOT / "tests" / "firmware" / "lwip"
BOARDS = build.example("ethernet").boards
CHIPS = {"mps2-an385": "lan9118", "lm3s6965evb": "stellaris"}
STATIC = "10.0.2.15/10.0.2.2"
RUN_SECONDS = 100

TO_A_FILE = """
hub: {id: bench, store: "{dir}/hub.db", check_broker: false, stats_every: 0}
sources: {main: {mqtt: {url: "{url}", probe: false}, topics: ["pipit/v1/+/+/event/#"]}}
targets: {log: {file: {path: "{dir}/all.ndjson"}}}
rules:
  all: {sql: 'SELECT device, number FROM "pipit/v1/+/+/event/climate"', key: device, to: [log: {}]}
"""


# ---- on the host --------------------------------------------------------------------------------

def compile_all(sources, folder, flags):
    folder.mkdir()
    command = ["gcc", "-c", "-std=gnu11", "-g", "-O1", *flags, *map(str, sources)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(folder.glob("*.o"))


@pytest.mark.parametrize("memory", ["pools", "heap"])
def test_transport_over_a_wire_that_can_be_cut(tmp_path, memory):
    """With pools as on a board, and with malloc, where the sanitizer sees every use after free."""
    lwip = build.package_folder("lwip")
    flags = [f"-I{LWIP_TEST}", f"-I{build.EXAMPLES}/ethernet", f"-I{build.SDK}/include",
             f"-isystem{lwip}/src/include", "-fsanitize=address"]
    flags += ["-DTEST_HEAP"] if memory == "heap" else []
    theirs = [*(lwip / "src/core").glob("*.c"), *(lwip / "src/core/ipv4").glob("*.c"),
              lwip / "src/netif/ethernet.c"]
    ours = [build.SDK / "ports/lwip/lwip.c", LWIP_TEST / "test_lwip.c"]
    objects = compile_all(theirs, tmp_path / "lwip", [*flags, "-w"])
    objects += compile_all(ours, tmp_path / "ours",
                           [*flags, *build.WARNINGS.split(), "-fsanitize=undefined", "-fno-sanitize-recover"])
    program = tmp_path / "test_lwip"
    subprocess.run(["gcc", "-fsanitize=address,undefined", *objects, "-lcmocka", "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- on boards ----------------------------------------------------------------------------------

@pytest.fixture
def bench(firmware, tmp_path):
    """bench("mps2-an385"): broker and hub for boards of that kind; the hub writes all to a file."""
    up = []

    def begin(board, example="ethernet"):
        firmware(example, board)
        stage = stages.Stage(build.example(example), board, tmp_path, rules=TO_A_FILE)
        up.append(stage)
        return stage.__enter__()

    yield begin
    for stage in up:
        stage.__exit__(None, None, None)


def start(stage, name, version="5", address=STATIC, readings=20, seconds=150):
    return stage.machine(name, stage.broker.port, version, address, readings, port=None, seconds=seconds,
                         more=["-nic", f"user,model={CHIPS[stage.board_name]}"])


def delivered(stage, name):
    """The device's numbers in the order of delivery, each once by its key."""
    path = pathlib.Path(stage.hub.dir) / "all.ndjson"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    of_it = {entry["idempotency_key"]: entry["payload"]["number"] for entry in entries
             if entry["payload"]["device"] == name}
    return list(of_it.values())


def assert_all_stored(stage, machine, name, readings):
    assert machine.wait(RUN_SECONDS) == 0, machine.tail()
    wait_for(lambda: len(delivered(stage, name)) >= readings, what=lambda: str(delivered(stage, name)))
    assert delivered(stage, name) == list(range(1, readings + 1))
    assert f"{readings} readings stored by a hub" in machine.lines


def protocol(stage, name):
    """Of MQTT, as the broker logs it: p2 is 3.1.1."""
    for line in stage.broker.lines:
        found = re.search(rf" as {re.escape(f'demo/{name}')} \(p(\d)", line)
        if found:
            return {"2": "3.1.1", "4": "3.1.1", "5": "5"}[found.group(1)]
    return None


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("board", BOARDS)
def test_readings_are_stored(bench, board, version):
    stage = bench(board)
    machine = start(stage, "one", version)
    assert_all_stored(stage, machine, "one", 20)
    assert protocol(stage, "one") == version
    assert "address: 10.0.2.15" in machine.lines


@pytest.mark.parametrize("board", BOARDS)
def test_broker_is_killed_and_comes_back(bench, board):
    stage = bench(board)
    machine = start(stage, "survivor", readings=60)
    wait_for(lambda: len(delivered(stage, "survivor")) >= 5, what="the first readings")
    stage.broker.kill()
    machine.wait_line("offline")
    stage.broker.start()
    assert_all_stored(stage, machine, "survivor", 60)
    assert machine.lines.count("online") == 2


def test_broker_comes_late(bench):
    stage = bench("mps2-an385")
    stage.broker.kill()
    machine = start(stage, "early")
    machine.wait_line("address: ")
    stage.broker.start()
    assert_all_stored(stage, machine, "early", 20)


def test_broker_that_stands_still_is_noticed(bench):
    """Its kernel still takes our bytes: only the missing answer tells."""
    stage = bench("mps2-an385")
    machine = start(stage, "patient", readings=60)
    wait_for(lambda: len(delivered(stage, "patient")) >= 5, what="the first readings")
    stage.broker.signal(signal.SIGSTOP)
    try:
        machine.wait_line("offline", deadline=60)
    finally:
        stage.broker.signal(signal.SIGCONT)
    assert_all_stored(stage, machine, "patient", 60)


def test_every_seventh_frame_is_lost(bench):
    stage = bench("mps2-an385", "ethernet-lossy")
    machine = start(stage, "lossy", address="dhcp", readings=30)
    assert_all_stored(stage, machine, "lossy", 30)


def test_eight_boards_at_a_time(bench):
    stage = bench("lm3s6965evb")
    machines = {f"board-{i}": start(stage, f"board-{i}", "5" if i % 2 else "3.1.1") for i in range(8)}
    for name, machine in machines.items():
        assert_all_stored(stage, machine, name, 20)


def test_a_wrong_address_is_said(bench):
    machine = start(bench("mps2-an385"), "lost", address="10.0.2")
    assert machine.wait(RUN_SECONDS) == 1


def test_nothing_of_malloc_or_stdio_is_linked(firmware):
    names = subprocess.run(["arm-none-eabi-nm", firmware("ethernet", "lm3s6965evb")], capture_output=True,
                           text=True, check=True).stdout.split()
    assert not {"malloc", "free", "_sbrk", "printf", "vfprintf", "__assert_func"} & set(names)
    assert "tcp_write" in names
