"""The SDK's own client, and its paho port for comparison, against two brokers that share no code:
mosquitto and aedes, each in MQTT 3.1.1 and 5. The other end is Python's paho, in MQTT 5."""

import os
import signal
import subprocess
import threading

import pytest

from harness import Broker, Client, Subscriber, free_port, wait_for
from peers import OK, REFUSED, SIZE, UNREACHABLE, Aedes, Peer

MANY = 1000
PAYLOADS = [b"", b"21.5", bytes(range(256)), "Grad Celsius: °C ≈ 🌡".encode(), b"x" * 40000]
PASSWORD_CODES = {"311": (4, 5), "5": (0x86, 0x87)}
TAKEN_OVER, RECEIVE_MAXIMUM, TOO_LARGE = 0x8E, 0x93, 0x95

own_only = pytest.mark.own_only


def numbered(count):
    return [b"%d" % n for n in range(count)]


# ---- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_out_at_every_qos(side, topic, qos):
    with Subscriber(side.broker.port, topic, qos=2) as there, side.peer(topic) as ours:
        ours.connect()
        tokens = ours.publish_all(topic, PAYLOADS, qos)
        assert ours.acknowledged(tokens) == [OK] * len(PAYLOADS)
        seen = there.wait(len(PAYLOADS))
        assert [message.payload for message in seen] == PAYLOADS
        assert {message.qos for message in seen} == {qos}


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_in_at_every_qos(side, topic, qos):
    with Client(side.broker.port) as there, side.peer(topic) as ours:
        ours.connect()
        assert ours.subscribe(f"{topic}/+") == OK
        for payload in PAYLOADS:
            there.publish(f"{topic}/in", payload, qos)
        seen = ours.wait_messages(len(PAYLOADS))
        assert [message.payload for message in seen] == PAYLOADS
        assert {message.topic for message in seen} == {f"{topic}/in"}
        assert {message.qos for message in seen} <= {qos, None}


@pytest.mark.parametrize("granted", [0, 1])
def test_subscription_below_the_message_lowers_its_qos(side, topic, granted):
    with Client(side.broker.port) as there, side.peer(topic) as ours:
        ours.connect()
        assert ours.subscribe(topic, qos=granted) == OK
        there.publish(topic, b"x", qos=2)
        assert ours.wait_messages(1)[0].qos in (granted, None)


