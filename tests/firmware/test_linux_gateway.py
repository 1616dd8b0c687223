"""The Linux gateway: several devices in one process, over paho and over the SDK's own client, on five kinds of
machine; nothing accepted is lost when the broker or the gateway is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from harness import ROOT, Process, Subscriber, wait_for

EXAMPLE = ROOT / "firmware-examples" / "linux-gateway"
CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources: {{main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}}}
targets: {{log: {{file: {{path: "{{dir}}/out.ndjson"}}}}}}
rules:
  r: {{sql: 'SELECT device, value FROM "pipit/v1/+/+/event/reading"', key: device, to: [log: {{}}]}}
"""

# name: (compiler and flags, what runs it, what `file` must know of it)
MACHINES = {
    "musl": (["musl-gcc", "-static"], [], "statically linked"),
    "arm64": (["aarch64-linux-gnu-gcc"], ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"], "ARM aarch64"),
    "armhf": (["arm-linux-gnueabihf-gcc"], ["qemu-arm-static", "-L", "/usr/arm-linux-gnueabihf"], "32-bit LSB"),
    "riscv64": (["riscv64-linux-gnu-gcc"], ["qemu-riscv64-static", "-L", "/usr/riscv64-linux-gnu"], "RISC-V"),
    "mips": (["mips-linux-gnu-gcc"], ["qemu-mips-static", "-L", "/usr/mips-linux-gnu"], "32-bit MSB"),
}


def build(link, out, *compiler):
    subprocess.run([EXAMPLE / "build", link, out, *compiler], check=True, timeout=180)
    return out


@pytest.fixture(scope="module", params=["paho", "own"])
def program(request, tmp_path_factory):
    """The gateway over each of the links, with sanitizers."""
    return build(request.param, tmp_path_factory.mktemp("gateway") / request.param, "gcc", "-g",
                 "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture
def gateway(broker, tmp_path):
    """gateway(program, "cellar", "attic", n=3) starts it with a file for each sensor; killed after the test."""
    started = []

    def start(program, *sensors, n=0, interval=50, wrap=()):
        process = Process("gateway")
        process.launch([*wrap, program, "-u", broker.url, "-g", "house", "-d", tmp_path, "-i", interval, "-n", n,
                        *[f"{name}={tmp_path / name}" for name in sensors]])
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def hub(broker, start_hub):
    return start_hub(CONFIG.format(url=broker.url)).wait_ready()


def write(tmp_path, **values):
    """Sensors are files; a reader sees the old number or the new one."""
    for name, value in values.items():
        (tmp_path / f".{name}").write_text(f"{value}\n")
        (tmp_path / f".{name}").rename(tmp_path / name)


def stored(hub, device=None):
    path = hub.dir / "out.ndjson"
    text = path.read_text() if path.exists() else ""
    rows = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [row for row in rows if device in (None, row["payload"]["device"])]


def values(hub, device):
    return [row["payload"]["value"] for row in stored(hub, device)]


def test_it_does_what_the_readme_says(program, gateway, hub, tmp_path):
    write(tmp_path, cellar=21.5, attic=-3)
    process = gateway(program, "cellar", "attic", n=3)
    assert process.wait() == 0, process.tail()
    assert process.lines[-1] == "stored by a hub"
    assert "stored by a hub\n" in (EXAMPLE / "README.md").read_text().split("```\n")
    assert sorted(process.lines[:-1]) == ["gateway: attic: connected", "gateway: cellar: connected"]
    wait_for(lambda: len(stored(hub)) == 6, what=lambda: stored(hub))
    assert values(hub, "cellar") == [21.5] * 3 and values(hub, "attic") == [-3] * 3


def test_nothing_accepted_is_lost(program, gateway, hub, broker, tmp_path):
    """Readings while the broker is dead, then the gateway is killed, too; a new one sends them all, once, in order."""
    write(tmp_path, cellar=0, attic=100)
    process = gateway(program, "cellar", "attic", interval=20)
    wait_for(lambda: len(stored(hub)) >= 2)
    broker.kill()
    for number in range(1, 6):
        write(tmp_path, cellar=number, attic=100 + number)
        before = sum((tmp_path / f"{name}.spool").stat().st_size for name in ("cellar", "attic"))
        wait_for(lambda: sum((tmp_path / f"{name}.spool").stat().st_size for name in ("cellar", "attic")) > before + 300)
    process.kill()
    write(tmp_path, cellar=6, attic=106)
    broker.start()
    process = gateway(program, "cellar", "attic", n=2)
    assert process.wait() == 0, process.tail()
    for device, base in (("cellar", 0), ("attic", 100)):
        wait_for(lambda: values(hub, device)[-2:] == [base + 6] * 2, what=lambda: values(hub, device))
        seen = values(hub, device)
        assert seen == sorted(seen) and set(seen) == {base + number for number in range(7)}
        keys = [row["idempotency_key"] for row in stored(hub, device)]
        assert len(keys) == len(set(keys))
        assert hub.status()["books"]["dead"] == 0


def test_sigterm_says_goodbye_for_each_device(program, gateway, hub, broker, tmp_path):
    write(tmp_path, cellar=1, attic=2)
    process = gateway(program, "cellar", "attic")
    wait_for(lambda: len(stored(hub)) >= 4)
    with Subscriber(broker.port, "pipit/v1/house/+/status") as watcher:
        watcher.wait(2)
        assert process.terminate() == 0, process.tail()
        last = {}
        wait_for(lambda: last.update({m.topic: m.payload for m in watcher.messages}) or
                 all(payload[:2] != b"\x08\x01" for payload in last.values()), what=lambda: last)
    assert sorted(last) == [f"pipit/v1/house/{name}/status" for name in ("attic", "cellar")]
    assert "stored by a hub" not in process.lines


def test_sensor_that_cannot_be_read_is_told_about_once(program, gateway, hub, tmp_path):
    write(tmp_path, cellar=1)
    process = gateway(program, "cellar", "attic", interval=20)
    wait_for(lambda: len(values(hub, "cellar")) >= 5)
    write(tmp_path, attic="a word")
    write(tmp_path, attic=7)
    wait_for(lambda: values(hub, "attic")[:1] == [7])
    told = [line for line in process.lines if str(tmp_path / "attic") in line]
    assert told == [f"gateway: attic: {tmp_path / 'attic'} holds no number",
                    f"gateway: attic: {tmp_path / 'attic'} can be read again"]


def test_spool_in_use_is_said(program, gateway, hub, tmp_path):
    write(tmp_path, cellar=1)
    first = gateway(program, "cellar")
    wait_for(lambda: stored(hub))
    second = gateway(program, "cellar")
    assert second.wait() == 3
    assert "cellar.spool" in second.tail() and "in use" in second.tail()
    assert first.is_running()


@pytest.mark.parametrize("arguments", [[], ["-i", "x", "a=b"], ["a"], ["=b"], ["a/b=c"], ["-q"], ["a=b"] * 33,
                                       ["-u", "nonsense", "a=b"], ["-g", "a/b", "a=b"]],
                         ids=lambda arguments: " ".join(arguments[:3]) or "none")
def test_wrong_options_are_exit_code_2(program, arguments, tmp_path):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(("gateway: ", "usage: ")) or "usage: " in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("machine", MACHINES)
def test_own_client_on_other_machines(machine, gateway, hub, tmp_path_factory, tmp_path):
    compiler, wrap, kind = MACHINES[machine]
    for tool in (compiler[0], *wrap[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    program = build("own", tmp_path_factory.mktemp(machine) / "gateway", *compiler)
    assert kind in describe(program)
    write(tmp_path, cellar=21.5, attic=-1e-3)
    process = gateway(program, "cellar", "attic", n=3, wrap=wrap)
    assert process.wait() == 0, process.tail()
    wait_for(lambda: len(stored(hub)) == 6, what=lambda: stored(hub))
    assert values(hub, "cellar") == [21.5] * 3 and values(hub, "attic") == [-0.001] * 3


def describe(program):
    """What the ELF header says of the machine, in the words that `file` has for it."""
    header = program.read_bytes()[:20]
    bits, order = "64-bit" if header[4] == 2 else "32-bit", "MSB" if header[5] == 2 else "LSB"
    number = int.from_bytes(header[18:20], "big" if header[5] == 2 else "little")
    machine = {0x28: "ARM", 0xB7: "ARM aarch64", 0xF3: "RISC-V", 0x08: "MIPS", 0x3E: "x86-64"}.get(number, str(number))
    headers = subprocess.run(["readelf", "-lW", program], capture_output=True, text=True, check=True).stdout
    linked = "dynamically linked" if "INTERP" in headers else "statically linked"
    return f"{bits} {order} {machine} {linked}"


def test_own_client_needs_the_c_library_only(tmp_path):
    program = build("own", tmp_path / "gateway", "gcc")
    text = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    assert [line.split("[")[1] for line in text.splitlines() if "NEEDED" in line] == ["libc.so.6]"]


def test_unit_is_well_formed(tmp_path):
    """Form only: systemd is not run here. The options it gives are those that the program has."""
    unit = (EXAMPLE / "pipit-gateway.service").read_text()
    command = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert "${URL}" in command and "$SENSORS" in command
    assert set(part for part in command.split() if part.startswith("-")) <= {"-u", "-g", "-d", "-i", "-n"}
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    program = tmp_path / "pipit-gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / "pipit-gateway.service"
    copy.write_text(unit.replace("/usr/local/bin/pipit-gateway", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60)
    wrong = [line for line in done.stderr.splitlines() if "pipit-gateway.service" in line]
    assert not wrong, wrong


def test_signal_is_heard_at_any_moment(program, gateway, hub, tmp_path):
    """Each SIGTERM ends it within the goodbye's time, whatever it was doing."""
    write(tmp_path, cellar=1)
    for start in range(5):
        before = len(stored(hub))
        process = gateway(program, "cellar", interval=5)
        wait_for(lambda: process.lines and len(stored(hub)) >= before + start, step=0.001)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0, process.tail()


def test_dev_firmware_shows_it():
    done = subprocess.run([sys.executable, ROOT / "firmware-examples/tool/run.py", "linux-gateway"], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("stored by a hub") == 2 and done.stdout.count(" hub | out/attic ") == 6
