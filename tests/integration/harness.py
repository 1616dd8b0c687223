"""What the system tests are made of: a broker, a hub, a subscriber, and waiting for facts.

Everything listens on 127.0.0.1 on ports that are asked for, is ended by its own process id, and is
waited for by a fact with a deadline.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PIPIT_BUILD", ROOT / "build" / "dev"))
PIPIT = BUILD / "hub" / "pipit"
# For every program that the tests start with sanitizers built in.
os.environ.setdefault("LSAN_OPTIONS", f"suppressions={ROOT}/tests/lsan.supp:print_suppressions=0")
os.environ.setdefault("TSAN_OPTIONS", f"suppressions={ROOT}/tests/tsan.supp")
DEADLINE_S = float(os.environ.get("PIPIT_TEST_DEADLINE", "30"))


def wait_for(fact, deadline=DEADLINE_S, what=None, step=0.02):
    """Calls fact until it gives something true and returns that; fails after deadline seconds."""
    end = time.monotonic() + deadline
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > end:
            name = what() if callable(what) else what or getattr(fact, "__name__", "fact")
            raise AssertionError(f"not within {deadline} s: {name}")
        time.sleep(step)


def stays(fact, seconds, what=None, step=0.05):
    """Asserts that fact remains true for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert fact(), what or "did not stay so"
        time.sleep(step)


_given_ports = set()


