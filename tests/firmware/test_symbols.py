"""What the SDK asks of a small target's C library and compiler, symbol by symbol: no heap, no stdio, no assert
machinery, no soft-float, no division."""

import pathlib
import subprocess

import pytest

SDK = pathlib.Path(__file__).resolve().parents[2] / "device-sdk"
WITHOUT = "-DPIPIT_WITH_{}=0".format
MINIMAL = [WITHOUT(name) for name in ("MQTT_5", "QOS_2", "RECEIPTS", "COMMANDS", "PRESENCE", "COUNTERS",
                                      "TEXT_CHECKS", "LONG_SEQUENCES")]

# The freestanding part of <string.h>, and gcc's tables for `switch`, which are no calls into a library.
MAY_NEED = {"memcpy", "memset", "memcmp", "memmove", "strlen"}
MAY_NEED_PREFIX = ("__gnu_thumb1_case_",)
TARGETS = {
    "cortex-m0": ("arm-none-eabi-", ["-mcpu=cortex-m0", "-mthumb"]),
    "cortex-m4": ("arm-none-eabi-", ["-mcpu=cortex-m4", "-mthumb"]),
    "rv32": ("riscv64-unknown-elf-", ["-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"]),
}
PORTS = ("ports/uart", "ports/framed", "ports/flash")


def sources():
    return [path for folder in ("src", *PORTS) for path in sorted((SDK / folder).glob("*.c"))]


def compiled(folder, target, extra=(), files=None):
    prefix, cpu = TARGETS[target]
    objects = []
    for path in files or sources():
        objects.append(folder / f"{path.parent.name}-{path.stem}.o")
        subprocess.run([f"{prefix}gcc", *cpu, "-std=c11", "-Os", *extra, f"-I{SDK}/include", f"-I{SDK}/src", "-c", path,
                        "-o", objects[-1]], check=True)
    return objects


def needed(target, objects):
    text = subprocess.run([f"{TARGETS[target][0]}nm", "-P", *objects], check=True, capture_output=True,
                          text=True).stdout
    symbols = [line.split() for line in text.splitlines() if len(line.split()) >= 2]
    defined = {parts[0] for parts in symbols if parts[1] not in "Uw"}
    missing = {parts[0] for parts in symbols if parts[1] == "U"} - defined
    return {name for name in missing - MAY_NEED if not name.startswith(MAY_NEED_PREFIX)}


def variables(target, objects):
    """What lies in .data or .bss: state that is nobody's."""
    text = subprocess.run([f"{TARGETS[target][0]}nm", "-P", *objects], check=True, capture_output=True,
                          text=True).stdout
    return [line for line in text.splitlines() if len(line.split()) > 1 and line.split()[1] in "bBdDC"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("extra", [[], MINIMAL], ids=["all", "minimal"])
def test_needs_nothing_but_string_h(tmp_path, target, extra):
    objects = compiled(tmp_path, target, extra)
    assert not needed(target, objects)
    assert not variables(target, objects)


@pytest.mark.parametrize("statement, symbol", [
    ("return malloc((size_t)x);", "malloc"),
    ("printf(\"%d\", x); return 0;", "printf"),
    ("assert(x); return 0;", "__assert_func"),
    ("return (void *)(size_t)((float)x * 1.5f);", "__aeabi_fmul"),
    ("return (void *)(size_t)(1000 / x);", "__aeabi_idiv"),
    ("static int calls; return (void *)(size_t)(calls += x);", "calls"),
], ids=["heap", "stdio", "assert", "float", "division", "state"])
def test_gate_sees(tmp_path, statement, symbol):
    path = tmp_path / "bad.c"
    path.write_text("#include <assert.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
                    f"void *f(int x);\nvoid *f(int x) {{ {statement} }}\n")
    objects = compiled(tmp_path, "cortex-m0", files=[path])
    found = " ".join([*needed("cortex-m0", objects), *variables("cortex-m0", objects)])
    assert symbol in found
