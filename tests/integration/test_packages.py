"""The packages of the SDK: the Arduino library is built and run on a simulated Uno; the others are checked for form,
which is what their READMEs say."""

import json
import re
import shutil
import subprocess

import pytest

from harness import ROOT, Process, wait_for

SDK = ROOT / "device-sdk"
PACKAGES = SDK / "packages"
VERSION = re.search(r'#define PIPIT_VERSION "([^"]+)"', (SDK / "include/pipit/pipit.h").read_text()).group(1)
# PIPIT_WITH_INBOUND follows from others.
FEATURES = set(re.findall(r"#ifndef PIPIT_WITH_(\w+)", (SDK / "include/pipit/features.h").read_text())) - {"INBOUND"}
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror"]
ARDUINO = "/usr/share/arduino/hardware/arduino/avr"
UNO = "MQTT_5,QOS_2,COMMANDS"
UNO_FLASH, UNO_RAM = 32256, 2048  # Beside the boot loader.

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources: {{main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}}}
targets: {{log: {{file: {{path: "{{dir}}/out.ndjson"}}}}}}
rules:
  r: {{sql: 'SELECT device, millivolts FROM "pipit/v1/+/+/event/supply"', to: [log: {{}}]}}
"""

STAND_INS = """
function(record name)
  file(APPEND ${OUT} "${name}\\n")
  foreach(value ${ARGN})
    file(APPEND ${OUT} "  ${value}\\n")
  endforeach()
endfunction()
function(idf_component_register)
  record(idf_component_register ${ARGN})
  set(COMPONENT_LIB pipit PARENT_SCOPE)
endfunction()
foreach(name target_compile_definitions zephyr_include_directories zephyr_compile_definitions zephyr_library_named
        zephyr_library_include_directories zephyr_library_sources)
  cmake_language(EVAL CODE "function(${name})\\n record(${name} \\${ARGN})\\n endfunction()")
endforeach()
include(${COMPONENT})
"""


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, **more)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def assembled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    run(PACKAGES / "assemble", folder, "--without", UNO)
    return folder


def evaluate(component, tmp_path, **options):
    """{function: [arguments of all its calls]} of a component's CMakeLists.txt."""
    script, out = tmp_path / "stand_ins.cmake", tmp_path / "recorded"
    out.unlink(missing_ok=True)
    script.write_text(STAND_INS)
    run("cmake", f"-DOUT={out}", f"-DCOMPONENT={component}", *[f"-D{name}={value}" for name, value in options.items()],
        "-P", script)
    calls, name = {}, None
    for line in out.read_text().splitlines() if out.exists() else ():
        if line.startswith("  "):
            calls[name].append(line[2:])
        else:
            name = line
            calls.setdefault(name, [])
    return calls


def portable_sources(root):
    folders = [root / "src", *(root / "ports" / name for name in ("flash", "framed", "uart"))]
    return sorted(str(path) for folder in folders for path in folder.glob("*.c"))


def compile_all(sources, folders, definitions, compiler, tmp_path):
    assert sources
    for number, source in enumerate(sources):
        run(*compiler, "-std=gnu11", "-Os", *WARNINGS, *[f"-I{folder}" for folder in folders],
            *[f"-D{name}" for name in definitions], "-c", source, "-o", tmp_path / f"{number}.o")


# ---- ESP-IDF and Zephyr: form ------------------------------------------------------------------

SWITCHES = {"all": {f"CONFIG_PIPIT_WITH_{name}": "ON" for name in FEATURES},
            "least": {"CONFIG_PIPIT_WITH_MQTT_311": "ON"}}
OFF = {"all": set(), "least": {f"PIPIT_WITH_{name}=0" for name in FEATURES - {"MQTT_311"}}}


def package(name, where, assembled):
    """A package in Pipit's tree or put together, and where its sources are."""
    return (PACKAGES / name, SDK) if where == "tree" else (assembled / name, assembled / name)


