"""Builds firmware: writes build/firmware/build.ninja for every example and board, and runs ninja.

An example is a folder with example.json. Its members, all but `boards` optional:
  boards     the boards it is built for; the first is the one that is run when none is named
  sources    C files: ["main.c"]; {name} stands for the folder of a source package, * for any name
  board_sources  {"board": ["driver.c"]}, C files beside these for one board
  includes   folders, relative to the example, or {name}/...
  defines    {"NAME": "value"} for the example and for the SDK that is linked with it
  sdk        folders of device-sdk/ that it needs beside src: ["ports/uart"] when not given
  packages   Debian source packages whose files it compiles: ["lwip"]
  stack      bytes of stack: 2048
  modem      arguments of the modem on its serial line: ["--framed"]
"""

import dataclasses
import functools
import json
import pathlib
import subprocess

from boards import BOARDS

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "firmware-examples"
FOLDERS = (EXAMPLES, ROOT / "tests" / "firmware")  # Where examples are; the tests have some of their own.
SDK = ROOT / "device-sdk"
OUT = ROOT / "build" / "firmware"
WARNINGS = ("-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla "
            "-Werror -fno-common")
COMMON = "-std=gnu11 -Os -g -ffunction-sections -fdata-sections -fno-builtin-printf"


class BuildError(Exception):
    """The compiler's words, or what is missing."""


@dataclasses.dataclass(frozen=True)
class Example:
    """What example.json says, with the defaults filled in."""

    name: str
    boards: tuple
    sources: tuple = ("main.c",)
    board_sources: dict = dataclasses.field(default_factory=dict, hash=False)
    includes: tuple = ()
    defines: tuple = ()
    sdk: tuple = ("ports/uart",)
    packages: tuple = ()
    stack: int = 2048
    modem: tuple = ()
    run: dict = dataclasses.field(default_factory=dict, hash=False)

    @property
    def folder(self):
        return next(each / self.name for each in FOLDERS if (each / self.name).exists())

    def files(self, board_name, packages):
        """What is compiled, each with whether it is ours; a * in a name stands for all that fit."""
        for said in (*self.sources, *self.board_sources.get(board_name, ())):
            path = self.folder / said.format(**packages)
            found = sorted(path.parent.glob(path.name))
            if not found:
                raise BuildError(f"{self.name}: there is no {path}")
            yield from ((each, not said.startswith("{")) for each in found)

    def elf(self, board_name):
        return OUT / self.name / board_name / "firmware.elf"


def example(name):
    path = next((found for each in FOLDERS if (found := each / name / "example.json").exists()), None)
    if path is None:
        known = ", ".join(sorted(each.name for each in examples()))
        raise BuildError(f"there is no example '{name}': {known}")
    said = json.loads(path.read_text())
    said["defines"] = tuple(said.get("defines", {}).items())
    for key in ("boards", "sources", "includes", "sdk", "packages", "modem"):
        if key in said:
            said[key] = tuple(said[key])
    unknown = set(said["boards"]) - set(BOARDS)
    if unknown:
        raise BuildError(f"{path}: unknown boards {sorted(unknown)}; there are {sorted(BOARDS)}")
    return Example(name=name, **said)


def examples(of_tests=True):
    return [example(path.parent.name) for each in FOLDERS[:2 if of_tests else 1]
            for path in sorted(each.glob("*/example.json"))]


