"""The modem of the tests: what other tests lean on when they blame or trust the line. A scripted
far end and raw sockets; then a real broker and a client that is not ours."""

import random
import socket
import subprocess
import time

import pytest

from harness import DEADLINE_S, Client, Subscriber, free_port, stays, wait_for
from harness_modem import (
    ASKED, CARRIER, CONNECTED, DATA, FRAME, HANG_UP, MODEM, NO_CALL, UNREACHABLE, Modem, crc_x25, dial, frame, hang_up,
    unframe)


class End:
    """One end of a connection: everything it has received is in data."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.reads = []
        self.is_closed = False

    def send(self, data):
        self.socket.sendall(data)
        return self

    def read(self, seconds=0.01):
        """What is there, waiting for it so long."""
        if self.is_closed:
            return b""
        self.socket.settimeout(seconds)
        try:
            more = self.socket.recv(65536)
        except TimeoutError:
            return b""
        except ConnectionResetError:
            more = b""
        self.is_closed = not more
        self.data += more
        self.reads += [more] if more else []
        return more

    def wait(self, data, deadline=DEADLINE_S):
        """Until exactly data has come in all."""
        wait_for(lambda: self.read() is None or len(self.data) >= len(data) or self.is_closed, deadline,
                 lambda: f"{data[:80]!r}, there is {self.data[:80]!r}", step=0)
        assert self.data == data
        return self

    def wait_closed(self, deadline=DEADLINE_S):
        """Until the other side has ended; then this side ends as well."""
        wait_for(lambda: self.read() is None or self.is_closed, deadline, "the connection ends", step=0)
        self.close()
        return self

    def frames(self):
        return unframe(self.data)

    def wait_frames(self, count, deadline=DEADLINE_S):
        wait_for(lambda: self.read() is None or len(self.frames()) >= count, deadline,
                 lambda: f"{count} frames, there are {self.frames()}", step=0)
        return self.frames()

    def close(self):
        self.socket.close()


class Far:
    """Where the modem dials: a listener whose calls the test takes."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.ends = []

    def take(self, deadline=DEADLINE_S):
        self.listener.settimeout(deadline)
        self.ends.append(End(self.listener.accept()[0]))
        return self.ends[-1]

    def has_call(self):
        self.listener.settimeout(0.001)
        try:
            self.ends.append(End(self.listener.accept()[0]))
        except TimeoutError:
            return False
        return True

    def close(self):
        self.listener.close()
        for end in self.ends:
            end.close()


@pytest.fixture
def far():
    far = Far()
    yield far
    far.close()


@pytest.fixture
def start(far):
    """start("--framed", ...) gives (modem, device end)."""
    started = []

    def begin(*arguments, seed=1):
        modem = Modem(far.port, *arguments, seed=seed).start()
        started.append((modem, End(socket.create_connection(("127.0.0.1", modem.port), DEADLINE_S))))
        return started[-1]
    yield begin
    for modem, device in started:
        device.close()
        modem.cleanup()


def plug(modem):
    return End(socket.create_connection(("127.0.0.1", modem.port), DEADLINE_S))


def noise(count, seed=7):
    return random.Random(seed).randbytes(count)


# ---- transparent --------------------------------------------------------------------------------


def test_bytes_pass_both_ways_and_the_first_one_dials(far, start):
    modem, device = start()
    modem.wait_stats(device=1, state="idle")
    stays(lambda: not far.has_call(), 0.1)
    device.send(b"hello")
    broker = far.take().wait(b"hello")
    data = noise(300_000)
    broker.send(b"welcome")
    device.wait(b"welcome")
    device.send(data[:65536])
    broker.wait(b"hello" + data[:65536])
    broker.send(data[:65536])
    device.wait(b"welcome" + data[:65536])
    stats = modem.stats()
    assert (stats["state"], stats["calls"], stats["call_up"]) == ("up", 1, 5 + 65536)


def test_dial_at_once(far, start):
    modem, device = start("--dial", "at-once", "--redial-idle", 50)
    far.take().send(b"first").close()
    device.wait(b"first")
    far.take().send(b"second")
    device.wait(b"firstsecond")
    assert modem.stats()["calls"] == 2


