"""Boards on lines that do what lines do: bytes one by one and late, calls that end or go dead, bits that flip. Every
reading is stored once, in order, with its value."""

import json
import pathlib

import pytest

import build
import stage as stages
from harness import wait_for

RULES = """
hub: {id: bench, store: "{dir}/hub.db", check_broker: false, stats_every: 0}
sources: {main: {mqtt: {url: "{url}", probe: false}, topics: ["pipit/v1/+/+/event/#"]}}
targets: {log: {file: {path: "{dir}/all.ndjson"}}}
rules:
  all: {sql: 'SELECT number, COLUMN FROM "pipit/v1/+/+/event/climate"', key: device, to: [log: {}]}
"""


@pytest.fixture
def on_line(firmware, tmp_path):
    """on_line("name", "board", "column"): a Stage that is up."""
    up = []

    def begin(name, board, column):
        firmware(name, board)
        entered = stages.Stage(build.example(name), board, tmp_path, rules=RULES.replace("COLUMN", column))
        up.append(entered)
        return entered.__enter__()

    yield begin
    for entered in up:
        entered.__exit__(None, None, None)


def readings(stage):
    """(number, other column) in the order in which they were delivered, each once by its key."""
    path = pathlib.Path(stage.hub.dir) / "all.ndjson"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [tuple(payload.values()) for payload in {entry["idempotency_key"]: entry["payload"] for entry in entries}.values()]


def until(stage, count):
    wait_for(lambda: len(readings(stage)) >= count, 60, lambda: str(readings(stage)))


def test_bytes_come_one_by_one_and_late(on_line):
    stage = on_line("uart-min", "stm32vldiscovery", "celsius")
    stage.modem.command("split", 1, "both")
    stage.modem.command("delay", 30, "both")
    board = stage.machine("slow")
    assert board.wait(90) == 0, board.tail()
    until(stage, 20)
    assert readings(stage) == [(n, 20 + n / 4) for n in range(1, 21)]


def test_a_call_that_ends_in_the_middle(on_line):
    """A line without frames does not say so: the device learns it from an answer that does not come."""
    stage = on_line("uart-min", "microbit", "celsius")
    board = stage.machine("cut")
    for stored in (3, 8):
        until(stage, stored)
        stage.modem.command("hangup")
    assert board.wait(90) == 0, board.tail()
    until(stage, 20)
    assert readings(stage) == [(n, 20 + n / 4) for n in range(1, 21)]


def test_a_call_that_is_half_open(on_line):
    """Both ends keep their call and nothing passes, until the device's keepalive gives it up and it dials anew."""
    stage = on_line("framed-line", "mps2-an385", "square")
    board = stage.machine("stuck")
    until(stage, 10)
    stage.modem.command("half-open")
    assert board.wait(90) == 0, board.tail()
    until(stage, 40)
    assert readings(stage) == [(n, n * n) for n in range(1, 41)]
    assert "2 connections" in board.tail()


@pytest.mark.parametrize("board_name", build.example("framed-line").boards)
def test_a_garbling_line_with_frames(on_line, board_name):
    """Damage becomes a lost call, and a lost call costs nothing but time."""
    stage = on_line("framed-line", board_name, "square")
    stage.modem.command("garble", 0.0005, "both")
    board = stage.machine("framed")
    assert board.wait(120) == 0, board.tail()
    until(stage, 40)
    assert readings(stage) == [(n, n * n) for n in range(1, 41)]
    stats = stage.modem.stats()
    assert stats["up_garbled"] + stats["down_garbled"] > 0, stats