@functools.cache
def package_folder(name):
    """The unpacked source of a Debian package, fetched once."""
    done = subprocess.run([EXAMPLES / "fetch-sources", name], capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(done.stderr.strip())
    return pathlib.Path(done.stdout.strip())


# ---- ninja --------------------------------------------------------------------------------------

RULES = """\
builddir = {out}
rule cc
  command = $cc $flags -MD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
  description = cc $out
rule ar
  command = rm -f $out && $ar rcs $out $in
  description = ar $out
rule link
  command = $cc $flags $in -o $out && ${{tools}}size $out > $out.size
  description = link $out
"""


def defines_flags(defines):
    return " ".join(f"-D{name}={value}" for name, value in dict(defines).items())


class Writer:
    """The lines of build.ninja; each object is said once."""

    def __init__(self):
        self.lines = [RULES.format(out=OUT)]
        self.said = set()

    def build(self, out, rule, inputs, **variables):
        if out in self.said:
            return out
        self.said.add(out)
        self.lines.append(f"build {out}: {rule} {' '.join(map(str, inputs))}")
        self.lines += [f"  {name} = {value}" for name, value in variables.items()]
        return out

    def compile(self, source, out, board, flags):
        return self.build(out, "cc", [source], cc=f"{board.toolchain}gcc", flags=flags)

    def sdk(self, example_, board):
        """The SDK for this processor, as an archive."""
        flags = f"{board.cpu} --specs=picolibc.specs {COMMON} {WARNINGS} " \
                f"{defines_flags(example_.defines)} -I{SDK}/include -I{SDK}/src"
        key = board.cpu + defines_flags(example_.defines)
        folder = OUT / "sdk" / "".join(c if c.isalnum() else "_" for c in key).strip("_")
        objects = []
        for part in ("src", *example_.sdk):
            for source in sorted((SDK / part).glob("*.c")):
                objects.append(self.compile(source, folder / part / f"{source.stem}.o", board, flags))
        name = "_".join(part.replace("/", "_") for part in ("pipit", *example_.sdk))
        return self.build(folder / f"lib{name}.a", "ar", objects, ar=f"{board.toolchain}ar")

    def board(self, board, folder):
        flags = f"{board.cpu} --specs=picolibc.specs {COMMON} {WARNINGS} " \
                f"-fno-tree-loop-distribute-patterns {defines_flags(board.defines)} " \
                f"-I{SDK}/include -I{EXAMPLES}/boards"
        return [self.compile(EXAMPLES / "boards" / name, folder / f"{pathlib.Path(name).stem}.o", board,
                             flags) for name in board.sources]

    def image(self, example_, board, packages):
        folder = OUT / example_.name / board.name
        fill = {name: str(path) for name, path in packages.items()}
        includes = " ".join(f"{'-isystem ' if each.startswith('{') else '-I'}"
                            f"{example_.folder / each.format(**fill)}" for each in example_.includes)
        flags = f"{board.cpu} --specs=picolibc.specs {COMMON} {defines_flags(example_.defines)} " \
                f"-I{example_.folder} {includes} -I{SDK}/include -I{EXAMPLES}/boards"
        objects = []
        for path, is_ours in example_.files(board.name, fill):
            objects.append(self.compile(path, folder / "app" / f"{path.stem}.o", board,
                                        f"{flags} {WARNINGS if is_ours else '-w'}"))
        objects += self.board(board, OUT / "boards" / board.name)
        objects.append(self.sdk(example_, board))
        memory = f"--defsym=__flash={board.flash[0]:#x},--defsym=__flash_size={board.flash[1]:#x}," \
                 f"--defsym=__ram={board.ram[0]:#x},--defsym=__ram_size={board.ram[1]:#x}," \
                 f"--defsym=__stack_size={example_.stack}"
        link = f"{board.cpu} --specs=picolibc.specs -nostartfiles -T{EXAMPLES}/boards/image.ld " \
               f"-Wl,{memory} -Wl,--gc-sections,--no-warn-rwx-segments,-Map={folder}/firmware.map"
        return self.build(folder / "firmware.elf", "link", objects, cc=f"{board.toolchain}gcc",
                          flags=link, tools=board.toolchain)


def write(selected):
    """build.ninja of these (example, board name); gives the ELF files."""
    writer = Writer()
    elfs = []
    for example_, name in selected:
        packages = {package: package_folder(package) for package in example_.packages}
        elfs.append(writer.image(example_, BOARDS[name], packages))
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "build.ninja"
    text = "\n".join(writer.lines) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return elfs


def build(names=None, jobs=None):
    """Builds all examples, or those named, for all their boards. Gives the ELF files."""
    wanted = [example(name) for name in names] if names else examples()
    everything = write([(each, name) for each in examples() for name in each.boards])
    elfs = [each.elf(name) for each in wanted for name in each.boards]
    assert set(elfs) <= set(everything)
    command = ["ninja", "-f", OUT / "build.ninja", *([f"-j{jobs}"] if jobs else []), *elfs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(done.stdout[-6000:] + done.stderr[-2000:])
    return elfs