def test_the_device_dials_anew_after_its_silence(far, start):
    """As a UART port does: it sees no carrier, drops what is left, keeps silent, connects."""
    modem, device = start("--redial-idle", 150)
    device.send(b"one")
    far.take().wait(b"one").close()
    modem.wait_stats(state="lost")
    for _ in range(30):  # It does not know yet, and never pauses for so long.
        device.send(b"into nothing")
        time.sleep(0.01)
    assert modem.stats()["state"] == "lost"
    assert not far.has_call()
    modem.wait_stats(state="idle")
    device.send(b"two")
    far.take().wait(b"two")
    assert modem.stats()["thrown"] == 30 * len(b"into nothing")


def test_a_broker_that_is_not_there(far, start):
    port = free_port()
    with Modem(port, "--redial-idle", 20) as modem:
        device = plug(modem)
        device.send(b"a")
        wait_for(lambda: modem.stats()["refused"] == 1, what="refused")
        modem.wait_stats(state="idle")
        listener = socket.create_server(("127.0.0.1", port))
        device.send(b"b")
        broker = End(listener.accept()[0])
        broker.wait(b"b")
        broker.close()
        device.close()
        listener.close()


def test_idle_hangup(far, start):
    modem, device = start("--idle-hangup", 100)
    device.send(b"a")
    far.take().wait(b"a").wait_closed()
    modem.wait_stats(state="idle")
    device.send(b"b")
    far.take().wait(b"b").wait_closed()
    modem.wait_stats(asked=2)


def test_a_tcp_client_sees_the_end_of_a_call(far, start):
    _, device = start("--close-device")
    device.send(b"a")
    far.take().send(b"last words").close()
    device.wait(b"last words").wait_closed()


def test_what_a_device_said_last_reaches_the_broker(far, start):
    modem, device = start("--delay", 100, "--split", 1)
    device.send(b"a")
    broker = far.take()
    device.send(b" and goodbye")
    device.close()
    broker.wait(b"a and goodbye").wait_closed()
    modem.wait_stats(device=0)


def test_a_new_connection_takes_the_line_over(far, start):
    modem, device = start()
    device.send(b"old")
    old = far.take().wait(b"old")
    other = plug(modem).send(b"new")
    far.take().wait(b"new")
    old.wait_closed()
    device.wait_closed()
    assert modem.stats()["devices"] == 2
    other.close()


# ---- faults -------------------------------------------------------------------------------------


def test_split_and_delay(far, start):
    modem, device = start("--split", "3,up", "--delay", "80,down")
    text = b"in pieces of three bytes"
    begin = time.monotonic()
    device.send(text)
    broker = far.take().wait(text)
    assert time.monotonic() - begin >= (len(text) / 3 - 1) * 0.001
    assert max(map(len, broker.reads)) < len(text), "it came in one piece"
    begin = time.monotonic()
    broker.send(b"late")
    device.wait(b"late")
    assert time.monotonic() - begin >= 0.079
    modem.command("delay", 0)
    modem.command("split", 0, "up")
    begin = modem.stats()["call_up"]
    device.send(text)
    broker.wait(text + text)


def fate(far, start, data, pieces, seed, *arguments):
    """What arrives of data that is sent in so many pieces."""
    modem, device = start(*arguments, seed=seed)
    size = len(data) // pieces
    for at in range(0, len(data), size):
        device.send(data[at:at + size])
    broker = far.take()
    device.close()
    broker.wait_closed()
    stats = modem.stats()
    return broker.data, stats["up_dropped"], stats["up_garbled"]


def test_chance_comes_from_the_seed_alone(far, start):
    data = noise(20_000)
    arguments = ("--garble", "0.02", "--drop", "0.01")
    whole = fate(far, start, data, 1, 5, *arguments)
    assert fate(far, start, data, 100, 5, *arguments) == whole
    assert fate(far, start, data, 1, 6, *arguments)[0] != whole[0]
    arrived, dropped, garbled = whole
    assert len(arrived) == len(data) - dropped
    assert 120 < dropped < 290 and 300 < garbled < 500
    assert fate(far, start, data, 1, 5, "--garble", "0.02", "--drop", "0.01,down")[1] == 0


def test_garbling_flips_one_bit(far, start):
    data = noise(20_000)
    arrived, _, garbled = fate(far, start, data, 1, 3, "--garble", "0.01,up")
    changed = [a ^ b for a, b in zip(arrived, data) if a != b]
    assert len(changed) == garbled > 100
    assert {bin(change).count("1") for change in changed} == {1}
    assert len(set(changed)) == 8  # Each bit has its turn.


