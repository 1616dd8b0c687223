"""The conformance program tells a right port from a wrong one, and says what is wrong."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

import boards
import qemu
from harness import ROOT, Process, wait_for

SDK = ROOT / "device-sdk"
PORTING = ROOT / "firmware-examples" / "porting"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror"]
RIGHT = "the port is right, as far as it was checked"

# What is wrong with the port, and what must be said first: how it begins, or how it begins and ends.
FAULTS = {
    "clock stands still": "clock: runs, evenly, never back: it stands still",
    "clock goes back": "clock: runs, evenly, never back: it went from ",
    "clock jumps": "clock: runs, evenly, never back: it jumped by 100",
    "clock of microseconds": ("clock: wraps after 2^32 ms: it went from ", ", where microseconds of 32 bits wrap"),
    "clock of 31 bits": ("clock: wraps after 2^32 ms: it went from ", ", where it becomes negative"),
    "entropy is constant": "entropy: differs from call to call: it is the same each time",
    "write loses a byte": "transport: ",
    "write doubles a byte": "transport: ",
    "write changes the order": "transport: bytes in order, any length and alignment: byte ",
    "line ends are translated": "transport: every value passes: 0x0D comes back as 0x0A: are line ends translated?",
    "write claims what it did not take": "transport: says when it is full: write took ",
    "write takes more than there is": "transport: a length of 0 is no error: write took more bytes than it was given",
    "write fails when it is full": "transport: says when it is full: write says that the connection is gone",
    "write of nothing fails": "transport: a length of 0 is no error: ",
    "write throws away what does not fit": "transport: bytes in order, any length and alignment: ",
    "read keeps the newest byte": "transport: every value passes: 0x00 does not come back",
    "read of nothing is an error": "transport: is silent while nothing is sent: read says that the connection is gone",
    "read blocks": "transport: is silent while nothing is sent: read blocked for ",
    "read writes whole words": "transport: every value passes: read wrote beside its place",
    "read rounds the address": "transport: every value passes: read wrote beside its place",
    "7 data bits": "transport: every value passes: 0x80 comes back as 0x00: are there 8 data bits?",
    "XON and XOFF are swallowed": "transport: every value passes: 0x11 does not come back: is there software flow",
    "hang-up is not told": "transport: tells that the peer is gone: the peer has hung up, and read goes on",
    "open never ends": "transport: opens: open never ends",
    "open fails": "transport: opens: open fails: broker cannot be reached",
    "open blocks": "transport: closes and opens again: open blocked for ",
    "close keeps what waits": "transport: closes and opens again: ",
    "close does not close": "transport: closes and opens again: ",
    "put forgets the mark": "spool: keeps the mark: ",
    "put takes words only": "spool: keeps events in order, byte for byte: peek gives other bytes than were put",
    "put drops in silence when full": "spool: says when it is full: put, of an event more, leaves count at ",
    "put counts although it is full": "spool: says when it is full: put uses up a sequence number although it is full",
    "put gives another error when full": "spool: says when it is full: put, into a full spool, gives 9 (negated) instead",
    "peek cuts the body": "spool: keeps events in order, byte for byte: peek gives other bytes than were put",
    "peek always says last": "spool: keeps events in order, byte for byte: peek: is_last is wrong",
    "advance stays": "spool: keeps events in order, byte for byte: ",
    "rewind stays": "spool: rewinds to the oldest: ",
    "release takes one more": "spool: releases what a receipt covers: ",
    "release takes what is before, too": "spool: releases what a receipt covers: ",
    "release forgets the boot": "spool: releases what a receipt covers: ",
    "spool cannot be opened": "spool: opens empty: spool_open gives none",
    "spool forgets at close": "spool: ",
    "every start has the same boot": "spool: each start has its own boot number: two starts have the same boot number",
}


def sources():
    return [*sorted((SDK / "conformance").glob("*.c")), *sorted((SDK / "src").glob("*.c"))]


def build(port, out):
    subprocess.run(["gcc", "-std=gnu11", "-g", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", *WARNINGS,
                    f"-I{SDK}/include", f"-I{SDK}/src", f"-I{PORTING}", PORTING / "main.c", port, *sources(),
                    *sorted((SDK / "ports" / "posix").glob("*.c")), "-o", out], check=True, timeout=120)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("porting")


@pytest.fixture(scope="module")
def broken(folder):
    return build(ROOT / "tests" / "firmware" / "broken_port.c", folder / "broken")


@pytest.fixture(scope="module")
def echo():
    """The port of a running device-sdk/conformance/echo."""
    process = Process("echo")
    process.launch([sys.executable, SDK / "conformance" / "echo"])
    yield wait_for(lambda: process.lines and process.lines[0])
    process.kill()


def conformance(program, echo, **more):
    """(exit status, lines). On a machine that stalls calls take long that do not block; those that do block each time."""
    for _ in range(3):
        status, lines = run(program, echo, **more)
        if not any(" blocked for " in line for line in lines):
            break
    return status, lines


def run(program, echo, **more):
    """The spool is in memory where that can be had: its syncs are tested elsewhere."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="pipit-porting-", dir=memory) as folder:
        done = subprocess.run([program], capture_output=True, text=True, timeout=90,
                              env={**os.environ, "PORT": echo, "SPOOL": f"{folder}/spool", **more})
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def test_the_linux_port_is_right(folder, echo):
    program = build(PORTING / "port_posix.c", folder / "posix")
    status, lines = conformance(program, echo)
    assert (status, lines[-1]) == (0, RIGHT)
    assert [line for line in lines if line.startswith("left out")] == \
        ["left out  clock: wraps after 2^32 ms: the clock cannot be set"]
    assert len([line for line in lines if line.startswith("ok ")]) >= 20


