"""The commands that act as devices or watch them: publish, fleet, tail, command. Where the broker's
word is enough (--wait puback) no hub runs, so that each command is seen by itself."""

import fcntl
import gzip
import json
import os
import pty
import random
import signal
import subprocess
import termios
import threading
import time

import pytest

from harness import PIPIT, ROOT, Broker, Subscriber, free_port, pipit, wait_for

DATA = ROOT / "tests" / "data" / "environment_telemetry.ndjson.gz"


@pytest.fixture(scope="module")
def broker():
    with Broker() as running:
        yield running


def watch(broker, *topics):
    return Subscriber(broker.port, *topics)


class Tail:
    """`pipit tail --json`, seen to watch when made."""

    def __init__(self, broker):
        self.messages = []
        self.popen = subprocess.Popen([PIPIT, "tail", "--url", broker.url, "--json"],
                                      stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        marker = f"marker/{random.getrandbits(64):x}"

        def is_watching():
            subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-t", marker, "-m", "1"], check=True)
            return any(message["topic"] == marker for message in self.messages)
        wait_for(is_watching, what="tail shows the marker")

    def _read(self):
        for line in self.popen.stdout:
            self.messages.append(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.terminate()
        self.popen.wait(10)


def decoded(broker, part_of_topic, *arguments, count=1):
    """Runs `pipit <arguments>` and gives what `pipit tail --json` showed of it."""
    with Tail(broker) as tail:
        result = pipit(*arguments, "--url", broker.url)

        def fact():
            found = [m for m in list(tail.messages) if part_of_topic in m["topic"] and not m["retained"]]
            return found if len(found) >= count else None
        return result, wait_for(fact, what=f"{count} messages on {part_of_topic}")


def test_publish_infers_types_and_takes_given_ones(broker):
    _, messages = decoded(
        broker, "/event/climate/inside", "publish", "--device", "plant/p1", "--type",
        "climate/inside", "--wait", "puback", "temp=27.1", "n:float=3.3", "light=true", "count=-5",
        "big=18446744073709551615", "note=hello world", "five:text=5", "raw:data=00fF", "empty=",
        "hex=0x10", "colon:int=1")
    assert messages[0]["fields"] == {
        "temp": 27.1, "n": 3.3, "light": True, "count": -5, "big": pytest.approx(2.0 ** 64), "note": "hello world",
        "five": "5", "raw": {"hex": "00ff"}, "empty": "", "hex": "0x10", "colon": 1}
    assert messages[0]["device"] == "plant/p1" and messages[0]["type"] == "climate/inside"
    assert messages[0]["sequence"] == 1


def test_publish_payload_with_content_type(broker, tmp_path):
    (tmp_path / "p.json").write_text('{"a": [1, 2]}')
    _, messages = decoded(broker, "p2/event/doc", "publish", "--device", "plant/p2", "--type", "doc",
                          "--wait", "puback", "--payload", tmp_path / "p.json", "--content-type",
                          "application/json", "--time", "1594598735772")
    assert messages[0]["payload"] == {"a": [1, 2]}
    assert messages[0]["content_type"] == "application/json"
    assert messages[0]["time"] == 1594598735772


@pytest.mark.parametrize("why, arguments, text", [
    ("no group", ["--device", "p1", "--type", "t", "x=1"], "GROUP/NAME"),
    ("a wildcard in the type", ["--device", "a/b", "--type", "t/+", "x=1"], "topic level"),
    ("not a field", ["--device", "a/b", "--type", "t", "x"], "NAME=VALUE"),
    ("an unknown type names the nearest", ["--device", "a/b", "--type", "t", "x:flot=1"],
     "did you mean float?"),
    ("a value of another type", ["--device", "a/b", "--type", "t", "x:int=1.5"], "type int"),
    ("an unknown option names the nearest", ["--devise", "a/b"], "did you mean --device?"),
    ("both fields and payload", ["--device", "a/b", "--type", "t", "--payload", "/dev/null", "x=1"],
     "not both"),
    ("something is required", ["--type", "t", "x=1"], "--device is required"),
    ("a URL of another kind", ["--device", "a/b", "--type", "t", "--url", "http://x", "x=1"], "mqtt://"),
])
def test_publish_refuses_in_words(why, arguments, text):
    done = pipit("publish", *arguments, check=False)
    assert done.returncode in (1, 2), why
    assert text in done.stderr, why


def test_publish_without_broker_says_so():
    done = pipit("publish", "--url", f"mqtt://127.0.0.1:{free_port()}", "--device", "a/b", "--type",
                 "t", "--timeout", "1s", "x=1", check=False)
    assert done.returncode == 5 and "not connected" in done.stderr, done.stderr


def test_publish_without_hub_says_what_to_check(broker):
    done = pipit("publish", "--url", broker.url, "--device", "a/b", "--type", "t", "--timeout", "1s",
                 "x=1", check=False)
    assert done.returncode == 5 and "no hub confirmed it" in done.stderr, done.stderr


def telemetry(path, count=None):
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()[:count]
    path.write_text("\n".join(lines) + "\n")
    return [json.loads(line) for line in lines]


def event_identity(payload):
    """(boot, sequence) of an event's first two fields, by protobuf's varints."""
    values, at = [], 0
    for _ in range(2):
        at += 1
        value = shift = 0
        while True:
            byte = payload[at]
            value |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if byte < 128:
                break
        values.append(value)
    return tuple(values)


def fleet_argv(broker, path, group, *more):
    return [PIPIT, "fleet", "--url", broker.url, "--file", path, "--fields", "data", "--time-field",
            "ts", "--group", group, "--wait", "puback", "--json", *more]


def test_fleet_replays_the_telemetry(broker, tmp_path):
    rows = telemetry(tmp_path / "t.ndjson")
    done = subprocess.run([str(a) for a in fleet_argv(broker, tmp_path / "t.ndjson", "real", "--count")],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["confirmed"] == outcome["accepted"] == len(rows) == 9995
    counts = {name: c["events"] for name, c in outcome["counts"].items()}
    assert counts == {"iot-device-01": 2713, "iot-device-02": 2611, "iot-device-03": 4671}


def test_fleet_continues_exactly_after_kills(broker, tmp_path):
    """No line twice, none skipped: by identity each line is one event, however often it was sent."""
    rows = telemetry(tmp_path / "t.ndjson", 4000)
    argv = [str(a) for a in fleet_argv(broker, tmp_path / "t.ndjson", "kill", "--spool",
                                       tmp_path / "spool", "--rate", "2000")]
    chance = random.Random(7)
    kills = 0
    with watch(broker, "pipit/v1/kill/+/event/#") as subscriber:
        while True:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            before = len(subscriber.messages)
            target = before + chance.randrange(100, 900)
            if kills < 5:
                wait_for(lambda: len(subscriber.messages) >= target or process.poll() is not None)
                process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=60)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, err
            kills += 1
        assert kills >= 3
        wait_for(lambda: len({(m.topic, event_identity(m.payload)) for m in list(subscriber.messages)})
                 >= len(rows), what="every line's event")
        events = {(m.topic, event_identity(m.payload)): None for m in subscriber.messages}
    assert len(events) == len(rows)
    per_device = {}
    for topic, identity in events:
        per_device.setdefault(topic, []).append(identity)
    for topic, identities in per_device.items():
        assert identities == sorted(identities), f"{topic}: out of order"
        device = topic.split("/")[3]
        assert len(identities) == sum(row["device"] == device for row in rows)


def test_fleet_flattens_and_reads_csv(broker, tmp_path):
    (tmp_path / "a.ndjson").write_text(
        '{"device": "d1", "where": {"lat": 1.5, "tags": ["x", true]}, "n": 3, "none": null}\n\n')
    _, messages = decoded(broker, "flat/d1/event", "fleet", "--file", tmp_path / "a.ndjson", "--group",
                          "flat", "--wait", "puback")
    assert messages[0]["fields"] == {"where.lat": 1.5, "where.tags.0": "x", "where.tags.1": True, "n": 3}
    (tmp_path / "a.csv").write_text('unit,temp,ok,note\r\nd2,1.5,true,"a, ""b"""\r\nd2,,false,\r\n')
    _, messages = decoded(broker, "csv/d2/event", "fleet", "--file", tmp_path / "a.csv", "--group", "csv",
                          "--device-field", "unit", "--wait", "puback", count=2)
    assert messages[0]["fields"] == {"temp": 1.5, "ok": True, "note": 'a, "b"'}
    assert messages[1]["fields"] == {"ok": False}


@pytest.mark.parametrize("name, written, accepted", [
    ("a.ndjson", None, 0),  # Nobody writes to it.
    ("a.csv", None, 0),
    ("a.csv", "", 0),  # Somebody does, but has not yet.
    ("a.ndjson", '{"device": "d", "x": 1}\n{"device": "d", ', 1),
    ("a.csv", "device,x\nd,1\nd,2", 1),
])
def test_fleet_ends_by_a_signal_while_its_pipe_is_silent(broker, tmp_path, name, written, accepted):
    pipe = tmp_path / name
    os.mkfifo(pipe)
    argv = [PIPIT, "fleet", "--url", broker.url, "--file", pipe, "--group", "pipe", "--wait", "puback", "--json"]
    process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    writer = None
    try:
        if written is None:
            wait_for(lambda: str(pipe) in open_files(process.pid), what="the pipe to be open")
        else:
            writer = open(pipe, "w", encoding="utf-8")  # Waits for the reader.
            writer.write(written)
            writer.flush()
            wait_for(lambda: is_read(writer), what="the pipe to be read")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert json.loads(out)["accepted"] == json.loads(out)["confirmed"] == accepted
    finally:
        process.kill()
        process.wait()
        if writer is not None:
            writer.close()


def open_files(pid):
    folder = f"/proc/{pid}/fd"
    found = set()
    for name in os.listdir(folder):
        try:
            found.add(os.readlink(f"{folder}/{name}"))
        except OSError:
            pass  # Closed meanwhile.
    return found


def is_read(pipe):
    waiting = fcntl.ioctl(pipe.fileno(), termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(waiting, "little") == 0


@pytest.mark.parametrize("why, name, text, message", [
    ("not JSON", "a.ndjson", '{"device": "d", "x": 1}\n{"device":\n', "a.ndjson:2:"),
    ("no device", "a.ndjson", '{"devise": "d"}\n', "a.ndjson:1: no text member 'device'"),
    ("open quotes", "a.csv", 'device,x\nd,"1\n', "a.csv:2:"),
    ("too many cells", "a.csv", "device,x\nd,1,2\n", "a.csv:2:"),
    ("an empty table", "a.csv", "", "is empty"),
])
def test_fleet_names_the_bad_line(broker, tmp_path, why, name, text, message):
    (tmp_path / name).write_text(text)
    done = pipit("fleet", "--url", broker.url, "--file", tmp_path / name, "--wait", "puback", check=False)
    assert done.returncode == 1 and message in done.stderr, f"{why}: {done.stderr}"


def test_fleet_makes_up_the_same_for_the_same_seed(broker):
    def values(seed):
        with watch(broker, f"pipit/v1/seed{seed}/+/event/#") as subscriber:
            pipit("fleet", "--url", broker.url, "--generate", "20", "--events", "100", "--seed", "5",
                  "--group", f"seed{seed}", "--wait", "puback")
            messages = subscriber.wait(100)
            return sorted((m.topic.split("/")[3], event_identity(m.payload)[1], m.payload[-30:-1])
                          for m in messages)
    assert values(1) == values(2)


def test_command_gets_its_reply(broker):
    fleet = subprocess.Popen([PIPIT, "fleet", "--url", broker.url, "--generate", "1", "--rate", "5",
                              "--group", "cmd", "--wait", "puback", "--answer-commands"],
                             stdout=subprocess.DEVNULL)
    try:
        with watch(broker, "pipit/v1/cmd/+/status") as subscriber:
            subscriber.wait(1)
        done = pipit("command", "--url", broker.url, "--device", "cmd/device-00001", "--name", "boost",
                     "--json", "level=3", "mode=fast")
        reply = json.loads(done.stdout)
        assert reply["status"] == 0 and reply["fields"] == {"level": 3, "mode": "fast"}
    finally:
        fleet.terminate()
        assert fleet.wait(20) == 0
    done = pipit("command", "--url", broker.url, "--device", "cmd/device-00001", "--name", "boost",
                 "--timeout", "1s", check=False)
    assert done.returncode == 5 and "it is offline" in done.stderr
    done = pipit("command", "--url", broker.url, "--device", "cmd/nobody", "--name", "boost",
                 "--timeout", "1s", check=False)
    assert done.returncode == 5 and "ever online" in done.stderr


def test_tail_shows_lines_for_people_and_ends_by_count(broker):
    tail = subprocess.Popen([PIPIT, "tail", "--url", broker.url, "--topic", "plain/#", "--count", "2"],
                            stdout=subprocess.PIPE, text=True)
    with watch(broker, "plain/#") as subscriber:
        while tail.poll() is None:
            subscriber.publish("plain/a", b'{"temp": 1.5}\n').wait_for_publish(5)
            subscriber.publish("plain/b", b"\x00\xff").wait_for_publish(5)
            time.sleep(0.05)
    out, _ = tail.communicate(timeout=10)
    assert tail.returncode == 0 and len(out.splitlines()) == 2
    assert "\x1b" not in out, "colours belong on terminals only"
    assert any('plain/a {"temp": 1.5}' in line or "plain/b <2 bytes>" in line for line in out.splitlines())


def test_password_is_asked_for_and_taken_from_a_file(tmp_path):
    listen = ("listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {dir}/passwd\n")
    protected = Broker(listen=listen)
    subprocess.run(["mosquitto_passwd", "-b", "-c", protected.dir / "passwd", "press-4", "secret"],
                   check=True)
    (protected.dir / "passwd").chmod(0o644)
    (tmp_path / "password").write_text("secret\n")
    with protected as broker_of_ours:
        base = ["publish", "--url", broker_of_ours.url, "--device", "plant/press-4", "--type", "t",
                "--wait", "puback", "--timeout", "3s", "x=1"]
        done = pipit(*base, check=False)
        assert done.returncode == 5 and "refused" in done.stderr, done.stderr
        pipit(*base, "--username", "{device}", "--password-file", tmp_path / "password")
        done = pipit("tail", "--url", broker_of_ours.url, check=False)
        assert done.returncode == 5 and "--username" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def tls_broker(tmp_path_factory):
    """A broker with a certificate for 127.0.0.1 by an authority of its own, and that authority."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for command in ("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pipit-test-ca -keyout ca.key -out ca.pem",
                    "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr",
                    "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
                    "-extfile names -out server.pem",
                    "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem"):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    listen = (f"listener {{port}} 127.0.0.1\nallow_anonymous true\ncertfile {folder}/server.pem\n"
              f"keyfile {folder}/server.key\ncafile {folder}/ca.pem\n")
    with Broker(listen=listen) as running:
        yield f"mqtts://127.0.0.1:{running.port}", folder


def test_tls(tls_broker):
    url, folder = tls_broker
    publish = ["publish", "--url", url, "--device", "a/b", "--type", "t", "--wait", "puback", "x=1"]
    pipit(*publish, "--ca", folder / "ca.pem")
    pipit("fleet", "--url", url, "--ca", folder / "ca.pem", "--generate", "3", "--events", "30", "--wait", "puback")
    pipit("tail", "--url", url, "--ca", folder / "ca.pem", "--for", "200ms")
    pipit("tail", "--url", url, "--insecure", "--for", "200ms")
    for ca in (["--ca", folder / "other.pem"], []):
        done = pipit(*publish, *ca, "--timeout", "5s", check=False)
        assert done.returncode == 5 and "TLS" in done.stderr, done.stderr
        done = pipit("tail", "--url", url, *ca, "--for", "200ms", check=False)
        assert done.returncode == 5 and "TLS" in done.stderr, done.stderr


HUB = """
hub: {{id: cli, store: hub.db, stats_every: 0, check_broker: false}}
sources:
  plant:
    mqtt: {{url: "{url}", probe: false}}
    topics: ["pipit/v1/stored/+/event/#"]
targets:
  out: {{file: {{path: out.ndjson}}}}
rules:
  hot: {{sql: 'SELECT device, temp FROM "pipit/v1/+/+/event/climate" WHERE temp > 25', to: [out: {{}}]}}
"""


def test_publish_and_fleet_wait_for_the_hubs_receipt(broker, start_hub, tmp_path):
    hub = start_hub(HUB.format(url=broker.url)).wait_ready()
    done = pipit("publish", "--url", broker.url, "--device", "stored/p1", "--type", "climate", "--json",
                 "temp=27.5")
    outcome = json.loads(done.stdout)
    assert outcome["outcome"] == "stored" and outcome["confirmed"] is True
    rows = telemetry(tmp_path / "t.ndjson", 500)
    argv = fleet_argv(broker, tmp_path / "t.ndjson", "stored", "--type", "climate")
    argv[argv.index("--wait") + 1] = "receipt"
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    hot = 1 + sum(row["data"]["temp"] > 25 for row in rows)
    wait_for(lambda: (hub.dir / "out.ndjson").exists() and
             len((hub.dir / "out.ndjson").read_text().splitlines()) == hot, what=f"{hot} lines")
    books = hub.status()["books"]
    assert books["received"] == 501 and books["routed"] == hot and books["missing"] == 0
    wait_for(lambda: hub.status()["books"]["waiting"] == 0)


def on_terminal(*arguments, env=None):
    """What the command writes when standard output and error are a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([str(word) for word in (PIPIT, *arguments)], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                             env={**os.environ, "TERM": "xterm", **(env or {})})
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # EIO: the other side is closed.
        pass
    assert child.wait(30) == 0, written
    return written.decode()


def test_progress_and_colour_are_for_terminals(broker, tmp_path):
    fleet = ["fleet", "--url", broker.url, "--generate", "3", "--events", "300", "--rate", "150", "--wait", "puback"]
    shown = on_terminal(*fleet)
    assert shown.count("\r") > 3 and "300" in shown, "a line that is written over and over"
    piped = pipit(*fleet)
    assert "\r" not in piped.stdout + piped.stderr and "\x1b" not in piped.stdout + piped.stderr
    config = tmp_path / "hub.yaml"
    config.write_text(f"hub: {{id: h, store: h.db}}\nsources: {{s: {{mqtt: {{url: \"{broker.url}\"}}, topics: [a]}}}}\n")
    assert "\x1b[" in on_terminal("check", "-c", config)
    assert "\x1b[" not in on_terminal("check", "-c", config, env={"NO_COLOR": "1"})
    assert "\x1b[" not in pipit("check", "-c", config).stdout


def test_fleet_says_early_that_there_is_no_broker(tmp_path):
    url = f"mqtt://127.0.0.1:{free_port()}"
    done = pipit("fleet", "--url", url, "--generate", "2", "--events", "4", "--timeout", "3s", check=False)
    assert done.returncode == 5
    first, last = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
    assert url.split("//")[1] in first and "trying again" in first
    assert "4 events were not confirmed" in last and url.split("//")[1] in last


def test_a_line_without_end_takes_no_memory(tmp_path):
    path = tmp_path / "long.ndjson"
    path.write_bytes(b"x" * 300000)
    done = pipit("fleet", "--url", "mqtt://127.0.0.1:1", "--file", path, "--timeout", "2s", check=False)
    assert done.returncode != 0 and "longer than 64 KB" in done.stderr