def test_kill_after_cuts_at_the_byte(far, start):
    modem, device = start("--kill-after", "10,up", "--redial-idle", 20)
    device.send(b"0123456789abc")
    far.take().wait(b"0123456789").wait_closed()
    modem.wait_stats(state="idle", killed=1)
    modem.command("kill-after", 0)
    modem.command("kill-after", 4, "down")
    device.send(b"again")
    broker = far.take().wait(b"again").send(b"0123456789")
    device.wait(b"0123")
    broker.wait_closed()
    assert modem.stats()["killed"] == 2


def test_hangup(far, start):
    modem, device = start("--redial-idle", 20)
    assert modem.command("hangup") == "there was no call"
    device.send(b"a")
    broker = far.take().wait(b"a")
    assert modem.command("hangup") == ""
    broker.wait_closed()
    modem.wait_stats(state="idle")
    device.send(b"b")
    far.take().wait(b"b")


def test_half_open_keeps_the_sockets_and_passes_nothing(far, start):
    modem, device = start("--redial-idle", 20)
    device.send(b"a")
    broker = far.take().wait(b"a")
    modem.command("half-open")
    device.send(b"lost")
    broker.send(b"lost as well")
    modem.wait_stats(swallowed=len(b"lostlost as well"), state="up")
    stays(lambda: not device.read() and not broker.read() and not device.is_closed and not broker.is_closed, 0.1)
    modem.command("resume")
    device.send(b"b")
    broker.send(b"c").wait(b"ab")
    device.wait(b"c")


def test_the_broker_keeps_a_half_open_call_while_the_device_makes_another(far, start):
    modem, device = start()
    device.send(b"a")
    old = far.take().wait(b"a")
    modem.command("half-open")
    device.close()
    wait_for(lambda: modem.stats()["device"] == 0, what="unplugged")
    other = plug(modem).send(b"b")
    far.take().wait(b"b")
    stays(lambda: not old.read() and not old.is_closed, 0.1)
    assert modem.stats()["ghosts"] == 1
    old.close()
    modem.wait_stats(ghosts=0)
    other.close()


def test_stall_holds_everything_back(far, start):
    modem, device = start()
    device.send(b"a")
    broker = far.take().wait(b"a")
    modem.command("stall")
    device.send(b"b")
    broker.send(b"c")
    stays(lambda: not device.read() and not broker.read(), 0.1)
    modem.command("resume")
    broker.wait(b"ab")
    device.wait(b"c")


@pytest.mark.parametrize("arguments", [[], ["--split", "4096"], ["--delay", "20"]], ids=["plain", "split", "delay"])
def test_buffers_are_bounded_and_nothing_is_lost(far, start, arguments):
    """The far end reads nothing for a while: the device is held back, memory stays as it is."""
    modem, device = start(*arguments)
    data = noise(8_000_000)
    device.socket.settimeout(0.3)
    sent = 0
    rss = modem.rss_kb()
    try:
        while sent < len(data):
            sent += device.socket.send(data[sent:sent + 65536])
    except TimeoutError:
        pass
    assert sent < len(data), "8 MB went into a line that nobody reads"
    assert modem.stats()["waiting_up"] <= 65536 + 8192
    assert modem.rss_kb() < rss + 2000
    broker = far.take()
    broker.wait(data[:sent])


# ---- framed -------------------------------------------------------------------------------------


def test_the_checks_of_both_implementations_agree():
    assert crc_x25(b"123456789") == 0x906E


def call_up(far, device, call=1, largest=200):
    device.send(dial(call, largest))
    broker = far.take()
    assert device.wait_frames(1) == [(CONNECTED, 0, call.to_bytes(2, "little") + (1024).to_bytes(2, "little"))]
    device.data = b""
    return broker


def test_framed_call(far, start):
    modem, device = start("--framed")
    broker = call_up(far, device, largest=10)
    device.send(frame(DATA, b"~hello}", 0) + frame(DATA, b" world", 1))
    broker.wait(b"~hello} world").send(b"\x7e\x7d" * 10)
    frames = device.wait_frames(2)
    assert b"".join(content for _, _, content in frames) == b"\x7e\x7d" * 10
    assert [number for _, number, _ in frames] == list(range(len(frames)))
    assert max(len(content) for _, _, content in frames) == 10
    device.data = b""
    broker.close()
    assert device.wait_frames(1) == [(HANG_UP, 0, b"\1\0" + bytes([CARRIER]))]
    device.data = b""
    device.send(frame(DATA, b"into nothing", 2))
    assert device.wait_frames(1) == [(HANG_UP, 0, b"\0\0" + bytes([NO_CALL]))]
    device.data = b""
    call_up(far, device, 2).send(b"x")
    assert device.wait_frames(1) == [(DATA, 0, b"x")]
    assert modem.stats()["calls"] == 2


