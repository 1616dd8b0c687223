"""The programs in firmware-examples do what their READMEs say, on each of their boards, against a real
broker and a real hub."""

import json
import pathlib
import re
import socket

import pytest

import build
import harness
import stage as stages
from harness import wait_for

RAM = {"stm32vldiscovery": 8192, "microbit": 16384}
FILLS_ITS_BOARD = {"tls"}  # The others leave a quarter.
EVERY = [(example.name, board) for example in build.examples(of_tests=False) for board in example.boards]
BYTES = re.compile(r"\d+ bytes")


@pytest.fixture
def on_stage(firmware, tmp_path):
    """on_stage("name", "board"): a Stage that is up, and the lines that `./dev firmware` would print."""
    up = []

    def begin(name, board, **more):
        firmware(name, board)
        lines = []
        example = build.example(name)
        entered = stages.Stage(example, board, tmp_path,
                               lambda who, text: lines.append(f"  {who:>6} | {text}"), **more)
        up.append(entered)
        entered.__enter__()
        return entered, lines

    yield begin
    for entered in up:
        entered.__exit__(None, None, None)


def comparable(lines):
    """Without what QEMU adds and what the compiler changes; who speaks first is chance."""
    return sorted(BYTES.sub("N bytes", line) for line in lines
                  if line.strip() and "Timer with period zero" not in line)


def promised(name):
    """The README's block that shows an exit code."""
    text = (build.EXAMPLES / name / "README.md").read_text()
    block = next(part for part in text.split("```") if "\n  exit code 0\n" in part)
    return block.strip("\n").splitlines()


@pytest.mark.parametrize("name, board", EVERY)
def test_it_runs_and_says_what_its_readme_says(on_stage, name, board):
    stage, lines = on_stage(name, board)
    code = stages.scenario(stage.example)(stage)
    assert code == 0, "\n".join(lines)
    first = stage.example.boards[0]
    wanted = [line.replace(f"{name}-{first}", f"{name}-{board}") for line in promised(name)[:-1]]
    wait_for(lambda: len(comparable(lines)) >= len(wanted), what=lambda: "\n".join(lines))
    assert comparable(lines) == comparable(wanted)


@pytest.mark.parametrize("name, board", [pair for pair in EVERY if pair[1] in RAM])
def test_it_fits_its_board(firmware, name, board):
    """The linker would say so too; this says how much is left for a program of one's own."""
    size = firmware(name, board).with_suffix(".elf.size").read_text().splitlines()[-1].split()
    share = 1 if name in FILLS_ITS_BOARD else 3 / 4
    assert int(size[1]) + int(size[2]) <= RAM[board] * share, size


ALL_TO_A_FILE = """
hub: {id: bench, store: "{dir}/hub.db", check_broker: false, stats_every: 0}
sources: {main: {mqtt: {url: "{url}", probe: false}, topics: ["pipit/v1/+/+/event/#"]}}
targets: {log: {file: {path: "{dir}/all.ndjson"}}}
rules:
  all: {sql: 'SELECT number FROM "pipit/v1/+/+/event/climate"', key: device, to: [log: {}]}
"""


def numbers_in_file(stage):
    """In the order in which they were delivered, each once by its key."""
    path = pathlib.Path(stage.hub.dir) / "all.ndjson"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list({entry["idempotency_key"]: entry["payload"]["number"] for entry in entries}.values())


def test_readings_survive_a_broker_that_is_killed(on_stage):
    """The line is dead for a while: readings wait in the ring, and each is stored once, in order."""
    stage, lines = on_stage("uart-min", "stm32vldiscovery", rules=ALL_TO_A_FILE)
    board = stage.machine("survivor")
    wait_for(lambda: len(numbers_in_file(stage)) >= 3, what="the first readings")
    stage.broker.kill()
    stage.broker.start()
    assert board.wait(90) == 0, "\n".join(lines)
    wait_for(lambda: len(numbers_in_file(stage)) >= 20, what=lambda: str(numbers_in_file(stage)))
    assert numbers_in_file(stage) == list(range(1, 21))


def reset(path):
    """Presses the board's reset button, over QEMU's machine protocol: the line stays as it is."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(30)
        control.connect(str(path))
        stream = control.makefile("rw")
        stream.readline()  # The greeting.
        for command in ("qmp_capabilities", "system_reset"):
            stream.write(json.dumps({"execute": command}) + "\n")
            stream.flush()
            while "return" not in json.loads(stream.readline()):
                pass  # Events come in between.


@pytest.mark.parametrize("board_name", ["stm32vldiscovery", "microbit"])
def test_a_board_that_is_reset_in_mid_call_comes_back(on_stage, tmp_path, board_name):
    """The call goes on over the reset, and the new CONNECT goes into it. The ring in RAM is lost, so the program starts
    over with another boot number; what was stored before stays stored once."""
    stage, lines = on_stage("uart-min", board_name, rules=ALL_TO_A_FILE)
    button = tmp_path / "qmp"
    board = stage.machine("pressed", more=["-qmp", f"unix:{button},server=on,wait=off"])
    wait_for(lambda: len(numbers_in_file(stage)) >= 5, what="the first readings")
    reset(button)
    assert board.wait(90) == 0, "\n".join(lines)
    wait_for(lambda: numbers_in_file(stage)[-20:] == list(range(1, 21)), what=lambda: str(numbers_in_file(stage)))
    before = numbers_in_file(stage)[:-20]
    assert before == list(range(1, len(before) + 1)) and 5 <= len(before) < 20


def test_a_command_that_the_broker_delivers_twice_is_run_once(on_stage):
    stage, lines = on_stage("commands", "mps2-an385")
    board = stage.machine("twice")
    board.wait_line("waiting for commands")
    command = b"\x0a\x02c1\x12\x05blink" + b"\x22\x09\x0a\x05times\x18\x04"  # id, name, times=2
    with harness.Subscriber(stage.broker.port, "pipit/v1/demo/twice/reply/#") as replies:
        for _ in range(3):
            replies.publish("pipit/v1/demo/twice/command/blink", command)
        got = replies.wait(3)
        assert len({message.payload for message in got}) == 1
        replies.publish("pipit/v1/demo/twice/command/stop", b"\x0a\x02c2\x12\x04stop")
        assert board.wait() == 0
    assert [line for line in board.lines if line.startswith("blinked")] == ["blinked, in all 2 times"]
    assert "commands run: 2, answered from memory: 2" in board.lines
