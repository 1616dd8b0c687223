"""The modem of the tests as a process, and the frames of pipit/framed.h once more, written apart
from the C so that each checks the other."""

import socket

from harness import BUILD, DEADLINE_S, Process, wait_for

MODEM = BUILD / "tests" / "modem" / "modem"

DATA, DIAL, CONNECTED, HANG_UP = 1, 2, 3, 4
ASKED, UNREACHABLE, CARRIER, FRAME, NO_CALL = 1, 2, 3, 4, 5


class Modem(Process):
    """Between a device (anything that connects to modem.port) and the broker's port.

    arguments are the program's own: Modem(broker.port, "--framed", "--garble", "0.001,up").
    The ports stay the same over restarts."""

    def __init__(self, broker_port, *arguments, seed=1):
        super().__init__("modem")
        self.broker_port = broker_port
        self.arguments = list(arguments)
        self.seed = seed
        self.port = 0
        self.control_port = 0
        self._control = None

    def start(self):
        seen = len(self.lines)
        self.launch([MODEM, "--broker", self.broker_port, "--listen", self.port, "--control", self.control_port,
                     "--seed", self.seed, "--verbose", *self.arguments])

        def announced():
            assert self.is_running(), f"the modem did not start:\n{self.tail()}"
            return next((line for line in self.lines[seen:] if line.startswith("device=")), None)
        line = wait_for(announced, what="the modem listens")
        ports = dict(part.split("=") for part in line.split())
        self.port, self.control_port = int(ports["device"]), int(ports["control"])
        return self

    def command(self, *words):
        """One line to the control socket; gives what stands behind 'ok'."""
        if self._control is None:
            self._control = socket.create_connection(("127.0.0.1", self.control_port), DEADLINE_S)
            self._answers = self._control.makefile("r")
        self._control.sendall((" ".join(str(word) for word in words) + "\n").encode())
        answer = self._answers.readline().rstrip("\n")
        assert answer == "ok" or answer.startswith("ok "), f"{words}: {answer or 'no answer'}"
        return answer[3:]

    def stats(self):
        """Names and values; numbers are numbers."""
        pairs = (part.split("=") for part in self.command("stats").split())
        return {name: int(value) if value.isdigit() else value for name, value in pairs}

    def wait_stats(self, deadline=DEADLINE_S, **wanted):
        """Until all of wanted are so, e.g. wait_stats(state="up", calls=2)."""
        def fact():
            stats = self.stats()
            return stats if all(stats[name] == value for name, value in wanted.items()) else None
        return wait_for(fact, deadline, lambda: f"{wanted}, there is {self.stats()}")

    def log_lines(self, *parts):
        return [line for line in list(self.lines) if all(part in line for part in parts)]

    def _hang_up_control(self):
        if self._control is not None:
            self._answers.close()
            self._control.close()
            self._control = None

    def cleanup(self):
        """SIGTERM, so that the sanitizers have their say; the exit code is 0."""
        self._hang_up_control()
        if self.is_running():
            code = self.terminate()
            assert code == 0, f"the modem ended with {code}:\n{self.tail()}"

    def kill(self):
        self._hang_up_control()
        super().kill()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.cleanup()


# ---- frames -------------------------------------------------------------------------------------


def crc_x25(data):
    """Bit by bit, as the definition says."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc ^ 0xFFFF


def frame(kind, content=b"", number=0):
    body = bytes([kind, number & 255]) + content
    body += crc_x25(body).to_bytes(2, "little")
    escaped = body.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return b"\x7e" + escaped + b"\x7e"


def dial(call, largest=200):
    return frame(DIAL, call.to_bytes(2, "little") + largest.to_bytes(2, "little"))


def hang_up(call, reason=ASKED):
    return frame(HANG_UP, call.to_bytes(2, "little") + bytes([reason]))


def unframe(data):
    """All whole frames: (kind, number, content), or None for one that is damaged."""
    frames = []
    for escaped in data.split(b"\x7e")[1:-1]:
        if escaped:
            body = escaped.replace(b"\x7d\x5e", b"\x7e").replace(b"\x7d\x5d", b"\x7d")
            is_good = len(body) >= 4 and crc_x25(body[:-2]).to_bytes(2, "little") == body[-2:]
            frames.append((body[0], body[1], body[2:-2]) if is_good else None)
    return frames
