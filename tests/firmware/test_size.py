"""What the device SDK costs: no figure grows unnoticed, and the table says what was measured."""

import importlib.machinery
import importlib.util
import json
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SDK = ROOT / "device-sdk"
TOOL = SDK / "tools" / "size"
DEBIAN_12_GCC = "12.2.1"


@pytest.fixture(scope="module")
def tool():
    loader = importlib.machinery.SourceFileLoader("size_tool", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("size_tool", loader))
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(tool, tmp_path_factory):
    """(figures, rows of the maps, folder)"""
    folder = tmp_path_factory.mktemp("size")
    return (*tool.measure(folder), folder)


def committed():
    return json.loads((SDK / "size.json").read_text())


def is_debian_12():
    version = subprocess.run(["arm-none-eabi-gcc", "-dumpfullversion"], capture_output=True, text=True)
    return version.stdout.strip() == DEBIAN_12_GCC


@pytest.mark.skipif(not is_debian_12(), reason="another compiler than Debian 12's gives other bytes")
def test_nothing_has_grown(tool, measured):
    grown = tool.compare(measured[0], committed())
    assert not grown, f"{grown}: if it is meant to be so, device-sdk/tools/size --write"


def test_growth_is_named(tool):
    reference = [{"name": "flash", "value": 1000, "unit": "B"}, {"name": "stack", "value": 100, "unit": "B"}]
    assert tool.compare({"flash": 1020, "stack": 90}, reference) == []
    assert tool.compare({"flash": 1021, "stack": 90}, reference) == ["flash grew from 1000 to 1021 B"]
    assert tool.compare({"stack": 100}, reference) == ["flash is not measured any more"]


def test_counts_are_the_same_in_every_run(tool, measured):
    figures, _, folder = measured
    for program in ("bench_event", "bench_publish"):
        for _ in range(2):
            again = tool.bench_run(folder / program / "image.elf")
            assert again and again == {name: figures[name] for name in again}


def test_count_of_a_known_loop(tool, tmp_path, monkeypatch):
    """Two runs of a loop of three instructions, 1000 turns apart, differ by 3000 exactly; a known frame is seen."""
    source = tmp_path / "known.c"
    source.write_text(f"""#include "{SDK}/tools/programs/bench.h"
static void turns(void *context)
{{
    uint32_t left = *(uint32_t *)context;
    __asm__ volatile("push {{r4-r11}}\\n1: nop\\n subs %0, #1\\n bne 1b\\n pop {{r4-r11}}" : "+r"(left) : : "cc");
}}
int main(void)
{{
    uint32_t few = 100, many = 1100;
    struct bench a = bench_run(turns, &few), b = bench_run(turns, &many);
    bench_print("difference", b.instructions - a.instructions);
    bench_print("stack", a.stack_bytes);
    return 0;
}}
""")
    monkeypatch.setattr(tool, "PROGRAMS", tmp_path)
    for name in ("start.c", "m4.ld", "bench.h"):
        (tmp_path / name).write_text((SDK / "tools" / "programs" / name).read_text())
    got = tool.bench(tmp_path / "known", "known")
    assert got["difference"] == 3000
    assert 32 <= got["stack"] <= 72


def test_sum_is_what_the_linker_kept(measured):
    """The map's sections of the SDK add up to the symbols that nm finds in the image, but for padding."""
    figures, rows, folder = measured
    text = subprocess.run(["arm-none-eabi-nm", "-S", "--defined-only", folder / "minimal" / "image.elf"],
                          check=True, capture_output=True, text=True).stdout
    sizes = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 4 and parts[2] in "tTrR":
            sizes[parts[3]] = int(parts[1], 16)
    named = [(re.sub(r"^\.(text|rodata)\.", "", section), size) for section, size, owner in rows["minimal"]
             if "/sdk/" in owner]
    for name, size in named:
        if name in sizes:
            assert sizes[name] <= size <= sizes[name] + 8, name
    assert sum(size for _, size in named) == figures["m0plus_minimal_flash"]
    found = sum(size for name, size in named if name in sizes)
    assert found >= 0.9 * figures["m0plus_minimal_flash"]


def test_profiles_leave_out_what_they_say(measured):
    """No profile carries the code of what it is built without."""
    _, rows, _ = measured
    kept = {section for section, _, owner in rows["minimal"] if "/sdk/" in owner}
    assert kept
    for word in ("command", "property"):
        assert not [section for section in kept if word in section], word


def test_table_is_what_was_measured_and_explains_what_is_missed(tool):
    page = (SDK / "SIZE.md").read_text()
    notes = (SDK / "tools" / "size_notes.md").read_text()
    assert [row["name"] for row in committed()] == list(tool.FIGURES)
    for row in committed():
        name, value, unit = row["name"], row["value"], row["unit"]
        aim = tool.FIGURES[name][1]
        line = re.search(rf"^\| `{name}` \| ([\d,]+)( B)? \| ([\d,]*) \| (.*?) \|", page, re.M)
        assert line and int(line[1].replace(",", "")) == value, f"{name}: device-sdk/tools/size --write"
        assert (unit == "B") == (line[2] is not None)
        if aim is not None and value > aim:
            assert line[4] == "**missed**" and f"`{name}`" in notes, f"{name} is missed: say why in size_notes.md"