@pytest.mark.parametrize("where", ["tree", "assembled"])
@pytest.mark.parametrize("switches", ["all", "least"])
def test_esp_idf_component(where, switches, assembled, tmp_path):
    folder, root = package("esp-idf", where, assembled)
    calls = evaluate(folder / "CMakeLists.txt", tmp_path, **SWITCHES[switches])
    said = calls["idf_component_register"]
    at = [said.index(word) for word in ("SRCS", "INCLUDE_DIRS", "PRIV_INCLUDE_DIRS")]
    sources, public, private = said[at[0] + 1:at[1]], said[at[1] + 1:at[2]], said[at[2] + 1:]
    assert sorted(sources) == portable_sources(root)
    assert public == [str(root / "include")] and private == [str(root / "src")]
    definitions = [word for word in calls.get("target_compile_definitions", []) if word not in ("pipit", "PUBLIC")]
    assert set(definitions) == OFF[switches]
    if where == "assembled":
        compile_all(sources, public + private, definitions,
                    ["riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"], tmp_path)


@pytest.mark.parametrize("where", ["tree", "assembled"])
@pytest.mark.parametrize("switches", ["all", "least"])
def test_zephyr_module(where, switches, assembled, tmp_path):
    folder, root = package("zephyr", where, assembled)
    calls = evaluate(folder / "CMakeLists.txt", tmp_path, CONFIG_PIPIT="ON", **SWITCHES[switches])
    assert sorted(calls["zephyr_library_sources"]) == portable_sources(root)
    assert calls["zephyr_include_directories"] == [str(root / "include")]
    assert set(calls.get("zephyr_compile_definitions", [])) == OFF[switches]
    if where == "assembled":
        compile_all(calls["zephyr_library_sources"],
                    calls["zephyr_include_directories"] + calls["zephyr_library_include_directories"],
                    calls.get("zephyr_compile_definitions", []),
                    ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "--specs=picolibc.specs"], tmp_path)
    assert evaluate(folder / "CMakeLists.txt", tmp_path) == {}, "without CONFIG_PIPIT it is not there"


@pytest.mark.parametrize("name", ["esp-idf", "zephyr"])
def test_kconfig_has_every_switch(name):
    kconfiglib = pytest.importorskip("kconfiglib")
    kconf = kconfiglib.Kconfig(str(PACKAGES / name / "Kconfig"), warn_to_stderr=False)
    assert not kconf.warnings
    switches = {symbol.name.removeprefix("PIPIT_WITH_") for symbol in kconf.unique_defined_syms
                if symbol.name.startswith("PIPIT_WITH_")}
    assert switches == FEATURES
    if name == "zephyr":
        assert all(kconf.syms[f"PIPIT_WITH_{word}"].str_value == "n" for word in switches)
        kconf.syms["PIPIT"].set_value("y")
    assert all(kconf.syms[f"PIPIT_WITH_{word}"].str_value == "y" for word in switches)
    assert all(node.prompt for symbol in kconf.unique_defined_syms for node in symbol.nodes)


def test_cmake_lists_every_switch():
    for name in ("esp-idf", "zephyr"):
        text = (PACKAGES / name / "CMakeLists.txt").read_text()
        assert set(re.search(r"foreach\(feature ([^)]*)\)", text).group(1).split()) == FEATURES, name


def test_yaml_and_versions(assembled):
    yaml = pytest.importorskip("yaml")
    component = yaml.safe_load((assembled / "esp-idf" / "idf_component.yml").read_text())
    assert component["version"] == VERSION and component["license"] == "Apache-2.0"
    module = yaml.safe_load((assembled / "zephyr" / "zephyr" / "module.yml").read_text())
    root = assembled / "zephyr"
    assert module["name"] == "pipit"
    assert (root / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (root / module["build"]["kconfig"]).is_file()


def test_readmes_say_what_was_not_done():
    for name in ("esp-idf", "zephyr"):
        assert "**Checked for form only. Nothing here was built with" in (PACKAGES / name / "README.md").read_text()


# ---- Arduino and PlatformIO --------------------------------------------------------------------

def test_library_manifests(assembled):
    root = assembled / "arduino"
    properties = dict(line.split("=", 1) for line in (root / "library.properties").read_text().splitlines())
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "architectures",
            "includes"} == set(properties)
    manifest = json.loads((root / "library.json").read_text())
    assert properties["version"] == manifest["version"] == VERSION
    assert properties["name"] == manifest["name"]
    for header in (properties["includes"], manifest["headers"]):
        assert (root / manifest["build"]["includeDir"] / header).is_file()
    assert (root / manifest["build"]["srcDir"] / "pipit.c").is_file()
    for example in manifest["examples"]:
        assert all((root / example["base"] / name).is_file() for name in example["files"])


