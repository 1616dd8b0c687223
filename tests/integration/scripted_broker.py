"""A broker of a few packets that the test plays, so that it decides what is sent and sees exactly
what comes back and when. MQTT 5 and 3.1.1, one client at a time."""

import socket
import struct
import threading
import time

from harness import DEADLINE_S, wait_for

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1, 2, 3, 4, 8, 9, 12, 13, 14)


def varint(value):
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def string(text):
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind, body, flags=0):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


class ScriptedBroker:
    """connack: reason code of CONNACK. pubacks: list of (packet id, seconds) in order of arrival."""

    def __init__(self, connack=0, connack_properties=b""):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.connack = connack
        self.connack_properties = connack_properties
        self.client = None
        self.version = None
        self.clients = 0
        self.pubacks = []
        self.published = []  # What the client published: (topic, payload).
        self.disconnects = 0
        self._next_id = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def close(self):
        self.listener.close()
        self.drop()

    def drop(self):
        """Ends the client's connection without a word."""
        if self.client is not None:
            try:
                self.client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what the test does

    def publish(self, topic, payload, qos=1, packet_id=None):
        """Sends a PUBLISH; gives its packet id."""
        return self.publish_all([(topic, payload)], qos, packet_id)[0]

    def publish_all(self, messages, qos=1, packet_id=None):
        """Sends them in one write, so that they arrive together."""
        out, ids = b"", []
        for topic, payload in messages:
            if packet_id is None:
                self._next_id = self._next_id % 65535 + 1
            ids.append(packet_id or self._next_id)
            body = string(topic) + (struct.pack(">H", ids[-1]) if qos else b"")
            body += (b"\0" if self.version == 5 else b"") + payload
            out += packet(PUBLISH, body, qos << 1)
        self.client.sendall(out)
        return ids

    def acknowledged(self):
        return [packet_id for packet_id, _ in list(self.pubacks)]

    def wait_acknowledged(self, ids, deadline=DEADLINE_S):
        wait_for(lambda: set(ids) <= set(self.acknowledged()), deadline,
                 lambda: f"PUBACK for {sorted(set(ids) - set(self.acknowledged()))[:10]}")

    # ---- what it does by itself

    def _serve(self):
        while True:
            try:
                self.client, _ = self.listener.accept()
            except OSError:
                return
            self.clients += 1
            try:
                self._talk()
            except (OSError, EOFError):
                pass
            self.client.close()

    def _read(self, count):
        data = b""
        while len(data) < count:
            more = self.client.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _read_packet(self):
        first, length, shift = self._read(1)[0], 0, 0
        while True:
            byte = self._read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first >> 4, first & 15, self._read(length)

    def _talk(self):
        while True:
            kind, flags, body = self._read_packet()
            now = time.monotonic()
            if kind == CONNECT:
                self.version = body[6]
                properties = (varint(len(self.connack_properties)) + self.connack_properties
                              if self.version == 5 else b"")
                self.client.sendall(packet(CONNACK, bytes([0, self.connack]) + properties))
            elif kind == SUBSCRIBE:
                properties = b"\0" if self.version == 5 else b""
                self.client.sendall(packet(SUBACK, body[:2] + properties +
                                           bytes([body[-1] & 3])))
            elif kind == PUBACK:
                self.pubacks.append((struct.unpack(">H", body[:2])[0], now))
            elif kind == PUBLISH:
                self._take_publish(flags, body)
            elif kind == PINGREQ:
                self.client.sendall(packet(PINGRESP, b""))
            elif kind == DISCONNECT:
                self.disconnects += 1

    def _take_publish(self, flags, body):
        length, = struct.unpack(">H", body[:2])
        topic, at = body[2:2 + length].decode(), 2 + length
        if flags >> 1 & 3:
            self.client.sendall(packet(PUBACK, body[at:at + 2]))
            at += 2
        if self.version == 5:
            at += 1 + body[at]  # Properties shorter than 128 bytes are all that the tests need.
        self.published.append((topic, body[at:]))
