"""./dev firmware [EXAMPLE [BOARD]]: builds device programs and runs them in QEMU against a real mosquitto and
a real hub, showing what the board prints and what the hub delivers. `list` names what there is."""

import importlib.util
import pathlib
import sys
import tempfile

import build
import stage as stages

WIDTH = 6


def show(who, text):
    print(f"  {who:>{WIDTH}} | {text}", flush=True)


def run_one(example, board_name):
    """True when it went as it should."""
    size = example.elf(board_name).with_suffix(".elf.size").read_text().splitlines()[-1].split()
    print(f"\n{example.name} on {board_name}: {size[0]} bytes of code, "
          f"{int(size[1]) + int(size[2])} of RAM with its stack", flush=True)
    with tempfile.TemporaryDirectory(prefix="pipit-firmware-") as folder:
        with stages.Stage(example, board_name, folder, show) as stage:
            code = stages.scenario(example)(stage)
    print(f"  exit code {code}", flush=True)
    return code == 0


# Examples that are no board's: a folder with a show.py, which has TARGET and run(folder, echo).
def others():
    return {path.parent.name: path for path in sorted(build.EXAMPLES.glob("*/show.py"))}


def load(path):
    spec = importlib.util.spec_from_file_location(f"show_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_other(path):
    module = load(path)
    print(f"\n{path.parent.name} on {module.TARGET}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pipit-firmware-") as folder:
        code = module.run(pathlib.Path(folder), show)
    print(f"  exit code {code}", flush=True)
    return code == 0


def usage_error(text):
    print(f"dev: {text}", file=sys.stderr)
    return 2


def main(arguments):
    known = {example.name: example for example in build.examples(of_tests=False)}
    if arguments == ["list"]:
        for example in known.values():
            print(f"{example.name:16} {' '.join(example.boards)}")
        for name, path in others().items():
            print(f"{name:16} {load(path).TARGET}")
        return 0
    name, board = [*arguments, None, None][:2]
    if len(arguments) > 2:
        return usage_error(f"firmware [EXAMPLE [BOARD]]: '{arguments[2]}' is one argument too many")
    if name in others():
        if board is not None:
            return usage_error(f"{name} runs on {load(others()[name]).TARGET} and takes no board, such as '{board}'")
        return 0 if run_other(others()[name]) else 1
    if name is not None and name not in known:
        return usage_error(f"there is no example '{name}' to run; there are {', '.join([*known, *others()])}")
    if board is not None and board not in known[name].boards:
        return usage_error(f"{name} is not built for '{board}' but for {', '.join(known[name].boards)}")
    wanted = [known[name]] if name else list(known.values())
    try:
        build.build([example.name for example in wanted])
        results = [run_one(example, board or example.boards[0]) for example in wanted]
        results += [run_other(path) for path in others().values()] if name is None else []
    except build.BuildError as error:
        return usage_error(str(error))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
