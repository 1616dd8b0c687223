"""Holds what docs/ARCHITECTURE.md and the style say about the sources themselves: which folder may
include which, where each library's header belongs, what the portable SDK must not pull in."""

import pathlib
import platform
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The table of docs/ARCHITECTURE.md; a folder may always include itself.
MAY_INCLUDE = {
    "base": set(),
    "store": {"base"},
    "core": {"store", "base", "proto"},
    "connectors": {"core", "base"},
    "delivery": {"connectors", "core", "base"},
    "intake": {"core", "base"},
    "config": {"connectors", "core", "base"},
    "trial": {"config", "connectors", "core", "store", "base", "proto"},
    "admin": {"config", "core", "base"},
    "daemon": {"admin", "config", "delivery", "intake", "connectors", "core", "store", "base"},
    "cli": {"daemon", "trial", "admin", "config", "delivery", "intake", "connectors", "core", "store", "base",
            "proto", "sdk"},
}

# Where a library's header may be included: folders, or single files where one speaks for all. A key
# that ends in / stands for all headers of that folder.
HOMES = {
    "sqlite3.h": ["hub/store/", "hub/core/", "tests/"],
    "mosquitto.h": ["hub/intake/", "hub/connectors/", "hub/cli/client.c", "tests/"],
    "mqtt_protocol.h": ["hub/intake/", "hub/connectors/", "hub/cli/client.c", "tests/"],
    "yaml.h": ["hub/config/document.c"],
    "yajl/": ["hub/core/json_tape.c"],
    "jansson.h": ["hub/base/", "hub/core/", "hub/config/", "hub/connectors/", "hub/trial/", "hub/admin/",
                  "hub/cli/", "tests/"],
    "MQTTAsync.h": ["device-sdk/ports/paho/paho_session.h"],
    "cbor.h": ["hub/core/"],
    "csv.h": ["hub/config/table_csv.c"],
    "curl/": ["hub/connectors/http_library.h"],
    "sparkplug/": ["hub/core/", "tests/"],
    "cloudevents/": ["hub/core/", "tests/"],
    "protobuf/": ["hub/core/proto_parts.h"],
    "reading.pb-c.h": ["tests/bench/"],
    "uthash.h": ["hub/"],
    "utlist.h": ["hub/"],
    "cmocka.h": ["tests/unit/", "tests/firmware/lwip/"],
    "lwip/": ["device-sdk/ports/lwip/", "tests/firmware/lwip/"],
    "simavr/": ["tests/firmware/simavr_host.c"],
    "openssl/": ["tests/unit/device-sdk/tls_broker.h"],
    "mbedtls/": ["device-sdk/ports/mbedtls/", "tests/unit/device-sdk/test_tls.c"],
}
# In each of these folders the header is included by one file only.
ONE_FILE_EACH = {"mosquitto.h": ["hub/intake/", "hub/connectors/", "hub/cli/"],
                 "yaml.h": ["hub/config/"]}

# C and POSIX; whatever is in angle brackets and not here is a library and needs a home above.
SYSTEM = re.compile(
    r"(sys|arpa|netinet|net|linux)/\w+\.h|(assert|ctype|dirent|errno|fcntl|getopt|inttypes|libgen|limits|"
    r"dlfcn|locale|malloc|math|netdb|poll|pthread|sched|setjmp|signal|stdalign|stdarg|stdatomic|stdbool|"
    r"stddef|stdint|stdio|stdlib|string|strings|termios|time|unistd|fnmatch|float)\.h")

LINES_MAX = 700
# Deterministic: time and chance come in as arguments, the only input and output is SQLite's.
CORE_HEADERS_FORBIDDEN = {"time.h", "sys/time.h", "unistd.h", "fcntl.h", "poll.h", "pthread.h",
                          "signal.h", "sys/socket.h", "sys/random.h", "sys/stat.h", "stdatomic.h"}