@own_only
def test_unsubscribed_topics_bring_nothing(side, topic):
    with Client(side.broker.port) as there, side.peer(topic) as ours:
        ours.connect()
        assert ours.subscribe(f"{topic}/a") == OK
        assert ours.subscribe(f"{topic}/b") == OK
        assert ours.unsubscribe(f"{topic}/a") == OK
        there.publish(f"{topic}/a", b"not this")
        there.publish(f"{topic}/b", b"but this")
        assert [message.payload for message in ours.wait_messages(1)] == [b"but this"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_thousand_out_in_order(side, topic, qos):
    with Subscriber(side.broker.port, topic, qos=2) as there, side.peer(topic) as ours:
        ours.connect()
        tokens = ours.publish_all(topic, numbered(MANY), qos)
        assert ours.acknowledged(tokens) == [OK] * MANY
        assert [message.payload for message in there.wait(MANY)] == numbered(MANY)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_thousand_in_in_order(side, topic, qos):
    with Client(side.broker.port) as there, side.peer(topic) as ours:
        ours.connect()
        ours.subscribe(topic)
        for payload in numbered(MANY):
            there.publish(topic, payload, qos)
        assert [message.payload for message in ours.wait_messages(MANY)] == numbered(MANY)


# ---- what the broker keeps ---------------------------------------------------------------------


def test_retained_message_is_kept_replaced_and_cleared(side, topic):
    with side.peer(topic) as ours:
        ours.connect()
        for payload in (b"old", b"new"):
            assert ours.publish(topic, payload, retain=True) == OK
        with side.peer(f"{topic}-later") as later:
            later.connect()
            later.subscribe(topic)
            assert [message.payload for message in later.wait_messages(1)] == [b"new"]
        assert ours.publish(topic, b"", retain=True) == OK
        with Subscriber(side.broker.port, topic, f"{topic}/end") as there:
            there.publish(f"{topic}/end", b"")
            assert [m.topic for m in there.wait(1)] == [f"{topic}/end"], "still there"


def test_will_comes_after_a_kill(side, topic):
    with Subscriber(side.broker.port, f"{topic}/#", qos=2) as there:
        ours = side.peer(topic, will_topic=f"{topic}/status", will="gone").connect()
        ours.kill()
        will = there.wait(1)[0]
        assert (will.topic, will.payload, will.qos) == (f"{topic}/status", b"gone", 1)
    with Subscriber(side.broker.port, f"{topic}/#") as later:
        assert later.wait(1)[0].is_retained


def test_will_does_not_come_after_a_goodbye(side, topic):
    with Subscriber(side.broker.port, f"{topic}/#") as there:
        with side.peer(topic, will_topic=f"{topic}/status", will="gone") as ours:
            ours.connect()
            assert ours.disconnect()["rc"] == OK
        with side.peer(topic) as ours:  # The broker has dealt with the first connection by then.
            ours.connect()
            ours.publish(f"{topic}/end", b"")
        assert [m.topic for m in there.wait(1)] == [f"{topic}/end"]


@pytest.mark.parametrize("qos", [1, 2])
def test_session_is_resumed_with_what_was_queued(side, topic, qos):
    with Client(side.broker.port) as there:
        with side.peer(topic, clean=0, expiry=600) as ours:
            ours.connect()
            ours.subscribe(topic)
            ours.disconnect()
        for payload in numbered(50):
            there.publish(topic, payload, qos).wait_for_publish(10)
        with side.peer(topic, clean=0, expiry=600) as ours:
            ours.connect()
            assert [m.payload for m in ours.wait_messages(50)] == numbered(50)
            there.publish(topic, b"live", qos)
            assert ours.wait_messages(51)[50].payload == b"live"


def test_clean_start_forgets_the_session(side, topic):
    with Client(side.broker.port) as there:
        with side.peer(topic, clean=0, expiry=600) as ours:
            ours.connect()
            ours.subscribe(f"{topic}/old")
            ours.disconnect()
        there.publish(f"{topic}/old", b"queued").wait_for_publish(10)
        with side.peer(topic, clean=1) as ours:
            ours.connect()
            ours.subscribe(f"{topic}/new")
            there.publish(f"{topic}/old", b"live")
            there.publish(f"{topic}/new", b"x")
            assert [m.topic for m in ours.wait_messages(1)] == [f"{topic}/new"]


# ---- connections -------------------------------------------------------------------------------


def test_second_client_of_the_same_id_takes_over(side, topic):
    with Client(side.broker.port) as there, side.peer(topic) as first, side.peer(topic) as second:
        first.connect()
        second.connect()
        down = first.wait_for("down")
        is_said = side.is_v5 and isinstance(side.broker, Aedes)  # mosquitto 2.0.11 just hangs up.
        if side.link == "own":
            assert (down["rc"], down["reason"]) == ((REFUSED, TAKEN_OVER) if is_said else (UNREACHABLE, 0))
        second.subscribe(topic)
        there.publish(topic, b"for the second")
        assert second.wait_messages(1)[0].payload == b"for the second"
        assert not first.messages and not second.of("down")


@pytest.fixture(scope="module", params=["mosquitto", "aedes"])
def strict_broker(request, tmp_path_factory):
    """Lets `pump` in with `secret`."""
    if request.param == "aedes":
        with Aedes("pump", "secret") as running:
            yield running
        return
    users = tmp_path_factory.mktemp("users") / "users"
    users.parent.chmod(0o755)
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "pump", "secret"], check=True, capture_output=True)
    with Broker(listen=f"listener {{port}} 127.0.0.1\nallow_anonymous false\npassword_file {users}\n") as running:
        yield running