def free_port():
    """A port that was free a moment ago, never given twice in this process."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def is_listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A child whose output is kept line by line."""

    def __init__(self, name):
        self.name = name
        self.popen = None
        self.lines = []
        self._reader = None

    def launch(self, argv, env=None, cwd=None):
        assert not self.is_running(), f"{self.name} runs already"
        self.popen = subprocess.Popen(
            [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=env, cwd=cwd)
        self._reader = threading.Thread(target=self._read, args=(self.popen.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream):
        for line in stream:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def returncode(self):
        return None if self.popen is None else self.popen.poll()

    def signal(self, number):
        if self.is_running():
            self.popen.send_signal(number)

    def wait(self, deadline=DEADLINE_S):
        """The exit code; what was printed has been read by then."""
        try:
            self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline} s:\n{self.tail()}")
        self._reader.join(5)
        return self.popen.returncode

    def kill(self):
        """SIGKILL, and gone when it returns."""
        if self.popen is not None:
            self.signal(signal.SIGKILL)
            self.wait()

    def terminate(self, deadline=DEADLINE_S):
        """SIGTERM; gives the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline)

    def tail(self, count=40):
        return "\n".join(self.lines[-count:])

    def rss_kb(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))


class Broker(Process):
    """A mosquitto of its own. The port stays the same over restarts.

    conf: a whole configuration instead of the generated one; {port} and {dir} are replaced.
    conf_extra: lines added to the generated one, replaced likewise.
    """

    LIMITS = ("max_inflight_messages 0\nmax_queued_messages 0\nmax_queued_bytes 0\n"
              "sys_interval 1\n")

    def __init__(self, conf_extra="", persistence=False, conf=None, limits=LIMITS, listen=None):
        super().__init__("mosquitto")
        self.port = free_port()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pipit-broker-"))
        self.dir.chmod(0o755)
        self.persistence = persistence
        self.conf = conf
        self.conf_extra = conf_extra
        self.limits = limits
        self.listen = listen or "listener {port} 127.0.0.1\nallow_anonymous true\n"

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def fill(self, text):
        return text.replace("{port}", str(self.port)).replace("{dir}", str(self.dir))

    def conf_text(self):
        if self.conf is not None:
            return self.fill(self.conf)
        text = self.listen + self.limits + self.conf_extra
        if self.persistence:
            text += "\npersistence true\npersistence_location {dir}/\nautosave_interval 1\n"
        if os.geteuid() == 0:
            text += "\nuser root\n"
        return self.fill(text)

    def start(self):
        path = self.dir / "mosquitto.conf"
        path.write_text(self.conf_text())
        self.launch([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", path])
        wait_for(lambda: is_listening(self.port) or not self.is_running(), what="broker listens")
        assert self.is_running(), f"mosquitto did not start:\n{self.tail()}"
        return self

    def stop(self):
        """SIGTERM: it saves its state if it has persistence."""
        if self.is_running():
            self.terminate()

    def cleanup(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.cleanup()


class Hub(Process):
    """`pipit hub` on a configuration in a folder. {dir} in the text is that folder.

    faults=True sets PIPIT_TEST_FAULTS=1; wrap is put before the command (strace, eatmydata).
    """

    def __init__(self, config_text, dir, faults=False, wrap=(), env=None, arguments=()):
        super().__init__("pipit hub")
        self.dir = pathlib.Path(dir)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.config = self.dir / "hub.yaml"
        self.write_config(config_text)
        self.wrap = list(wrap)
        self.arguments = list(arguments)
        self.env = {**os.environ, **(env or {})}
        if faults:
            self.env["PIPIT_TEST_FAULTS"] = "1"
        self.starts = []  # Index into lines of each start.

    def write_config(self, text):
        self.config.write_text(text.replace("{dir}", str(self.dir)))

    def start(self):
        self.starts.append(len(self.lines))
        self.launch(self.wrap + [PIPIT, "hub", "-c", self.config] + self.arguments, env=self.env)
        return self

    @property
    def pid(self):
        """Of the hub itself: a wrapper such as strace has it as its child."""
        if self.wrap:
            children = pathlib.Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children")
            try:
                found = children.read_text().split()
            except OSError:
                found = []
            if found:
                return int(found[0])
        return self.popen.pid

    def signal(self, number):
        if self.is_running():
            try:
                os.kill(self.pid, number)  # strace keeps signals to itself.
            except ProcessLookupError:
                pass

    def log_lines(self, *parts, all_runs=False):
        """The log lines of this run (or of all) that hold every part, such as 'id=INTAKE-UP'."""
        lines = self.lines if all_runs or not self.starts else self.lines[self.starts[-1]:]
        return [line for line in lines if all(part in line for part in parts)]

    def wait_log(self, *parts, deadline=DEADLINE_S, count=1):
        def fact():
            found = self.log_lines(*parts)
            if len(found) < count and not self.is_running():
                time.sleep(0.1)  # What it said last may still be in the pipe.
                found = self.log_lines(*parts)
                if len(found) < count:
                    raise AssertionError(f"the hub ended ({self.returncode()}) without "
                                         f"{parts}:\n{self.tail()}")
            return found if len(found) >= count else None
        return wait_for(fact, deadline, lambda: f"{count} x {parts} in the log:\n{self.tail()}")

    def wait_ready(self, sources=1, deadline=DEADLINE_S):
        """Until that many sources are connected and subscribed."""
        self.wait_log("id=INTAKE-UP", count=sources, deadline=deadline)
        return self

    def run(self, *arguments, check=True, deadline=DEADLINE_S, **more):
        """Another command of the same binary with this configuration, e.g. run('status')."""
        return pipit(*arguments, "-c", self.config, check=check, deadline=deadline, env=self.env, **more)

    def status(self):
        """What `pipit status --json` says, as a dict."""
        return json.loads(self.run("status", "--json").stdout)

    def cleanup(self):
        self.kill()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.cleanup()


def pipit(*arguments, check=True, deadline=DEADLINE_S, **more):
    """Runs the binary to its end."""
    done = subprocess.run([str(PIPIT)] + [str(a) for a in arguments], capture_output=True,
                          text=True, timeout=deadline, **more)
    assert not check or done.returncode == 0, \
        f"pipit {' '.join(map(str, arguments))} gave {done.returncode}:\n{done.stdout}{done.stderr}"
    return done


class Message:
    """topic, payload (bytes), qos, is_retained, content_type, properties (dict), at (seconds)."""

    def __init__(self, paho_message):
        self.topic = paho_message.topic
        self.payload = paho_message.payload
        self.qos = paho_message.qos
        self.is_retained = bool(paho_message.retain)
        self.at = time.monotonic()
        properties = getattr(paho_message, "properties", None)
        self.content_type = getattr(properties, "ContentType", None)
        self.properties = dict(getattr(properties, "UserProperty", []))

    def json(self):
        return json.loads(self.payload)

    def text(self):
        return self.payload.decode()

    @property
    def key(self):
        return self.properties.get("idempotency-key")

    def __repr__(self):
        return f"<{self.topic} {self.payload[:80]!r} {self.properties}>"


class Client:
    """An MQTT 5 client of the tests (paho), connected when made. Reconnects by itself."""

    def __init__(self, port, client_id="", username=None, password=None, host="127.0.0.1",
                 clean=True, expiry_s=0):
        self.connected = threading.Event()
        self.connack_code = None
        self.subacks = {}
        self.pubacks = {}
        self.messages = []
        self._subscriptions = []
        self.paho = paho.Client(client_id, protocol=paho.MQTTv5)
        self.paho.max_inflight_messages_set(1000)
        self.paho.max_queued_messages_set(0)
        self.paho.reconnect_delay_set(1, 1)
        if username is not None:
            self.paho.username_pw_set(username, password)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = lambda *_: self.connected.clear()
        self.paho.on_message = lambda _c, _u, message: self.messages.append(Message(message))
        self.paho.on_subscribe = self._on_subscribe
        self._properties = Properties(PacketTypes.CONNECT)
        self._properties.SessionExpiryInterval = expiry_s
        self.paho.connect(host, port, keepalive=30, clean_start=clean,
                          properties=self._properties)
        self.paho.loop_start()

    def _on_connect(self, _client, _user, _flags, code, _properties=None):
        self.connack_code = code.value if hasattr(code, "value") else int(code)
        if self.connack_code == 0:
            for topic, qos in self._subscriptions:
                self.paho.subscribe(topic, options=SubscribeOptions(qos=qos))
            self.connected.set()

    def _on_subscribe(self, _client, _user, mid, codes, _properties=None):
        self.subacks[mid] = [getattr(code, "value", code) for code in codes]

    def wait_connected(self, deadline=DEADLINE_S):
        assert self.connected.wait(deadline), f"not connected (CONNACK {self.connack_code})"
        return self

    def subscribe(self, topic, qos=1, deadline=DEADLINE_S):
        """Gives the SUBACK code (128 and more: refused)."""
        self.wait_connected()
        self._subscriptions.append((topic, qos))
        _, mid = self.paho.subscribe(topic, options=SubscribeOptions(qos=qos))
        return wait_for(lambda: self.subacks.get(mid), deadline, f"SUBACK for {topic}")[0]

    def publish(self, topic, payload=b"", qos=1, retain=False, content_type=None, properties=()):
        """Gives paho's handle; publish(...).wait_for_publish() waits for the broker's answer."""
        packet = Properties(PacketTypes.PUBLISH)
        if content_type:
            packet.ContentType = content_type
        if properties:
            packet.UserProperty = list(dict(properties).items())
        return self.paho.publish(topic, payload, qos, retain, packet)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def __enter__(self):
        return self.wait_connected()

    def __exit__(self, *_):
        self.close()


class Subscriber(Client):
    """Collects the messages of some topic filters: subscriber.messages, .on(topic), .wait(n)."""

    def __init__(self, port, *filters, qos=1, **more):
        super().__init__(port, **more)
        self.wait_connected()
        for topic in filters or ("#",):
            code = self.subscribe(topic, qos)
            assert code < 128, f"{topic}: subscription refused with {code}"

    def on(self, topic_filter):
        return [m for m in list(self.messages) if paho.topic_matches_sub(topic_filter, m.topic)]

    def wait(self, count, topic_filter="#", deadline=DEADLINE_S):
        """At least count messages of the filter; returns them."""
        wait_for(lambda: len(self.on(topic_filter)) >= count, deadline,
                 lambda: f"{count} messages on {topic_filter}, "
                         f"there are {len(self.on(topic_filter))}")
        return self.on(topic_filter)


class Collector(Subscriber):
    """A subscriber whose session outlives its connections: what a broker with persistence owes it
    comes after an orderly restart of that broker. (mosquitto 2.0.11 saves no session that was
    begun with clean start.)"""

    def __init__(self, port, *filters, client_id="collector", **more):
        super().__init__(port, *filters, client_id=client_id, clean=False, expiry_s=86400, **more)