CORE_FORBIDDEN = {"base/clock.h", "base/log.h", "base/file.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def sources(*folders, suffixes=(".c", ".h")):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def includes(path):
    return INCLUDE.findall(path.read_text(encoding="utf-8"))


def layer_of(header):
    """The layer a quoted header of the hub belongs to."""
    first = header.split("/")[0]
    if header.endswith(".pb-c.h"):
        return "proto"
    return "sdk" if first == "pipit" else first


@pytest.mark.parametrize("folder", sorted(MAY_INCLUDE))
def test_hub_includes_point_one_way(folder):
    wrong = []
    for path in sources(f"hub/{folder}"):
        for bracket, header in includes(path):
            if bracket == "<" and not header.startswith("pipit/"):
                continue
            layer = layer_of(header)
            if layer != folder and layer not in MAY_INCLUDE[folder]:
                wrong.append(f"{name_of(path)}: {header}")
    assert not wrong, f"{folder} may include {sorted(MAY_INCLUDE[folder])}: {wrong}"


def test_parts_stay_within_their_folder():
    """A header that ends in _parts.h is what the files of one folder share."""
    wrong = [f"{name_of(path)}: {header}" for path in sources("hub") for bracket, header in includes(path)
             if bracket == '"' and header.endswith("_parts.h") and layer_of(header) != path.parent.name]
    assert not wrong, wrong


def test_every_hub_folder_is_known():
    folders = {path.parent.name for path in sources("hub")}
    assert folders <= set(MAY_INCLUDE), "a new folder of hub/ needs its row in ARCHITECTURE.md and here"


def test_device_sdk_stands_alone():
    wrong = []
    for path in sources("device-sdk"):
        for bracket, header in includes(path):
            is_own = header.startswith("pipit/") or (path.parent / header).exists()
            if bracket == '"' and not is_own:
                wrong.append(f"{name_of(path)}: {header}")
    assert not wrong, wrong


def test_sdk_core_uses_freestanding_headers_and_string_h():
    allowed = {"stdbool.h", "stddef.h", "stdint.h", "string.h", "limits.h"}
    wrong = [f"{name_of(path)}: {header}" for path in [
        *sources("device-sdk/src"), ROOT / "device-sdk/include/pipit/pipit.h"]
        for bracket, header in includes(path) if bracket == "<" and header not in allowed]
    assert not wrong, wrong


def test_core_reads_no_clock_and_does_no_io():
    wrong = [f"{name_of(path)}: {header}" for path in sources("hub/core")
             for bracket, header in includes(path)
             if (bracket == "<" and header in CORE_HEADERS_FORBIDDEN) or header in CORE_FORBIDDEN]
    assert not wrong, wrong


def test_library_headers_are_at_home():
    wrong = []
    for path in sources("hub", "device-sdk", "tests"):
        name = name_of(path)
        for bracket, header in includes(path):
            if bracket == '"' or SYSTEM.fullmatch(header) or header.startswith("pipit/"):
                continue
            homes = HOMES.get(header) or HOMES.get(header.split("/")[0] + "/")
            if homes is None:
                wrong.append(f"{name}: {header} has no home in HOMES")
            elif not any(name.startswith(home) for home in homes):
                wrong.append(f"{name}: {header} belongs in {homes}")
    assert not wrong, wrong


@pytest.mark.parametrize("header", sorted(ONE_FILE_EACH))
def test_library_header_is_included_once_a_folder(header):
    for folder in ONE_FILE_EACH[header]:
        users = [name_of(path) for path in sources(folder) if ("<", header) in includes(path)]
        assert len(users) <= 1, f"{header}: {users}"


def compile_sdk(folder, *flags):
    """The portable core compiled apart from every build option; gives the objects."""
    objects = []
    for path in sources("device-sdk/src", suffixes=(".c",)):
        out = folder / f"{path.stem}.o"
        subprocess.run(["gcc", "-std=c11", "-Os", "-fno-pic", "-fno-stack-protector", *flags,
                        f"-I{ROOT}/device-sdk/include", f"-I{ROOT}/device-sdk/src", "-c", path,
                        "-o", out], check=True)
        objects.append(out)
    return objects


def symbols(objects):
    """(type, name) of all symbols that nm shows."""
    text = subprocess.run(["nm", "-P", *objects], check=True, capture_output=True, text=True).stdout
    return [(parts[1], parts[0]) for parts in map(str.split, text.splitlines()) if len(parts) >= 2]


def test_sdk_core_needs_no_malloc_no_stdio(tmp_path):
    found = symbols(compile_sdk(tmp_path))
    assert found
    defined = {name for kind, name in found if kind not in "Uw"}
    missing = {name for kind, name in found if kind == "U"} - defined
    assert missing <= {"memcpy", "memset", "memcmp", "memmove", "strlen", "strcmp"}, missing


def test_sdk_core_has_no_globals(tmp_path):
    writable = [name for kind, name in symbols(compile_sdk(tmp_path)) if kind in "BbDdCcSsGg"]
    assert not writable, writable


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs gcc's -m32")
def test_sdk_core_divides_no_64_bit_numbers_and_uses_no_software_float(tmp_path):
    stubs = tmp_path / "include" / "gnu"
    stubs.mkdir(parents=True)
    (stubs / "stubs-32.h").write_text("")  # Debian has it in a package of its own.
    found = symbols(compile_sdk(tmp_path, "-m32", "-msoft-float", f"-I{tmp_path}/include",
                                "-idirafter", "/usr/include/x86_64-linux-gnu"))
    helpers = sorted({name for kind, name in found if kind == "U" and name.startswith("__")})
    assert not helpers, helpers


@pytest.mark.parametrize("folder", ["hub", "device-sdk", "tests", "firmware-examples"])
def test_files_stay_short(folder):
    long = {name_of(path): lines for path in sources(folder, suffixes=(".c", ".h", ".py"))
            if (lines := path.read_text(encoding="utf-8").count("\n")) > LINES_MAX}
    assert not long, f"split by noun: {long}"


def test_nothing_is_left_to_do():
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    files = list(sources("hub", "device-sdk", "tests", "proto", "docs", "firmware-examples", "cmake",
                         suffixes=(".c", ".h", ".py", ".md", ".proto", ".cmake", ".txt", ".sh", ".yaml",
                                   ".conf")))
    files += [ROOT / "dev", ROOT / "CMakeLists.txt", ROOT / "README.md"]
    found = [f"{name_of(path)}: {match.group()}" for path in files if path.exists()
             for match in mark.finditer(path.read_text(encoding="utf-8"))]
    assert not found, found