@pytest.mark.parametrize("link", ["own", "paho"])
def test_password_lets_in_or_keeps_out(strict_broker, version, link):
    def peer(**options):
        return Peer(strict_broker.port, "pump", link, version=version, **options)

    with peer(user="pump", password="secret") as ours:
        ours.connect()
    for credentials in ({"user": "pump", "password": "wrong"}, {"user": "pump"}, {}):
        with peer(**credentials) as ours:
            ours.send("connect")
            down = ours.wait_for("down")
            assert down["rc"] == REFUSED, credentials
            assert link == "paho" or down["reason"] in PASSWORD_CODES[version], credentials


@pytest.mark.parametrize("link", ["own", "paho"])
def test_unreachable_broker_is_said_and_can_be_tried_again(version, link):
    with Peer(free_port(), "early", link, version=version) as ours:
        for attempt in (1, 2):
            ours.send("connect")
            assert ours.wait_for("down", attempt)["rc"] == UNREACHABLE


@pytest.mark.parametrize("kind", [Broker, Aedes])
@pytest.mark.parametrize("link", ["own", "paho"])
def test_broker_restart(kind, version, link, topic):
    with kind() as broker, Peer(broker.port, "stays", link, version=version, clean=0, expiry=600) as ours:
        ours.connect()
        ours.subscribe(topic)
        for restart in (1, 2):
            broker.kill()
            assert ours.wait_for("down", restart)["rc"] == UNREACHABLE
            broker.start()
            ours.connect()
            assert ours.subscribe(topic) == OK  # A killed broker has forgotten the session.
            assert ours.publish(topic, b"%d" % restart) == OK
            assert ours.wait_messages(restart)[-1].payload == b"%d" % restart


# ---- a connection that breaks in the middle ----------------------------------------------------