def test_wrong_feature_is_named(tmp_path):
    done = subprocess.run([PACKAGES / "assemble", tmp_path, "--without", "MQTT_6"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("amalgamate: there is no feature 'MQTT_6': MQTT_5, ")


@pytest.fixture(scope="module")
def uno(assembled, tmp_path_factory):
    """The example built as the Arduino IDE would, by the flags of platform.txt."""
    if not shutil.which("avr-g++") or not (ROOT / ARDUINO / "platform.txt").is_file():
        pytest.skip("there is no avr-g++ or no arduino-core-avr")
    out = tmp_path_factory.mktemp("uno")
    library = assembled / "arduino"
    flags = ["-c", "-g", "-Os", "-w", "-ffunction-sections", "-fdata-sections", "-flto", "-mmcu=atmega328p",
             "-DF_CPU=16000000L", "-DARDUINO=10819", "-DARDUINO_AVR_UNO", "-DARDUINO_ARCH_AVR",
             f"-I{ARDUINO}/cores/arduino", f"-I{ARDUINO}/variants/standard", f"-I{ARDUINO}/libraries/EEPROM/src",
             f"-I{library}/src"]
    in_c = ["avr-gcc", "-std=gnu11", "-fno-fat-lto-objects", *flags]
    in_cpp = ["avr-g++", "-std=gnu++11", "-fpermissive", "-fno-exceptions", "-fno-threadsafe-statics",
              "-DDECIMAL_DIG=__DECIMAL_DIG__", *flags]  # The core wants it, this compiler's float.h is older.
    sketch = out / "hello.ino.cpp"
    sketch.write_text("#include <Arduino.h>\n" + (library / "examples" / "hello" / "hello.ino").read_text())
    core = [path for path in sorted((ROOT / ARDUINO / "cores/arduino").iterdir()) if path.suffix in (".c", ".cpp", ".S")]
    objects = []
    for source in [sketch, library / "src" / "pipit.c", *core]:
        compiler = {".c": in_c, ".cpp": in_cpp, ".S": ["avr-gcc", "-x", "assembler-with-cpp", *flags]}[source.suffix]
        objects.append(out / f"{source.name}.o")
        run(*compiler, source, "-o", objects[-1])
    run("avr-gcc", "-w", "-Os", "-g", "-flto", "-fuse-linker-plugin", "-Wl,--gc-sections", "-mmcu=atmega328p", "-o",
        out / "hello.elf", *objects, "-lm")
    return out / "hello.elf"


def test_arduino_example_fits_an_uno(uno):
    code, data, bss = (int(word) for word in run("avr-size", uno).splitlines()[1].split()[:3])
    print(f"uno: flash {code + data}, static RAM {data + bss}")
    assert code + data <= UNO_FLASH and data + bss + 450 <= UNO_RAM  # 450 bytes of stack.


def stored(hub):
    path = hub.dir / "out.ndjson"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_arduino_example_runs(uno, broker, start_hub, tmp_path):
    """Its readings are stored; after a reset they are new ones."""
    host = tmp_path / "simavr_host"
    run("gcc", "-std=gnu11", "-O2", ROOT / "tests/firmware/simavr_host.c", "-o", host, "-lsimavr")
    hub = start_hub(CONFIG.format(url=broker.url)).wait_ready()
    for start in (1, 2):
        before = len(stored(hub))
        process = Process("simavr_host")
        process.launch([host, "-a", "3300", "-t", "60", "-e", tmp_path / "eeprom.bin", uno, broker.port])
        try:
            wait_for(lambda: len(stored(hub)) >= before + 2, what=process.tail)
        finally:
            process.kill()
        rows = stored(hub)
        assert all(row["payload"] == {"device": "uno", "millivolts": 3299} for row in rows)
        keys = [row["idempotency_key"] for row in rows]
        assert len(set(keys)) == len(keys) and keys[-1].startswith(f"demo/uno/{start}/")
