"""The SDK as one pipit.h and one pipit.c: it compiles everywhere without a warning, holds all there is, passes
the unit tests, and a program built from it is a device."""

import shutil
import subprocess

import pytest

from harness import ROOT, Subscriber

SDK = ROOT / "device-sdk"
UNIT = ROOT / "tests" / "unit" / "device-sdk"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla",
            "-Wpedantic", "-Werror"]
LEAST = [f"-DPIPIT_WITH_{name}=0" for name in ("MQTT_5", "QOS_2", "COMMANDS", "PRESENCE")]
TARGETS = {
    "host": ["gcc"],
    "cortex-m0plus": ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb"],
    "cortex-m4f": ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    # Limits above what 16 bits hold are no mistake there.
    "avr": ["avr-gcc", "-mmcu=atmega328p", "-Wno-type-limits"],
    "rv32": ["riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"],
}
# These need a library that is not in it, or take their time (kills and syncs): ctest runs them.
LEFT_OUT = {"test_paho", "test_tls", "test_lwip", "test_spool_file", "test_spool"}


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, **more)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}\n{done.stdout}"
    return done.stdout


def amalgamate(folder, *ports):
    run(SDK / "tools" / "amalgamate", "-o", folder, *ports)
    # Programs that say <pipit/posix.h> get the one header.
    (folder / "include" / "pipit").mkdir(parents=True)
    for header in (SDK / "include" / "pipit").glob("*.h"):
        (folder / "include" / "pipit" / header.name).write_text(f'#include "{folder}/pipit.h"\n')
    return folder


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    return amalgamate(tmp_path_factory.mktemp("one") / "portable")


@pytest.fixture(scope="module")
def posix(tmp_path_factory):
    return amalgamate(tmp_path_factory.mktemp("one") / "posix", "posix")


@pytest.mark.parametrize("switches", [[], LEAST], ids=["all", "least"])
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_compiles_without_a_warning(portable, target, switches, tmp_path):
    if shutil.which(TARGETS[target][0]) is None:
        pytest.skip(f"there is no {TARGETS[target][0]}")
    run(TARGETS[target][0], "-std=c11", "-Os", *WARNINGS, *TARGETS[target][1:], *switches, "-c", portable / "pipit.c",
        "-o", tmp_path / "pipit.o")


BOTH_LANGUAGES = """
#include "pipit.h"
#include <stdio.h>

int main(void)
{
    static uint8_t memory[256], buffer[256], bytes[3] = {1, 2, 3};
    static struct pipit_ram_spool spool;
    static struct pipit_link link;
    static struct pipit_config config;
    static struct pipit_device device;
    struct pipit_record record;
    config.group = "g";
    config.device = "d";
    config.spool = &spool.base;
    config.link = &link;
    config.buffer = buffer;
    config.buffer_bytes = sizeof(buffer);
    if (pipit_ram_spool_init(&spool, memory, sizeof(memory), PIPIT_REFUSE, 1) != PIPIT_OK ||
        pipit_init(&device, &config) != PIPIT_OK) {
        return 1;
    }
    if (pipit_publish(&device, "all", PIPIT_BOOL("a", true), PIPIT_SIGNED("b", -5), PIPIT_UNSIGNED("c", 6),
                      PIPIT_FLOAT("d", 1.5f), PIPIT_DOUBLE("e", 2.5), PIPIT_TEXT("f", "text"),
                      PIPIT_DATA("g", bytes, sizeof(bytes))) != PIPIT_OK) {
        return 2;
    }
    struct pipit_event event = PIPIT_EVENT(bytes);
    (void)event;
    (void)spool.base.type->peek(&spool.base, &record);
    for (size_t i = 0; i < record.body.len; i++) {
        printf("%02x", record.body.ptr[i]);
    }
    return 0;
}
"""


@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_cpp_writes_the_same_event(portable, tmp_path, standard):
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    (tmp_path / "main.c").write_text(BOTH_LANGUAGES)
    (tmp_path / "main.cpp").write_text(BOTH_LANGUAGES)
    run("gcc", "-std=c11", "-c", portable / "pipit.c", "-o", tmp_path / "pipit.o")
    run("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{portable}", tmp_path / "main.c", tmp_path / "pipit.o", "-o",
        tmp_path / "c")
    run("g++", f"-std={standard}", "-Wall", "-Wextra", "-Werror", f"-I{portable}", tmp_path / "main.cpp",
        tmp_path / "pipit.o", "-o", tmp_path / "cpp")
    in_c = run(tmp_path / "c")
    assert len(in_c) > 100 and run(tmp_path / "cpp") == in_c


def functions(*objects):
    text = run("nm", "--defined-only", "-P", *objects)
    return {parts[0] for parts in map(str.split, text.splitlines()) if len(parts) >= 2 and parts[1] == "T"}