def resend_after_break(ours, there, broker, topic, qos):
    """Ten publishes whose answers never come, because the connection breaks while the broker stands
    still; then the same again, as the device above the client would."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        lines = [("pub", 1000 + n, qos, 0, topic, (b"%d" % n).hex()) for n in range(10)]
        ours.send_all(lines + [("cut",)])
        ours.wait_for("down")
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    ours.connect()
    ours.send_all(lines)
    assert ours.acknowledged([1000 + n for n in range(10)]) == [OK] * 10
    there.publish(f"{topic}/end", b"", qos=2)
    there.wait(1, f"{topic}/end")
    return [message.payload for message in there.on(topic)]


@own_only
@pytest.mark.parametrize("qos", [1, 2])
def test_publishes_of_a_broken_connection_are_sent_again(side, topic, qos):
    with Subscriber(side.broker.port, f"{topic}/#", qos=2) as there, \
            side.peer(topic, clean=0, expiry=600) as ours:
        ours.connect()
        seen = resend_after_break(ours, there, side.broker, topic, qos)
        if qos == 2:
            assert seen == numbered(10), "exactly once"
        else:
            assert sorted(set(seen)) == numbered(10) and list(dict.fromkeys(seen)) == numbered(10)


def reconnect(ours):
    downs = len(ours.of("down"))
    ours.send("cut")
    ours.wait_for("down", downs + 1)
    ours.connect()


def test_qos_2_comes_once_over_broken_connections(version):
    """The connection breaks in the middle of each batch, and not again before the session is resumed."""
    batches, size = 8, 60
    with Broker() as broker, Client(broker.port) as there, \
            Peer(broker.port, "often", version=version, clean=0, expiry=600) as ours:
        ours.connect()
        ours.subscribe("often")
        for batch in range(batches):
            for n in range(batch * size, (batch + 1) * size):
                there.publish("often", b"%d" % n, qos=2)
            ours.wait_messages(batch * size + size // 4)
            reconnect(ours)
            ours.wait_messages((batch + 1) * size)
        there.publish("often", b"end", qos=2)
        ours.wait_messages(batches * size + 1)
        assert [m.payload for m in ours.messages] == numbered(batches * size) + [b"end"]


def test_qos_2_comes_in_order_whatever_breaks(version):
    """When the connection breaks while the broker resumes the session, mosquitto 2.0.11 sends a PUBLISH
    again after its PUBREC, which no client can know. Nothing else may happen. (aedes 2.0.0-beta.1 does so
    at every resume, and out of order.)"""
    with Broker() as broker, Client(broker.port) as there, \
            Peer(broker.port, "often", version=version, clean=0, expiry=600) as ours:
        ours.connect()
        ours.subscribe("often")
        for payload in numbered(300):
            there.publish("often", payload, qos=2)
        for _ in range(6):
            reconnect(ours)
        there.publish("often", b"end", qos=2)
        wait_for(lambda: b"end" in [m.payload for m in ours.messages], what="the last message")
        assert list(dict.fromkeys(m.payload for m in ours.messages)) == numbered(300) + [b"end"]


# ---- limits of ours ----------------------------------------------------------------------------


def test_more_qos_2_messages_than_there_is_room_for(version):
    """No 3.1.1 broker knows our limit, and mosquitto 2.0.11 and aedes 2.0.0-beta.1 do not keep to it in
    MQTT 5: the client leaves, and what it could not take comes when it has come back, all of it once.
    (Not with aedes, whose resumed QoS 2 sessions are not to be relied on: see above.)"""
    count, room = 40, 8
    with Broker() as broker, Client(broker.port) as there, \
            Peer(broker.port, "small", version=version, clean=0, expiry=600, inbound=room) as ours:
        ours.connect()
        ours.subscribe("small")
        for payload in numbered(count):
            there.publish("small", payload, qos=2)
        downs = 0
        while len(ours.messages) < count:
            wait_for(lambda: len(ours.of("down")) > downs or len(ours.messages) >= count, what="more messages")
            if len(ours.of("down")) > downs:
                downs += 1
                assert ours.of("down")[-1]["reason"] == RECEIVE_MAXIMUM
                assert downs <= count, "no message came of a connection"
                ours.connect()
        assert [m.payload for m in ours.messages] == numbered(count)


@own_only
def test_packets_larger_than_our_memory(side, topic):
    """Those of 3.1.1 are read over and reported. MQTT 5 brokers know our limit; aedes 2.0.0-beta.1 sends
    them all the same, and the client leaves as the specification wants it."""
    with Client(side.broker.port) as there, side.peer(topic, memory=256) as ours:
        ours.connect()
        ours.subscribe(topic)
        for qos in (0, 1, 2):
            there.publish(topic, b"x" * 1000, qos)
        there.publish(topic, b"small", 1)
        if side.is_v5 and isinstance(side.broker, Aedes):
            assert ours.wait_for("down")["reason"] == TOO_LARGE
            return
        seen = ours.wait_messages(1 if side.is_v5 else 4)
        assert sorted((m.rc, m.payload) for m in seen) == [(SIZE, b"")] * (len(seen) - 1) + [(OK, b"small")]
        assert not ours.of("down")


@own_only
def test_keepalive_holds_a_silent_connection(side, topic):
    with Client(side.broker.port) as there, side.peer(topic, keepalive=1) as ours:
        ours.connect()
        ours.subscribe(topic)
        threading.Event().wait(3.2)  # Two brokers' worth of patience: one and a half keepalives each.
        there.publish(topic, b"still there")
        assert ours.wait_messages(1)[0].payload == b"still there"
        assert not ours.of("down")


def test_silent_broker_is_given_up(version):
    with Broker() as broker, Peer(broker.port, "patient", version=version, keepalive=1) as ours:
        ours.connect()
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            assert ours.wait_for("down", deadline=10)["rc"] == UNREACHABLE
        finally:
            os.kill(broker.pid, signal.SIGCONT)