def test_framed_dial_that_nobody_answers(far):
    with Modem(free_port(), "--framed") as modem:
        device = plug(modem).send(dial(7))
        assert device.wait_frames(1) == [(HANG_UP, 0, b"\7\0" + bytes([UNREACHABLE]))]
        device.close()


def test_framed_hang_up_lets_the_last_bytes_pass(far, start):
    modem, device = start("--framed", "--split", "1,up")
    broker = call_up(far, device)
    device.send(frame(DATA, b"my last words", 0) + hang_up(1) + dial(2))
    broker.wait(b"my last words").wait_closed()
    broker.close()
    far.take()
    assert device.wait_frames(1) == [(CONNECTED, 0, b"\2\0\0\4")]
    assert modem.stats()["asked"] == 1


def test_a_device_that_reboots_dials_over_the_old_call(far, start):
    modem, device = start("--framed")
    old = call_up(far, device, 1)
    device.send(frame(DATA, b"a", 0))
    old.wait(b"a")
    for cut, call in ((b"\x7e half a frame", 8), (b"", 9), (b"", 9)):  # Also the same number: data has passed.
        device.send(cut + dial(call))
        new = far.take()
        old.wait_closed()
        old = new
        device.send(frame(DATA, b"b", 0))
        old.wait(b"b")
    assert modem.stats()["bad_frames"] == 1
    assert [kind for kind, _, _ in device.wait_frames(4)].count(CONNECTED) == 3


def test_a_repeated_dial_is_answered_again(far, start):
    modem, device = start("--framed")
    broker = call_up(far, device, 3)
    device.send(dial(3))
    assert device.wait_frames(1)[0][0] == CONNECTED
    device.send(frame(DATA, b"a", 0))
    broker.wait(b"a")
    assert modem.stats()["calls"] == 1


@pytest.mark.parametrize("what", ["flipped", "missing", "repeated"])
def test_a_frame_that_is_not_right_ends_the_call(far, start, what):
    modem, device = start("--framed")
    broker = call_up(far, device)
    first, second, third = (frame(DATA, b"value %d" % n, n) for n in range(3))
    wrong = {"flipped": second[:5] + bytes([second[5] ^ 4]) + second[6:], "missing": b"", "repeated": first}[what]
    device.send(first + wrong + third)
    assert device.wait_frames(1)[0] == (HANG_UP, 0, b"\1\0" + bytes([FRAME]))
    broker.wait_closed()
    assert broker.data in (b"value 0", b""), "what came behind the damage was passed on"
    assert modem.stats()["bad_frames"] == 1


def test_a_garbling_line_with_frames_never_passes_a_wrong_byte(far, start):
    """200 calls of 40 frames: what arrives is always the beginning of what was sent."""
    modem, device = start("--framed", "--garble", "0.002", "--drop", "0.0005", seed=11)
    contents = [b"reading %04d ~}" % n for n in range(40)]
    whole, broken = b"".join(contents), 0
    for call in range(1, 201):
        device.data = b""
        connected = CONNECTED, 0, call.to_bytes(2, "little") + b"\0\4"

        def is_up(call=call, connected=connected):
            device.send(dial(call))
            device.read(0.02)
            return connected in device.frames()
        wait_for(is_up, what=f"call {call}", step=0)
        for n, content in enumerate(contents):
            device.send(frame(DATA, content, n))
        device.send(hang_up(call) + b"\x7e")
        while far.has_call():  # A dial whose answer was damaged is followed by others.
            pass
        modem.command("stats")
        far.ends[-1].wait_closed()
        arrived = far.ends[-1].data
        assert whole.startswith(arrived)
        broken += arrived != whole
        for end in far.ends:
            end.close()
        far.ends.clear()
    stats = modem.stats()
    assert stats["up_garbled"] > 100 and broken > 50
    assert stats["bad_frames"] > 50


def test_half_open_with_frames(far, start):
    modem, device = start("--framed")
    old = call_up(far, device, 1)
    modem.command("half-open")
    device.send(frame(DATA, b"lost", 0))
    modem.wait_stats(swallowed=4)
    broker = call_up(far, device, 2)  # A new call is whole, and the broker still has the old one.
    device.send(frame(DATA, b"a", 0))
    broker.wait(b"a")
    stays(lambda: not old.read() and not old.is_closed, 0.05)
    modem.command("half-open")
    broker.close()
    stays(lambda: not device.read(), 0.1)  # Nobody tells the device.
    modem.command("resume")
    assert device.wait_frames(1)[-1] == (HANG_UP, 0, b"\2\0" + bytes([CARRIER]))


