"""Builds the SDK's unit tests for other processors, from the very sources that run on the host, and runs them:
bare metal through picolibc's semihosting in QEMU, other Linux machines under qemu-user."""

import dataclasses
import pathlib
import subprocess
import threading

import build
from boards import M0, M3, M4F, RV32

TESTS = build.ROOT / "tests" / "unit"
OUT = build.OUT / "on-target"
SHIM = TESTS / "on_target"
PORTS = ("ports/uart", "ports/framed", "ports/flash")  # Portable: they go wherever src goes.
SECONDS_MAX = 300
K = 1024


@dataclasses.dataclass(frozen=True)
class Target:
    """A processor: how to compile for it and how to run what was compiled."""

    name: str
    compiler: str
    flags: str
    link: str
    run: tuple            # The command in front of the program.
    behind: tuple = ()    # And the option right before its path.
    has_files: bool = False

    @property
    def objects(self):
        return OUT / self.name.removesuffix("-16k")  # The same processor.


def bare(name, compiler, cpu, flash, ram, machine, qemu="qemu-system-arm", load="-kernel", stack=16 * K, more=()):
    memory = f"--defsym=__flash={flash[0]:#x},--defsym=__flash_size={flash[1]:#x}," \
             f"--defsym=__ram={ram[0]:#x},--defsym=__ram_size={ram[1]:#x},--defsym=__stack_size={stack}"
    return Target(name, f"{compiler}-gcc", f"{cpu} --specs=picolibc.specs",
                  f"{cpu} --specs=picolibc.specs --oslib=semihost --crt0=semihost -Wl,{memory} -Wl,--gc-sections",
                  (qemu, "-M", machine, "-nographic", "-monitor", "none", "-serial", "null",
                   "-semihosting-config", "enable=on,target=native,arg=test,arg={argument}", *more), (load,))


def linux(name, compiler, qemu, flags=""):
    return Target(name, f"{compiler}-gcc", flags, "-static", (qemu,), has_files=True)


ARM = "arm-none-eabi"
# The nRF51 in QEMU can be given more memory than a real one has: all tests run on its Cortex-M0, the only
# one of the machines that refuses unaligned accesses. Those that fit run in the real 16 KB as well.
M0_RAM = 8 * K * K
_TARGETS = (
    bare("m0", ARM, M0, (0, 256 * K), (0x20000000, M0_RAM), "microbit",
         more=("-global", f"nrf51-soc.sram-size={M0_RAM}")),
    bare("m0-16k", ARM, M0, (0, 256 * K), (0x20000000, 16 * K), "microbit", stack=2 * K),
    bare("m3", ARM, M3, (0, 4096 * K), (0x20000000, 4096 * K), "mps2-an385"),
    bare("m4f", ARM, M4F, (0, 4096 * K), (0x20000000, 4096 * K), "mps2-an386"),
    bare("rv32", "riscv64-unknown-elf", RV32, (0x80000000, 4096 * K), (0x80400000, 8192 * K), "virt",
         qemu="qemu-system-riscv32", load="-bios"),
    linux("mips-big-endian", "mips-linux-gnu", "qemu-mips-static", "-DWORDS_BIGENDIAN"),  # For protobuf-c.
    linux("armhf", "arm-linux-gnueabihf", "qemu-arm-static"),
    linux("arm64", "aarch64-linux-gnu", "qemu-aarch64-static"),
    linux("riscv64", "riscv64-linux-gnu", "qemu-riscv64-static"),
)
TARGETS = {target.name: target for target in _TARGETS}

# Of device-sdk/: what needs a host.
NEEDS_LIBRARY = {"test_paho", "test_tls"}       # Linked with paho.mqtt.c, mbedTLS.
# test_socket has no sockets on a bare processor; test_spool_file takes the C library's place to count writes and
# syncs, and test_spool runs the file spool on all Linux targets.
NEEDS_HOST = {"test_socket", "test_spool_file"}
# Long, and of the processor only alignment and byte order matter to them.
LONG = {"test_spool_flash", "test_spool_flash_open"}
LONG_TARGETS = {"m0", "mips-big-endian"}
# These repeat something often enough that optimizing them pays; the others take longer to compile than to run.
HOT = {"test_event", "test_mqtt_write", "test_spool", "test_spool_flash", "test_spool_flash_open", "test_wire"}
FITS_16K = {"test_wire", "test_uart"}
# Less than on the host, where memory and speed are less.
DEFINES = {"TEST_SEEDS": "1"}
BARE_DEFINES = {"SCRIPT_MAX": "1024", "TEST_WITHOUT_FILES": "1"}


