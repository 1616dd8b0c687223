"""The harness itself: what the other tests lean on."""

from harness import Broker, Client, Subscriber, wait_for


def test_broker_keeps_its_port_and_messages_carry_properties():
    with Broker() as broker:
        port = broker.port
        with Subscriber(port, "a/#") as subscriber, Client(port) as client:
            client.publish("a/b", b"1", content_type="text/plain",
                           properties={"idempotency-key": "k1"}).wait_for_publish()
            message = subscriber.wait(1, "a/b")[0]
            assert (message.payload, message.content_type, message.key) == (b"1", "text/plain", "k1")
            broker.kill()
            wait_for(lambda: not client.connected.is_set(), what="the client notices")
            broker.start()
            assert broker.port == port
            subscriber.wait_connected()
            client.wait_connected()
            wait_for(lambda: client.publish("a/c", b"2") and subscriber.on("a/c"),
                     what="messages flow again", step=0.1)
