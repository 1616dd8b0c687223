"""What the interoperability tests are made of: the SDK's client as a program of its own, and a broker
that is not mosquitto."""

import itertools
import json
import os
import pathlib
import subprocess
import threading

from harness import BUILD, DEADLINE_S, ROOT, Process, free_port, is_listening, wait_for

HERE = pathlib.Path(__file__).resolve().parent
NODE = pathlib.Path(os.environ.get("PIPIT_NODE", ROOT / "build" / "node"))
NODE_ENV = {**os.environ, "PIPIT_NODE": str(NODE)}
PROGRAMS = BUILD / "tests" / "interop"

# enum pipit_err
OK, SIZE, UNREACHABLE, REFUSED = 0, -3, -12, -13


def node_script(name):
    """The command that runs a script of this folder with the packages of package.json."""
    assert (NODE / "node_modules").is_dir(), f"no Node.js packages in {NODE}: run ./dev setup"
    return ["node", HERE / name]


class Aedes(Process):
    """npm's aedes, with the face of harness.Broker. It keeps nothing over a restart."""

    def __init__(self, user=None, password=None):
        super().__init__("aedes")
        self.port = free_port()
        self.arguments = [user, password] if user else []

    def start(self):
        self.launch(node_script("aedes.mjs") + [self.port] + self.arguments, env=NODE_ENV)
        wait_for(lambda: is_listening(self.port) or not self.is_running(), what="aedes listens")
        assert self.is_running(), f"aedes did not start:\n{self.tail()}"
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


class Received:
    """One PIPIT_LINK_MESSAGE. qos is None where the link does not say (paho)."""

    def __init__(self, event):
        self.topic = event["topic"]
        self.payload = bytes.fromhex(event["payload"])
        self.qos = event["qos"] if event["qos"] >= 0 else None
        self.rc = event["rc"]

    def __repr__(self):
        return f"<{self.topic} {self.payload[:40]!r} qos {self.qos} rc {self.rc}>"


class Peer(Process):
    """client-peer: the SDK's own client, or its paho port. link: "own" or "paho"."""

    def __init__(self, port, client_id, link="own", **options):
        super().__init__(f"{link} {client_id}")
        self.link = link
        self.events = []
        self._tokens = itertools.count(1)
        words = [f"{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.popen = subprocess.Popen(
            [str(PROGRAMS / "client-peer"), link, str(port), client_id] + words,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read_events, daemon=True)
        self._reader.start()

    def _read_events(self):
        for line in self.popen.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.lines.append(text)
            if text.startswith("{"):
                self.events.append(json.loads(text))

    def send(self, *words):
        self.send_all([words])

    def send_all(self, lines):
        text = "".join(" ".join(map(str, words)) + "\n" for words in lines)
        self.popen.stdin.write(text.encode())
        self.popen.stdin.flush()

    # ---- what it said

    def of(self, kind, **values):
        return [event for event in list(self.events)
                if event["event"] == kind and all(event[k] == v for k, v in values.items())]

    def wait_for(self, kind, count=1, deadline=DEADLINE_S, **values):
        """The count-th event of the kind with these values."""
        wait_for(lambda: len(self.of(kind, **values)) >= count or not self.is_running(), deadline,
                 lambda: f"{count} x {kind} {values} of {self.name}:\n{self.tail()}", step=0.005)
        assert len(self.of(kind, **values)) >= count, f"{self.name} ended:\n{self.tail()}"
        return self.of(kind, **values)[count - 1]

    @property
    def messages(self):
        return [Received(event) for event in self.of("message")]

    def wait_messages(self, count, deadline=DEADLINE_S):
        self.wait_for("message", count, deadline)
        return self.messages

    # ---- what it is told

    def connect(self):
        ups = len(self.of("up"))
        self.send("connect")
        self.wait_for("up", ups + 1)
        return self

    def subscribe(self, topic_filter, qos=2):
        token = next(self._tokens)
        self.send("sub", token, qos, topic_filter)
        return self.wait_for("acked", token=token)["rc"]

    def unsubscribe(self, topic_filter):
        token = next(self._tokens)
        self.send("unsub", token, topic_filter)
        return self.wait_for("acked", token=token)["rc"]

    def publish_all(self, topic, payloads, qos, retain=False):
        """Gives the tokens; publish_all and acknowledged are one after the other."""
        tokens = [next(self._tokens) for _ in payloads]
        self.send_all([("pub", token, qos, int(retain), topic, payload.hex())
                       for token, payload in zip(tokens, payloads)])
        return tokens

    def acknowledged(self, tokens, deadline=DEADLINE_S):
        """Waits until all are settled; gives the results."""
        def all_there():
            return set(tokens) <= {event["token"] for event in self.of("acked")}
        wait_for(all_there, deadline, lambda: f"{len(tokens)} acknowledgements of {self.name}:\n{self.tail(5)}")
        results = {event["token"]: event["rc"] for event in self.of("acked")}
        return [results[token] for token in tokens]

    def publish(self, topic, payload, qos=1, retain=False):
        tokens = self.publish_all(topic, [payload], qos, retain)
        return self.acknowledged(tokens)[0]

    def disconnect(self):
        downs = len(self.of("down"))
        self.send("disconnect")
        return self.wait_for("down", downs + 1)

    def close(self):
        """End of input: it leaves without DISCONNECT; its exit code tells of the sanitizers."""
        if self.is_running():
            self.popen.stdin.close()
            assert self.wait() == 0, f"{self.name} gave {self.returncode()}:\n{self.tail()}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.kill()