def tests_of(target):
    """The names of the tests that this target runs."""
    found = {path.stem for path in (TESTS / "device-sdk").glob("test_*.c")} - NEEDS_LIBRARY - NEEDS_HOST
    if target.name not in LONG_TARGETS:
        found -= LONG
    return sorted(found & FITS_16K if target.name == "m0-16k" else found)


class Writer(build.Writer):
    """build.ninja of the tests, with a log of its own: ninja forgets what another's file does not name."""

    def __init__(self):
        super().__init__()
        self.lines = [build.RULES.format(out=OUT)]

    def flags(self, target, extra=""):
        defines = build.defines_flags({**DEFINES, **({} if target.has_files else BARE_DEFINES)})
        return f"{target.flags} -std=gnu11 -Os -ffunction-sections -fdata-sections {defines} " \
               f"-I{SHIM} -I{TESTS.parent} -I{build.SDK}/include -I{build.SDK}/src -I{OUT}/proto " \
               f"-I{build.package_folder('protobuf-c')} {extra}"

    def object(self, target, source, extra=""):
        out = target.objects / f"{pathlib.Path(source).stem}.o"
        return self.build(out, "cc", [source], cc=target.compiler, flags=self.flags(target, extra))

    def support(self, target):
        """The SDK, the shim and the oracle (protobuf-c)."""
        parts = ["src", *PORTS, *(["ports/posix"] if target.has_files else [])]
        objects = [self.object(target, source, build.WARNINGS) for part in parts
                   for source in sorted((build.SDK / part).glob("*.c"))]
        objects.append(self.object(target, SHIM / "cmocka.c", build.WARNINGS))
        objects.append(self.object(target, OUT / "proto" / "pipit" / "v1" / "pipit.pb-c.c", "-w"))
        objects.append(self.object(target, build.package_folder("protobuf-c") / "protobuf-c" / "protobuf-c.c",
                                   "-w -DNDEBUG -O0"))
        return self.build(target.objects / "libsupport.a", "ar", objects,
                          ar=target.compiler.replace("-gcc", "-ar"))

    def program(self, target, source, name, extra=""):
        out = target.objects / f"{name}.o"
        speed = "" if name in HOT else "-O0"
        self.build(out, "cc", [source], cc=target.compiler, flags=self.flags(target, f"-Wno-unused {speed} {extra}"))
        return self.build(OUT / target.name / name, "link", [out, self.support(target)], cc=target.compiler,
                          flags=target.link, tools=target.compiler.replace("gcc", ""))


def program_path(target, name):
    return OUT / target.name / name


FAILURES = {1: "numbers", 2: "memory", 3: "words", 4: "trap", 5: "text", 6: "truth", 7: "setup"}
NINJA = OUT / "build.ninja"
_one_ninja = threading.Lock()  # Two at a time would write the same objects.


def oracle_generate():
    """protoc-c's sources, when the contract is newer than they are."""
    folder = build.ROOT / "proto"
    contract, made = folder / "pipit" / "v1" / "pipit.proto", OUT / "proto" / "pipit" / "v1" / "pipit.pb-c.c"
    if not made.exists() or made.stat().st_mtime < contract.stat().st_mtime:
        (OUT / "proto").mkdir(parents=True, exist_ok=True)
        subprocess.run(["protoc-c", "-I", folder, f"--c_out={OUT}/proto", contract], check=True)


def build_all(pairs):
    """Builds these (target name, test) and the tests that fail on purpose, as far as they can be built;
    build_one says what is wrong with the others."""
    oracle_generate()
    writer = Writer()
    for name, test in pairs:
        writer.program(TARGETS[name], TESTS / "device-sdk" / f"{test}.c", test)
    for target in {name: TARGETS[name] for name, _ in pairs}.values():
        writer.program(target, SHIM / "failing" / "failing.c", "failing")
    NINJA.write_text("\n".join(writer.lines) + "\n")
    subprocess.run(["ninja", "-k0", "-f", NINJA], capture_output=True)


def build_one(target, name):
    """None, or the compiler's words."""
    with _one_ninja:
        done = subprocess.run(["ninja", "-f", NINJA, program_path(target, name)], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stdout[-4000:]


def run(target, name, argument="0"):
    """(exit code, what it printed)"""
    command = ["timeout", "--kill-after=5", str(SECONDS_MAX),
               *(word.replace("{argument}", argument) for word in target.run), *target.behind,
               str(program_path(target, name)), *([argument] if target.has_files else [])]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr
