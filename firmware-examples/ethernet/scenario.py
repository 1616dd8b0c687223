"""The board's network is QEMU's own: a router at 10.0.2.2 behind which this machine's loopback is."""

CHIPS = {"mps2-an385": "lan9118", "mps2-an386": "lan9118", "lm3s6965evb": "stellaris"}
RUN_SECONDS = 90


def cable(board_name):
    return ["-nic", f"user,model={CHIPS[board_name]}"]


def run(stage):
    name = f"{stage.example.name}-{stage.board_name}"
    return stage.machine(name, stage.broker.port, port=None, more=cable(stage.board_name)).wait(RUN_SECONDS)
