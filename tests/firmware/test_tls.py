"""TLS as devices are built with it: on the host with every damage a line can do, and on a Cortex-M0 with 16 KB
of RAM against a real broker and hub."""

import json
import pathlib
import shutil
import subprocess

import pytest

import build
import stage as stages
from harness import wait_for

SDK = build.SDK
UNIT = build.ROOT / "tests" / "unit" / "device-sdk"
CONFIG = "-DMBEDTLS_CONFIG_FILE=<pipit_mbedtls_config.h>"
RUN_SECONDS = 100
REFUSED = 10
UNTRUSTED, NAME, KEY, SUITE = 1, 2, 5, 6  # enum pipit_tls_reason

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
    done = subprocess.run(["gcc", "-c", "-std=gnu11", "-g", "-O1", "-fsanitize=address", *flags,
                           *map(str, sources)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(folder.glob("*.o"))


@pytest.mark.parametrize("features", ["PSK ECDSA RSA P384", "PSK ECDSA SLICES"])
def test_as_configured_for_devices(tmp_path, features):
    """The unit test again, with our configuration of mbedTLS: its arena, its small buffers."""
    mbedtls = build.package_folder("mbedtls")
    flags = [CONFIG, *(f"-DPIPIT_TLS_WITH_{each}" for each in features.split()), f"-I{SDK}/include",
             f"-I{SDK}/ports/mbedtls", f"-isystem{mbedtls}/include"]
    objects = compile_all((mbedtls / "library").glob("*.c"), tmp_path / "mbedtls", [*flags, "-w"])
    ours = [*(SDK / "ports/mbedtls").glob("*.c"), UNIT / "test_tls.c"]
    objects += compile_all(ours, tmp_path / "ours", [
        *flags, *build.WARNINGS.split(), "-fsanitize=undefined", "-fno-sanitize-recover"])
    program = tmp_path / "test_tls"
    subprocess.run(["gcc", "-fsanitize=address,undefined", *objects, "-lssl", "-lcrypto", "-lcmocka",
                    "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(tmp_path / "mbedtls")


# ---- on a board ---------------------------------------------------------------------------------

def scenario():
    return stages.scenario(build.example("tls")).__globals__


@pytest.fixture
def bench(firmware, tmp_path):
    """bench("tls"): broker with the listeners, hub, and boards with that program."""
    up = []

    def begin(name="tls"):
        example = build.example(name)
        firmware(name, example.boards[0])
        stage = stages.Stage(example, example.boards[0], tmp_path, rules=TO_A_FILE)
        up.append(stage)
        return scenario()["Secured"](stage.__enter__())

    yield begin
    for stage in up:
        stage.__exit__(None, None, None)


def delivered(stage):
    path = pathlib.Path(stage.hub.dir) / "all.ndjson"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list({entry["idempotency_key"]: entry["payload"]["number"] for entry in entries}.values())


def assert_all_stored(stage, machine, readings):
    assert machine.wait(RUN_SECONDS) == 0, machine.tail()
    wait_for(lambda: len(delivered(stage)) >= readings, what=lambda: str(delivered(stage)))
    assert delivered(stage) == list(range(1, readings + 1))


def test_each_refusal_has_its_reason(bench):
    secured = bench()
    key_port, key_page = secured.with_key()
    cases = {
        "key": (secured.with_key(bytes(16)), KEY),
        "ca": (secured.with_ca(secured.other_ca), UNTRUSTED),
        "host": (secured.with_ca(host="other.example"), NAME),
        "kind": ((secured.ca_port, key_page), SUITE),
        "kind-2": ((key_port, secured.with_ca()[1]), SUITE),
    }
    machines = {name: secured.machine(name, credentials) for name, (credentials, _) in cases.items()}
    for name, machine in machines.items():
        assert machine.wait(RUN_SECONDS) == REFUSED + cases[name][1], (name, machine.tail())
        assert any(line.startswith("refused: ") for line in machine.lines), machine.tail()
    assert delivered(secured.stage) == []


def test_broker_is_killed_and_comes_back(bench):
    secured = bench("tls-key")
    stage = secured.stage
    machine = secured.machine("survivor", secured.with_key(), arguments=(60,))
    wait_for(lambda: len(delivered(stage)) >= 5, what="the first readings")
    stage.broker.kill()
    stage.broker.start()
    assert_all_stored(stage, machine, 60)


def test_broker_is_killed_and_comes_back_on_an_ethernet(bench):
    secured = bench("tls-ethernet")
    stage = secured.stage
    port, page = secured.with_ca()
    machine = secured.machine("survivor", (None, page), arguments=(port, 60),
                              more=["-nic", "user,model=lan9118"])
    wait_for(lambda: len(delivered(stage)) >= 5, what="the first readings")
    stage.broker.kill()
    stage.broker.start()
    assert_all_stored(stage, machine, 60)


def test_an_unknown_identity_gets_nowhere(bench):
    """mosquitto hangs up before it has read all we say, so its alert is lost on the way: no reason reaches us."""
    secured = bench("tls-key")
    machine = secured.machine("nobody", secured.with_key(identity="nobody"))
    machine.wait_line("to be tried again: ")
    wait_for(lambda: any("psk identity not found" in line for line in secured.stage.broker.lines),
             what="the broker says so")
    assert delivered(secured.stage) == []


def test_without_credentials(bench):
    stage = bench().stage
    assert stage.machine("blank", port=None).wait(RUN_SECONDS) == 3


def test_a_kind_that_is_not_built_in(bench):
    secured = bench("tls-key")
    machine = secured.machine("no-certificates", secured.with_ca())
    assert machine.wait(RUN_SECONDS) == 1


def test_a_page_of_credentials_that_cannot_be_made():
    page = scenario()["provision"].page
    for wrong in ({}, {"key": b"k" * 33}, {"key": b"k" * 16, "ca": b"c"}, {"ca": b"c" * 4000},
                  {"key": b"k", "identity": "i" * 64}):
        with pytest.raises(ValueError):
            page(**wrong)
    assert len(page(key=b"k" * 32, identity="i" * 63)) == 4096


@pytest.mark.parametrize("example", ["tls", "tls-key"])
def test_nothing_of_malloc_or_stdio_is_linked(firmware, example):
    names = subprocess.run(["arm-none-eabi-nm", firmware(example, "microbit")], capture_output=True,
                           text=True, check=True).stdout.split()
    assert not {"malloc", "calloc", "free", "_sbrk", "printf", "snprintf", "__assert_func"} & set(names)
    assert "mbedtls_ssl_handshake" in names
