"""The hub's sources against real brokers: good ones, badly configured ones, absent ones."""

import socket
import subprocess

import paho.mqtt.client as paho
import pytest

from harness import Broker, Client, Subscriber, free_port, stays, wait_for

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", stats_every: 0}}
sources:
  main:
    mqtt: {{url: "{url}"{more}}}
    topics: ["a/#"]
targets:
  out: {{file: {{path: "{{dir}}/out.ndjson"}}}}
rules:
  all:
    sql: SELECT n FROM "a/#"
    to:
      - out: {{}}
"""


def config(url, more=", probe: false"):
    return CONFIG.format(url=url, more=more)


def test_default_limits_of_a_broker_are_found_and_told(start_hub):
    with Broker(limits="sys_interval 1\n") as broker:
        hub = start_hub(config(broker.url, ", probe: true")).wait_ready()
        line = hub.wait_log("id=INTAKE-BROKER-LIMITS", "keeps only 1000 messages")[0]
        assert f"127.0.0.1:{broker.port}" in line
        assert "max_queued_messages 0" in line and "max_inflight_messages 0" in line
        # What the probe itself made the broker drop is nobody's loss.
        stays(lambda: not hub.log_lines("id=INTAKE-BROKER-DROPPED"), 2.5)


def test_good_limits_pass_and_the_probe_leaves_nothing_behind(start_hub, broker):
    hub = start_hub(config(broker.url, ", probe: true")).wait_ready()
    hub.wait_log("id=INTAKE-PROBE", "kept=1100")
    assert not hub.log_lines("id=INTAKE-BROKER-LIMITS")
    present = []
    for client_id in ("pipit-plant-main-probe", "pipit-plant-main-probe-out"):
        client = paho.Client(client_id, clean_session=False)
        client.on_connect = lambda _c, _u, flags, _rc: present.append(flags["session present"])
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        wait_for(lambda: len(present) > 0, 5)
        client.disconnect()
        client.loop_stop()
        assert present.pop() == 0, f"the session of {client_id} is still there"
    with Subscriber(broker.port, "pipit/v1/$hub/plant/probe") as subscriber:
        stays(lambda: not subscriber.messages, 0.3)


def test_drops_of_the_broker_are_reported(start_hub):
    with Broker(limits="max_queued_messages 10\nsys_interval 1\n") as broker:
        hub = start_hub(config(broker.url)).wait_ready()
        away = Client(broker.port, client_id="away", clean=False, expiry_s=600)
        away.wait_connected()
        away.subscribe("b/#")
        away.close()
        stays(hub.is_running, 1.5)  # So that the hub has seen the count before.
        with Client(broker.port) as client:
            for _ in range(200):
                last = client.publish("b/x", b"1")
            last.wait_for_publish(10)
            hub.wait_log("id=INTAKE-BROKER-DROPPED", "max_queued_messages 0")


def test_a_wrong_password_is_one_clear_sentence_and_no_storm(start_hub):
    broker = Broker(listen="listener {port} 127.0.0.1\nallow_anonymous false\n"
                           "password_file {dir}/passwords\n")
    passwords = broker.dir / "passwords"
    passwords.touch()
    subprocess.run(["mosquitto_passwd", "-b", passwords, "bob", "right"], check=True)
    with broker:
        hub = start_hub(config(broker.url, ", probe: false, username: bob, password: wrong"))
        line = hub.wait_log("id=INTAKE-DOWN", "level=error")[0]
        assert f"127.0.0.1:{broker.port}" in line and "bob" in line and "wrong user name" in line
        assert "wrong\"" not in line  # The password is not shown.
        stays(lambda: hub.is_running() and len(hub.log_lines("id=INTAKE-DOWN")) <= 3, 3)
        subprocess.run(["mosquitto_passwd", "-b", passwords, "bob", "wrong"], check=True)
        broker.signal(1)  # SIGHUP: read the passwords again.
        hub.wait_ready(deadline=60)


def test_a_broker_that_is_absent_at_start_is_waited_for(start_hub):
    broker = Broker()
    hub = start_hub(config(broker.url))
    hub.wait_log("id=INTAKE-DOWN", "Connection refused")
    with broker:
        hub.wait_ready()
        broker.kill()
        hub.wait_log("id=INTAKE-DOWN", count=2)
        broker.start()
        hub.wait_log("id=INTAKE-UP", count=2)


def test_a_host_that_does_not_exist_is_told(start_hub):
    hub = start_hub(config("mqtt://no-such-host.invalid:1883"))
    line = hub.wait_log("id=INTAKE-DOWN")[0]
    assert "no-such-host.invalid:1883" in line and "host name" in line


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)
    for parent in list(folder.parents)[:2]:
        parent.chmod(0o755)
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for command in (
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
            "req -x509 -newkey rsa:2048 -nodes -keyout no.key -out other.pem -days 2 -subj /CN=no",
            "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem "
            "-days 2 -extfile names"):
        subprocess.run(["openssl"] + command.split(), cwd=folder, check=True, capture_output=True)
    (folder / "server.key").chmod(0o644)
    return folder


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_checks_who_the_broker_is(start_hub, certificates, host):
    listen = (f"listener {{port}} 127.0.0.1\nallow_anonymous true\ncafile {certificates}/ca.pem\n"
              f"certfile {certificates}/server.pem\nkeyfile {certificates}/server.key\n")
    with Broker(listen=listen) as broker:
        url = f"mqtts://{host}:{broker.port}"
        stranger = start_hub(config(url, f', probe: false, ca: "{certificates}/other.pem"'),
                             folder="stranger")
        line = stranger.wait_log("id=INTAKE-DOWN", "certificate verify failed")[0]
        assert "check ca" in line
        stranger.kill()
        hub = start_hub(config(url, f', probe: false, ca: "{certificates}/ca.pem"'))
        hub.wait_log("id=INTAKE-UP", "tls=yes")
        hub.terminate()
        subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(broker.port), "--cafile",
                        certificates / "ca.pem", "-t", "a/b", "-q", "1", "-m", '{"n": 7}'],
                       check=True)
        hub.start()  # The session was kept.
        hub.wait_log("id=INTAKE-UP", "session=resumed")
        wait_for(lambda: '"n":7' in out_of(hub).replace(" ", ""), what="the event is delivered")


def out_of(hub):
    path = hub.dir / "out.ndjson"
    return path.read_text() if path.exists() else ""


def test_a_second_hub_of_the_same_name_is_told_apart(start_hub, broker):
    first = start_hub(config(broker.url), folder="first").wait_ready()
    second = start_hub(config(broker.url), folder="second").wait_ready()
    wait_for(lambda: any(hub.log_lines("id=INTAKE-DOWN", "second hub of the same name",
                                       "pipit-plant-main") for hub in (first, second)),
             what=lambda: f"one of them guesses why:\n{first.tail()}")
    assert first.is_running() and second.is_running()


def test_a_port_where_nobody_answers_does_not_stop_other_sources(start_hub, broker):
    silent = socket.socket()
    silent.bind(("127.0.0.1", free_port()))
    silent.listen(0)
    text = config(broker.url).replace(
        "targets:", f"  silent:\n    mqtt: {{url: \"mqtt://127.0.0.1:{silent.getsockname()[1]}\", "
                    "probe: false, connect_timeout: 1 s}\n    topics: [\"b/#\"]\ntargets:")
    hub = start_hub(text)
    hub.wait_log("id=INTAKE-UP", "source=main")
    hub.wait_log("id=INTAKE-DOWN", "source=silent", "no answer")
    with Client(broker.port) as client:
        client.publish("a/b", b'{"n": 8}').wait_for_publish(5)
        wait_for(lambda: '"n":8' in out_of(hub).replace(" ", ""), 5, "the event is delivered")
    silent.close()
