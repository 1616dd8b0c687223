"""Workflows on a disk without room: what is due waits, and goes on when there is room."""

import json
import os

from harness import Client, Hub, wait_for
from http_peer import HttpPeer
from test_workflow_cli import config, states

NAPS = """
  nap:
    start: {from: shop/naps, key: number}
    steps:
      - rest: {sleep: 1 s}
      - ask: {call: {to: stock, path: "/ask"}}
"""


def fill(path):
    """To the last byte."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_what_is_due_waits_for_room(broker, small_disk):
    with HttpPeer() as peer, Client(broker.port) as client:
        text = config(broker, peer.url, NAPS).replace("hub: {", "hub: {disk_reserve: 400 KB, ", 1)
        with Hub(text.replace("sleep: 1 s", "sleep: 3 s"), small_disk) as hub:
            hub.wait_ready()
            for n in range(20):
                client.publish("shop/naps", json.dumps({"n": n + 1, "number": n}).encode())
            wait_for(lambda: len(states(hub)) == 20)
            fill(small_disk / "filler")
            assert os.statvfs(small_disk).f_bavail == 0
            hub.wait_log("id=STORE-FULL", "less than half of disk_reserve", "make room on the disk")
            assert set(states(hub).values()) == {"running"}
            assert not peer.requests
            os.unlink(small_disk / "filler")
            wait_for(lambda: list(states(hub).values()) == ["completed"] * 20)
            assert len(peer.requests) == 20
            assert hub.terminate() == 0
