"""Commands from the hub's side, one of them twice, then one that the device cannot do, and the end."""


def run(stage):
    name = f"commands-{stage.board_name}"
    board = stage.machine(name)
    board.wait_line("waiting for commands")

    def command(*arguments, check=True):
        return stage.pipit("command", "--device", f"demo/{name}", *arguments, check=check)

    command("--name", "blink", "times=3", "--id", "job-17")
    command("--name", "blink", "times=3", "--id", "job-17")
    command("--name", "blink", "times=1000", check=False)
    command("--name", "dance", check=False)
    command("--name", "stop")
    return board.wait()
