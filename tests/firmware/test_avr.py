"""The ATmega328P example under libsimavr: what it prints, what a hub gets, what it takes of the chip."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from harness import ROOT, Broker, Hub, Process, wait_for  # noqa: E402

EXAMPLE = ROOT / "firmware-examples" / "avr"
SDK = ROOT / "device-sdk"
RAM_BYTES = 2048
FLASH_BYTES = 32768
STACK_SPARE_BYTES = 256  # That the program and its interrupts may still take.

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources: {{main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}}}
targets: {{log: {{file: {{path: "{{dir}}/out.ndjson"}}}}}}
rules:
  r: {{sql: 'SELECT device, millivolts, reading FROM "pipit/v1/+/+/event/supply"', to: [log: {{}}]}}
"""
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror"]


@pytest.fixture
def broker():
    with Broker() as running:
        yield running


@pytest.fixture
def hub(broker, tmp_path):
    with Hub(CONFIG.format(url=broker.url), tmp_path / "hub") as running:
        yield running.wait_ready()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    out = tmp_path_factory.mktemp("avr") / "avr.elf"
    subprocess.run([EXAMPLE / "build", out], check=True, timeout=120)
    return out


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    out = tmp_path_factory.mktemp("simavr") / "simavr_host"
    subprocess.run(["gcc", "-std=gnu11", "-O2", *WARNINGS, ROOT / "tests/firmware/simavr_host.c", "-o", out,
                    "-lsimavr"], check=True, timeout=120)
    return out


@pytest.fixture
def chip(host, program, tmp_path):
    """A chip whose EEPROM stays the same over starts."""
    started = []

    def start(port):
        process = Process("simavr_host")
        process.launch([host, "-a", "3300", "-t", "60", "-e", tmp_path / "eeprom.bin", program, port])
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def stored(hub):
    """What the hub has delivered to its file so far, in order."""
    path = hub.dir / "out.ndjson"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line)["payload"] for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_stored(hub, count):
    wait_for(lambda: len(stored(hub)) >= count, what=lambda: f"{count} events, there are {stored(hub)}")
    return stored(hub)


def said(process):
    """What the program itself printed: libsimavr says how much it has loaded."""
    return "".join(f"{line}\n" for line in process.lines if not line.startswith(("Loaded ", "simavr:")))


def stack_bytes(process):
    return int(re.fullmatch(r"simavr: cycles=\d+ stack=(\d+)", process.lines[-1]).group(1))


def sizes(program):
    """(flash, static RAM)"""
    text = subprocess.run(["avr-size", program], check=True, capture_output=True, text=True).stdout
    code, data, bss = (int(word) for word in text.splitlines()[1].split()[:3])
    return code + data, data + bss


def test_readings_are_stored_and_it_fits(broker, hub, chip, program):
    process = chip(broker.port)
    assert process.wait() == 0, process.tail()
    assert wait_stored(hub, 10) == [{"device": "uno", "millivolts": 3299, "reading": n} for n in range(10)]
    assert said(process) in (EXAMPLE / "README.md").read_text().split("```\n")
    flash, ram = sizes(program)
    stack = stack_bytes(process)
    print(f"avr: flash {flash}, static RAM {ram}, stack {stack}")
    assert flash <= FLASH_BYTES and ram + stack + STACK_SPARE_BYTES <= RAM_BYTES


def test_readings_after_a_reset_are_new_ones(broker, hub, chip):
    for start in (1, 2):
        process = chip(broker.port)
        assert process.wait() == 0, process.tail()
        wait_stored(hub, 10 * start)
    assert [event["reading"] for event in stored(hub)] == [*range(10), *range(10)]


def test_broker_that_comes_late_and_dies(broker, hub, chip):
    """The chip dials in vain, then the broker is killed while readings are under way: each is stored once, in order."""
    broker.kill()
    process = chip(broker.port)
    wait_for(lambda: process.lines, what="the chip runs")
    broker.start()
    wait_stored(hub, 2)
    broker.kill()
    broker.start()
    assert process.wait() == 0, process.tail()
    assert [event["reading"] for event in wait_stored(hub, 10)] == list(range(10))


def test_watched_stack_is_the_real_one(host, tmp_path):
    """A program that takes a known stack is seen to take it, and its exit status comes through."""
    source = tmp_path / "deep.c"
    source.write_text("""#include <avr/io.h>
#include <string.h>
static __attribute__((noinline)) uint8_t deep(uint8_t fill)
{
    volatile uint8_t bytes[300];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = fill;
    }
    return bytes[299];
}
int main(void)
{
    GPIOR0 = (uint8_t)(0x80 | deep(42));
    for (;;) {
    }
}
""")
    image = tmp_path / "deep.elf"
    subprocess.run(["avr-gcc", "-mmcu=atmega328p", "-std=gnu11", "-Os", source, "-o", image], check=True)
    done = subprocess.run([host, image, "9"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 42
    assert 300 <= int(re.search(r"stack=(\d+)", done.stdout).group(1)) <= 330


def test_program_that_never_ends_is_ended(host, tmp_path):
    source, image = tmp_path / "idle.c", tmp_path / "idle.elf"
    source.write_text("int main(void) { for (;;) { __asm__ volatile(\"nop\"); } }\n")
    subprocess.run(["avr-gcc", "-mmcu=atmega328p", "-Os", source, "-o", image], check=True)
    assert subprocess.run([host, "-t", "1", image, "9"], capture_output=True, timeout=60).returncode == 124


@pytest.mark.parametrize("switches", [[], ["-DPIPIT_WITH_MQTT_5=0", "-DPIPIT_WITH_QOS_2=0", "-DPIPIT_WITH_COMMANDS=0",
                                           "-DPIPIT_WITH_PRESENCE=0"]], ids=["all", "least"])
def test_core_is_clean_where_an_int_has_16_bits(switches, tmp_path):
    """-Wtype-limits is left out: limits above what 16 bits hold are no mistake there."""
    sources = sorted((SDK / "src").glob("*.c"))
    assert sources
    for source in sources:
        subprocess.run(["avr-gcc", "-mmcu=atmega328p", "-std=gnu11", "-Os", *WARNINGS, "-Wno-type-limits", *switches,
                        f"-I{SDK}/include", "-c", source, "-o", tmp_path / f"{source.stem}.o"], check=True)


def test_numbers_keep_their_width(host, tmp_path):
    image = tmp_path / "widths.elf"
    subprocess.run(["avr-gcc", "-mmcu=atmega328p", "-std=gnu11", "-Os", *WARNINGS, "-Wno-type-limits",
                    "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-DPIPIT_WITH_QOS_2=0",
                    f"-I{SDK}/include", ROOT / "tests/firmware/avr_widths.c", *sorted((SDK / "src").glob("*.c")),
                    "-o", image], check=True)
    done = subprocess.run([host, image, "9"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"avr_widths.c: check {done.returncode} failed"


def test_dev_firmware_shows_it():
    done = subprocess.run([sys.executable, ROOT / "firmware-examples/tool/run.py", "avr"], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " hub | out/uno " in done.stdout and "chip | stored by a hub" in done.stdout
