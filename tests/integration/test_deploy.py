"""The mosquitto.conf and the access rules that are shipped, run as they are but for port and paths."""

import os
import subprocess

import pytest

from harness import ROOT, Broker, Client, Subscriber, stays, wait_for

DEPLOY = ROOT / "hub" / "deploy"
USERS = {"hub": "h", "watcher": "w", "d1": "1", "d2": "2"}


def shipped_conf():
    """What is shipped, with port, folder and the files' names filled in."""
    text = (DEPLOY / "mosquitto.conf").read_text()
    for what, instead in (("listener 1883 127.0.0.1", "listener {port} 127.0.0.1"),
                          ("/etc/mosquitto/pipit.passwd", "{dir}/pipit.passwd"),
                          ("/etc/mosquitto/pipit.acl", "{dir}/pipit.acl"),
                          ("/var/lib/mosquitto/", "{dir}/")):
        assert what in text, f"mosquitto.conf has no {what!r} any more"
        text = text.replace(what, instead)
    return text + ("user root\n" if os.geteuid() == 0 else "")


@pytest.fixture
def shipped():
    broker = Broker(conf=shipped_conf())
    passwords = broker.dir / "pipit.passwd"
    passwords.touch()
    for user, password in USERS.items():
        subprocess.run(["mosquitto_passwd", "-b", passwords, user, password], check=True)
    (broker.dir / "pipit.acl").write_text((DEPLOY / "pipit.acl").read_text())
    with broker:
        yield broker


def client(broker, user, **more):
    return Client(broker.port, client_id=f"test-{user}", username=user, password=USERS[user], **more)


def publish_refused(broker, user, topic):
    """mosquitto 2.0 ends the connection of an MQTT 5 client that publishes where it may not."""
    with Client(broker.port, client_id="test-forger", username=user,
                password=USERS[user]) as forger:
        sent = forger.publish(topic, b"not allowed")
        wait_for(lambda: not forger.connected.is_set() or sent.is_published(), 5)


def test_a_device_reaches_its_own_topics_and_no_others(shipped):
    with Subscriber(shipped.port, "#", client_id="test-hub", username="hub", password="h") as hub, \
            client(shipped, "d1") as d1, client(shipped, "d2") as d2:
        d2.subscribe("#")
        d2.subscribe("pipit/v1/g/d1/receipt")
        for topic in ("event/temperature", "reply/boost", "status"):
            d1.publish(f"pipit/v1/g/d1/{topic}", b"own").wait_for_publish(5)
        for topic in ("pipit/v1/g/d2/event/t", "pipit/v1/g/d2/status", "pipit/v1/g/d1/receipt",
                      "pipit/v1/g/d1/command/x", "alerts/d1", "pipit/v1/$hub/h/books"):
            publish_refused(shipped, "d1", topic)
        hub.publish("pipit/v1/g/d1/receipt", b"r").wait_for_publish(5)
        hub.publish("pipit/v1/g/d2/receipt", b"r").wait_for_publish(5)
        hub.wait(5)
        stays(lambda: all(m.payload != b"not allowed" for m in hub.messages), 0.3)
        assert [m.topic for m in hub.on("pipit/v1/g/d1/#") if m.payload == b"own"] == [
            "pipit/v1/g/d1/event/temperature", "pipit/v1/g/d1/reply/boost", "pipit/v1/g/d1/status"]
        assert [m.topic for m in d2.messages] == ["pipit/v1/g/d2/receipt"]


def test_a_watcher_sees_and_changes_nothing(shipped):
    with Subscriber(shipped.port, "pipit/v1/#", client_id="test-watcher", username="watcher",
                    password="w") as watcher, client(shipped, "hub") as hub:
        hub.publish("pipit/v1/$hub/plant/books", b"1").wait_for_publish(5)
        watcher.wait(1, "pipit/v1/$hub/plant/books")
        publish_refused(shipped, "watcher", "pipit/v1/g/d1/event/t")
        stays(lambda: len(watcher.messages) == 1, 0.3)


def test_strangers_are_refused(shipped):
    for user, password in ((None, None), ("d1", "wrong")):
        stranger = Client(shipped.port, client_id="test-x", username=user, password=password)
        assert not stranger.connected.wait(0.5)
        assert stranger.connack_code in (0x86, 0x87)
        stranger.close()


def test_what_is_queued_for_the_hub_is_bounded_in_bytes_not_in_thousands(shipped):
    count = 3000
    away = client(shipped, "hub", clean=False, expiry_s=600)
    away.wait_connected()
    assert away.subscribe("pipit/v1/+/+/event/#") == 1
    away.close()
    with client(shipped, "d1") as d1:
        last = None
        for number in range(count):
            last = d1.publish("pipit/v1/g/d1/event/t", str(number).encode())
        last.wait_for_publish(20)
    back = client(shipped, "hub", clean=False, expiry_s=600)
    try:
        wait_for(lambda: len(back.messages) >= count, 20, lambda: f"{len(back.messages)}")
        assert [int(m.payload) for m in back.messages] == list(range(count))
    finally:
        back.close()
