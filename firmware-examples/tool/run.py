"""./dev firmware [EXAMPLE [BOARD]]: builds device programs and runs them in QEMU against a real mosquitto and
a real hub, showing what the board prints and what the hub delivers. `list` names what there is."""

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


def usage_error(text):
    print(f"dev: {text}", file=sys.stderr)
    return 2


def main(arguments):
    known = {example.name: example for example in build.examples(of_tests=False)}
    if arguments == ["list"]:
        for example in known.values():
            print(f"{example.name:16} {' '.join(example.boards)}")
        return 0
    name, board = [*arguments, None, None][:2]
    if len(arguments) > 2 or (name is not None and name not in known):
        return usage_error(f"firmware [EXAMPLE [BOARD]], with EXAMPLE one of {', '.join(known)}")
    if board is not None and board not in known[name].boards:
        return usage_error(f"{name} is built for {', '.join(known[name].boards)}")
    wanted = [known[name]] if name else list(known.values())
    try:
        build.build([example.name for example in wanted])
        results = [run_one(example, board or example.boards[0]) for example in wanted]
    except build.BuildError as error:
        return usage_error(str(error))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