def test_nothing_is_missing(posix, tmp_path):
    """Core, posix and the portable ports: the same functions as their own files give."""
    run("gcc", "-std=gnu11", "-c", posix / "pipit.c", "-o", tmp_path / "pipit.o")
    objects = []
    banner = (posix / "pipit.c").read_text().split("\n\n")[0]
    listed = [line[5:] for line in banner.splitlines() if line.startswith("//   ")]
    assert {str(path.relative_to(SDK)) for folder in ("src", "ports/posix") for path in (SDK / folder).glob("*.c")} <= \
        set(listed)
    for name in listed:
        objects.append(tmp_path / (name.replace("/", "_") + ".o"))
        run("gcc", "-std=gnu11", f"-I{SDK}/include", f"-I{SDK}/src", "-c", SDK / name, "-o", objects[-1])
    assert functions(tmp_path / "pipit.o") == functions(*objects)


def test_names_that_two_files_use_do_not_meet(tmp_path):
    """A copy of the SDK with clashes of every kind planted still compiles, and each file means its own."""
    sdk = tmp_path / "sdk"
    shutil.copytree(SDK, sdk, ignore=shutil.ignore_patterns("packages"))
    planted = """
#define PLANTED %d
struct planted { int planted; };
enum planted_kind { PLANTED_KIND = %d };
static const int planted_value = PLANTED;
// planted_sum stays planted_sum in a comment.
static int planted_sum(const struct planted *planted) { return planted->planted + PLANTED_KIND + planted_value; }
int pipit_planted_%s(void);
int pipit_planted_%s(void) { struct planted it = {.planted = PLANTED}; return planted_sum(&it); }
"""
    for number, name in enumerate(("wire", "event"), start=1):
        with open(sdk / "src" / f"{name}.c", "a") as source:
            source.write(planted % (number, number * 100, name, name))
    run(sdk / "tools" / "amalgamate", "-o", tmp_path / "out")
    main = tmp_path / "main.c"
    main.write_text('#include <stdio.h>\nint pipit_planted_wire(void);\nint pipit_planted_event(void);\n'
                    'int main(void) { printf("%d %d\\n", pipit_planted_wire(), pipit_planted_event()); return 0; }\n')
    run("gcc", "-std=gnu11", *WARNINGS, "-Wno-pedantic", tmp_path / "out" / "pipit.c", main, "-o", tmp_path / "main")
    assert run(tmp_path / "main") == "102 204\n"
    assert "// planted_sum stays planted_sum in a comment." in (tmp_path / "out" / "pipit.c").read_text()


@pytest.fixture(scope="module")
def proto(tmp_path_factory):
    """The test oracle: the contract compiled by protoc-c."""
    folder = tmp_path_factory.mktemp("proto")
    run("protoc-c", "-I", ROOT / "proto", f"--c_out={folder}", ROOT / "proto/pipit/v1/pipit.proto")
    return folder


@pytest.fixture(scope="module")
def compiled(posix, tmp_path_factory):
    out = tmp_path_factory.mktemp("compiled") / "pipit.o"
    run("gcc", "-std=gnu11", "-g", "-O2", "-c", posix / "pipit.c", "-o", out)
    return out


@pytest.mark.parametrize("name", sorted({path.stem for path in UNIT.glob("test_*.c")} - LEFT_OUT))
def test_unit_tests_pass(name, posix, compiled, proto, tmp_path):
    """With the compiler's optimization; ctest runs them with sanitizers."""
    program = tmp_path / name
    run("gcc", "-std=gnu11", "-g", "-w", f"-I{posix}/include", f"-I{SDK}/src", f"-I{ROOT}/tests", f"-I{UNIT}",
        f"-I{proto}", UNIT / f"{name}.c", compiled, proto / "pipit/v1/pipit.pb-c.c", "-lcmocka", "-lprotobuf-c", "-lm",
        "-lpthread", "-o", program)
    run(program)


CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources: {{main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}}}
targets: {{bus: {{mqtt: {{url: "{url}"}}}}}}
rules:
  r: {{sql: 'SELECT device, celsius, humidity FROM "pipit/v1/+/+/event/climate"', to: [bus: {{topic: "out/{{device}}"}}]}}
"""


def test_program_built_from_it_is_a_device(start_hub, broker, tmp_path):
    """linux-hello, two files and paho: its event is stored."""
    one = amalgamate(tmp_path / "one", "posix", "paho")
    run("gcc", "-std=gnu11", "-Os", f"-I{one}/include", ROOT / "firmware-examples/linux-hello/main.c", one / "pipit.c",
        "-lpaho-mqtt3as", "-lpthread", "-o", tmp_path / "hello")
    start_hub(CONFIG.format(url=broker.url)).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher:
        assert run(tmp_path / "hello", broker.url) == "stored by a hub\n"
        assert watcher.wait(1)[0].json() == {"device": "hello", "celsius": 21.5, "humidity": 58.2}


def test_unknown_port_is_named(tmp_path):
    done = subprocess.run([SDK / "tools" / "amalgamate", "-o", tmp_path, "posx"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("amalgamate: there is no port 'posx': ") and "posix" in done.stderr


def test_it_is_the_same_each_time(tmp_path):
    for folder in ("a", "b"):
        run(SDK / "tools" / "amalgamate", "-o", tmp_path / folder)
    for name in ("pipit.h", "pipit.c"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()
