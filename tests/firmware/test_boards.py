"""Each board does what board.h says: memory, serial line, clock, entropy, arguments, faults, flash."""

import select
import socket
import time

import pytest

import boards
import qemu
from harness import wait_for

ALL = sorted(boards.BOARDS)
WITH_FLASH = [name for name in ALL if boards.BOARDS[name].storage]
HARD, BUS, USAGE, RETURN, TRAP = 91, 93, 94, 96, 97


def ended(machine, board, *arguments, **more):
    guest = machine("board-check", board, arguments=arguments, **more)
    return guest.wait(60), guest


@pytest.mark.parametrize("board", ALL)
def test_startup_prepares_memory_and_passes_arguments(machine, board):
    code, guest = ended(machine, board, "memory")
    assert code == 0, guest.tail()
    assert any(line.startswith("stack ") for line in guest.lines)
    assert 0 < int(next(line for line in guest.lines if line.startswith("stack ")).split()[1]) < 2048
    assert ended(machine, board, "argument", "second")[0] == 0
    assert ended(machine, board, "argument", "another")[0] == 6


def ask_until_heard(peer):
    """What comes before the board has its line ready is lost, and so is what it says before QEMU has called."""
    heard, end = b"", time.monotonic() + 20
    while len(heard) < 6 and time.monotonic() < end:
        peer.sendall(b"?")
        if select.select([peer], [], [], 0.1)[0]:
            heard += peer.recv(6 - len(heard))
    return heard


@pytest.mark.parametrize("board", ALL)
def test_serial_line_carries_bytes_both_ways(machine, board):
    with socket.create_server(("127.0.0.1", 0)) as server:
        guest = machine("board-check", board, arguments=["line"], port=server.getsockname()[1])
        server.settimeout(20)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(20)
            assert ask_until_heard(peer) == b"hello\n"
            stream = peer.makefile("rb")
            for byte in (b"a", b"\x00", b"\xfe", b"\x7f"):
                peer.sendall(byte)
                assert stream.read(1) == bytes([byte[0] + 1])
            peer.sendall(b"m" * 500)
            assert stream.read(500) == b"n" * 500
            peer.sendall(b"z")
            assert guest.wait(20) == 0


@pytest.mark.parametrize("board", ALL)
def test_two_seconds_are_about_two(machine, board):
    """Not a measurement: a clock that is ten times off would be seen."""
    begin = time.monotonic()
    code, guest = ended(machine, board, "clock")
    assert code == 0, guest.tail()
    assert 1.5 < time.monotonic() - begin < 20


@pytest.mark.parametrize("board", ALL)
def test_entropy_differs_between_runs(machine, board):
    said = set()
    for _ in range(2):
        code, guest = ended(machine, board, "entropy")
        assert code == 0, guest.tail()
        said.add(next(line for line in guest.lines if line.isdigit()))
    assert len(said) == 2


@pytest.mark.parametrize("board", ALL)
def test_faults_have_exit_codes_of_their_own(machine, board):
    is_riscv, is_m0 = board == "riscv32-virt", board == "microbit"
    assert ended(machine, board, "return")[0] == RETURN
    assert ended(machine, board, "illegal")[0] == (TRAP if is_riscv else HARD if is_m0 else USAGE)
    assert ended(machine, board, "jump")[0] in (TRAP, HARD, BUS, 92)
    if is_m0:  # The only one of the machines that minds.
        assert ended(machine, board, "unaligned")[0] == HARD


@pytest.mark.parametrize("board", WITH_FLASH)
def test_flash_keeps_what_was_programmed_over_a_restart(machine, board, tmp_path):
    storage = qemu.blank_storage(tmp_path / "flash.img", boards.BOARDS[board])
    code, guest = ended(machine, board, "flash-read", storage=storage)
    assert code == 5, guest.tail()  # Nothing there yet: the test can fail.
    guest = machine("board-check", board, arguments=["flash-write"], storage=storage)
    wait_for(lambda: "written" in guest.lines or not guest.is_running(), 60, guest.tail)
    assert guest.is_running(), guest.tail()
    guest.cut_power()
    code, guest = ended(machine, board, "flash-read", storage=storage)
    assert code == 0, guest.tail()