def test_the_unbroken_broken_port_is_right(broken, echo):
    status, lines = conformance(broken, echo, FAULT="none")
    assert (status, lines[-1]) == (0, RIGHT), lines
    assert all(line.startswith("ok ") for line in lines[:-1])


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(fault, broken, echo):
    status, lines = conformance(broken, echo, FAULT=fault)
    wrong = [line.removeprefix("WRONG     ") for line in lines if line.startswith("WRONG ")]
    begin, end = FAULTS[fault] if isinstance(FAULTS[fault], tuple) else (FAULTS[fault], "")
    assert status == 1 and wrong and wrong[0].startswith(begin) and wrong[0].endswith(end), wrong
    assert re.fullmatch(r"the port is wrong: \d+ failed", lines[-1])


def test_every_fault_of_the_port_is_listed():
    text = (ROOT / "tests" / "firmware" / "broken_port.c").read_text()
    assert set(re.findall(r'is_fault\("([^"]+)"\)', text)) == set(FAULTS)


def test_the_template_is_wrong_until_it_is_filled_in(folder, echo):
    """It compiles as it stands, and the program names what is missing."""
    text = (PORTING / "port_template.c").read_text()
    assert text.count("FILL IN") >= 8
    filled = folder / "template.c"
    filled.write_text("#include <stdio.h>\n#include <stdlib.h>\n" + text.replace("(void)text; // FILL IN: a debug port.",
                                                            "(void)fputs(text, stdout);")
                      .replace("(void)status; // FILL IN: a LED, or nothing.", "exit(status);"))
    status, lines = conformance(build(filled, folder / "template"), echo)
    assert status == 1
    assert "WRONG     clock: runs, evenly, never back: it stands still" in lines
    assert "WRONG     entropy: differs from call to call: it is the same each time" in lines


@pytest.mark.parametrize("target", [["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb"],
                                    ["avr-gcc", "-mmcu=atmega328p", "-Wno-type-limits"]], ids=["cortex-m0plus", "avr"])
def test_it_compiles_for_small_targets(target, tmp_path):
    if shutil.which(target[0]) is None:
        pytest.skip(f"there is no {target[0]}")
    for source in [*sources(), PORTING / "main.c", PORTING / "port_template.c"]:
        subprocess.run([*target, "-std=gnu11", "-Os", *WARNINGS, f"-I{SDK}/include", f"-I{SDK}/src", "-c", source, "-o",
                        tmp_path / "out.o"], check=True)


def test_the_guide_names_what_there_is():
    """docs/PORTING.md lists each check, and each function of port.h."""
    guide = (ROOT / "docs" / "PORTING.md").read_text()
    checks = re.findall(r'^    \{"((?:clock|entropy|transport|spool): [^"]+)"',
                        "".join(path.read_text() for path in (SDK / "conformance").glob("check_*.c")), re.M)
    assert len(checks) >= 20
    missing = [name for name in checks if name not in guide]
    missing += [name for name in re.findall(r"\b(port_\w+)\(", (PORTING / "port.h").read_text()) if name not in guide]
    assert not missing, missing
    assert guide.count("\n") < 120, "one page"


def test_the_flash_spool_is_right(machine, echo, tmp_path):
    """On a board with NOR flash events outlive a close, too."""
    storage = qemu.blank_storage(tmp_path / "flash.img", boards.BOARDS["emcraft-sf2"])
    running = machine("flash-port", "emcraft-sf2", port=echo, storage=storage)
    assert running.wait(120) == 0, running.tail()
    assert RIGHT in running.lines
    assert "ok        spool: events outlive a close" in running.lines