# ---- control and command line -------------------------------------------------------------------


def test_control_answers_every_line_with_one_line(start):
    modem, _ = start()
    with socket.create_connection(("127.0.0.1", modem.control_port), DEADLINE_S) as control:
        control.sendall(b"delay 5 up\nnonsense\ndelay\ndelay 1.5\ngarble 2\ndrop 0.1 left\nhalf-open\n\nhelp\nstats\n")
        lines = control.makefile("r")
        answers = [lines.readline().rstrip("\n") for _ in range(10)]
    assert answers[0] == "ok"
    assert [answer.split()[0] for answer in answers[1:8]] == ["error"] * 7
    assert "nonsense" in answers[1] and "help" in answers[1]
    assert "probability from 0 to 1" in answers[4]
    assert "up, down or both" in answers[5]
    assert "no call" in answers[6]
    assert answers[8].startswith("ok delay|split") and answers[9].startswith("ok state=idle")


def test_control_ends_a_line_without_end(start):
    modem, _ = start()
    with socket.create_connection(("127.0.0.1", modem.control_port), DEADLINE_S) as control:
        control.sendall(b"x" * 300)
        assert End(control).wait_closed().data == b""
    assert modem.stats()["state"] == "idle"


def test_control_by_path(tmp_path):
    path = tmp_path / "control"
    program = subprocess.Popen([MODEM, "--broker", "1", "--control", path], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline().endswith(f"control={path}\n")
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(path))
        control.sendall(b"stats\n")
        assert control.makefile("r").readline().startswith("ok ")
    program.terminate()
    assert program.wait(DEADLINE_S) == 0
    assert not path.exists()


def run(*arguments):
    return subprocess.run([MODEM, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE_S)


@pytest.mark.parametrize("arguments, said", [
    ([], "--broker PORT is needed"),
    (["--broker", "0"], "from 1 to 65535"),
    (["--broker", "1", "--garble", "1.5"], "probability from 0 to 1"),
    (["--broker", "1", "--split", "2,sideways"], "up, down or both"),
    (["--broker", "1", "--dial", "never"], "on-byte or at-once"),
    (["--broker", "1", "--framed", "--dial", "at-once"], "with --framed"),
    (["--broker", "1", "more"], "no arguments"),
    (["--nonsense"], "unrecognized option"),
])
def test_wrong_usage(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_help_and_a_port_that_is_taken(tmp_path, far):
    done = run("--help")
    assert done.returncode == 0 and "--redial-idle" in done.stdout and not done.stderr
    done = run("--broker", 1, "--listen", far.port)
    assert done.returncode == 1 and f"127.0.0.1:{far.port}" in done.stderr
    (tmp_path / "file").write_text("mine")
    done = run("--broker", 1, "--control", tmp_path / "file")
    assert done.returncode == 1 and (tmp_path / "file").read_text() == "mine"


# ---- a real broker ------------------------------------------------------------------------------


def test_a_client_behind_a_slow_line_in_single_bytes(broker):
    with Modem(broker.port, "--split", 1, "--delay", 5, "--close-device") as modem, \
            Subscriber(broker.port, "out/#") as near, Subscriber(modem.port, "in/#") as behind:
        for n in range(20):
            behind.publish(f"out/{n}", f"value {n}".encode())
            near.publish(f"in/{n}", f"command {n}".encode())
        assert [m.text() for m in near.wait(20)] == [f"value {n}" for n in range(20)]
        assert [m.text() for m in behind.wait(20)] == [f"command {n}" for n in range(20)]
        assert modem.stats()["calls"] == 1


def test_a_client_comes_back_after_a_hangup(broker):
    with Modem(broker.port, "--close-device") as modem, Subscriber(broker.port, "out/#") as near, \
            Client(modem.port, "behind") as behind:
        for n in range(3):
            behind.publish("out/a", f"value {n}".encode()).wait_for_publish()
            near.wait(n + 1)
            modem.command("hangup")
            wait_for(lambda: not behind.connected.is_set(), what="the client notices")
            behind.wait_connected()
        assert modem.stats()["calls"] == 4
