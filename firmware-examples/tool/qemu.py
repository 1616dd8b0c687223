"""Starts firmware in QEMU: the serial line goes to a TCP port, what it prints and its exit code come here."""

import os
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import boards  # noqa: E402
from harness import Process, wait_for  # noqa: E402

GUEST_SECONDS_MAX = 300  # Of real time: no run is longer, whatever the test does.


def blank_storage(path, board):
    """The file behind a board's flash, erased. What stands there already is kept."""
    path = pathlib.Path(path)
    if not path.exists():
        path.write_bytes(b"\xff" * board.storage[1])
    return path


class Machine(Process):
    """One board with one program. Its serial line calls 127.0.0.1:port, again every second when that
    breaks; without a port it leads nowhere. storage: the file of a board that has flash."""

    def __init__(self, board_name, elf, arguments=(), port=None, storage=None, more=(),
                 seconds=GUEST_SECONDS_MAX):
        super().__init__(f"{board_name} {pathlib.Path(elf).parent.parent.name}")
        self.board = boards.BOARDS[board_name]
        self.elf = elf
        self.arguments = [str(argument) for argument in arguments]
        self.port = port
        self.storage = storage
        self.more = list(more)
        self.seconds = seconds

    def command(self):
        said = "enable=on,target=native" + "".join(f",arg={each}" for each in self.arguments)
        line = ["-serial", "null"]
        if self.port is not None:
            line = ["-chardev", f"socket,id=line,host=127.0.0.1,port={self.port},nodelay=on,reconnect=1",
                    "-serial", "chardev:line"]
        drive = []
        if self.board.storage and self.storage is not None:
            drive = ["-drive", f"{self.board.storage[0]},file={self.storage}"]
        return ["timeout", "--kill-after=5", str(self.seconds),
                self.board.qemu, "-M", boards.machine(self.board), "-nographic", "-monitor", "none",
                "-semihosting-config", said, *line, *drive, *self.more, self.board.load, str(self.elf)]

    def start(self):
        self.launch(self.command())
        return self

    def kill(self):
        """SIGKILL to QEMU itself; the `timeout` around it ends when it is gone, and so does this."""
        self._end(signal.SIGKILL)

    def cut_power(self):
        """The processor stops wherever it is, at once, and nothing of the machine is left but the file
        of its flash. Where QEMU's chip writes that file behind the program's back, it is given the time
        to finish: what the chip had taken, a real one would still have."""
        self._end(signal.SIGTERM if self.board.is_written_behind else signal.SIGKILL)

    def _end(self, number):
        if self.popen is None:
            return
        children = wait_for(lambda: self._children() or not self.is_running(), what="QEMU has begun")
        for child in children if self.is_running() else []:
            child_signal(child, number)
        self.wait()

    def _children(self):
        try:
            text = pathlib.Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text()
        except OSError:
            return []
        return [int(pid) for pid in text.split()]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


def child_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
