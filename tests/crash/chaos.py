"""Kills at random moments while the real telemetry is replayed, and the books read at the end."""
import gzip
import json
import os
import random
import subprocess
import threading
import time

DATA = os.path.join(os.path.dirname(__file__), "..", "data", "environment_telemetry.ndjson.gz")
EVENTS = 9995
ALERTS = 1116
PER_DEVICE = {"iot-device-01": 2713, "iot-device-02": 2611, "iot-device-03": 4671}


def telemetry(path):
    """Writes the telemetry as NDJSON to path and returns its rows."""
    with gzip.open(DATA, "rt", encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return [json.loads(line) for line in text.splitlines()]


class Outputs:
    """What came out: every message by idempotency key, in order of arrival."""

    def __init__(self, messages):
        self.first = {}   # key -> JSON payload of the first arrival, in order.
        self.arrivals = 0
        for message in messages:
            self.arrivals += 1
            self.first.setdefault(message["key"], message["payload"])

    def per_device(self):
        result = {}
        for payload in self.first.values():
            result.setdefault(payload["device"], []).append(payload)
        return result


def assert_in_order(outputs):
    """First arrivals of each device come in the order of (boot, sequence)."""
    for device, payloads in outputs.per_device().items():
        positions = [(p["boot"], p["sequence"]) for p in payloads]
        late = [(a, b) for a, b in zip(positions, positions[1:]) if b <= a]
        assert not late, f"{device}: {late[:5]} out of order"


def assert_balanced(books):
    assert books["received"] == books["routed"] + books["filtered"] + books["duplicate"] + books["rejected"], books
    assert books["enqueued"] == books["delivered"] + books["waiting"] + books["dead"] + books["dropped"], books


class Killer(threading.Thread):
    """Calls `kill` `times` times at random moments spread over about `seconds`."""

    def __init__(self, name, kill, times, seconds, seed):
        super().__init__(name=name, daemon=True)
        self.kill, self.times = kill, times
        self.gap, self.random = seconds / times, random.Random(seed)
        self.done = 0
        self.error = None
        self.is_stopping = threading.Event()

    def run(self):
        try:
            for _ in range(self.times):
                if self.is_stopping.wait(self.random.uniform(0.5, 1.5) * self.gap):
                    return
                self.kill()
                self.done += 1
        except Exception as error:  # Handed to the test's own thread.
            self.error = error

    def finish(self, seconds):
        self.join(seconds)
        if self.is_alive():
            self.is_stopping.set()
            self.join(seconds)
        if self.error:
            raise self.error
        return self.done


class Fleet:
    """The device program: `pipit fleet` with a file spool; started again whenever it is killed."""

    def __init__(self, pipit, port, path, spool, rate, log):
        self.command = [pipit, "fleet", "--url", f"mqtt://127.0.0.1:{port}", "--file", path,
                        "--device-field", "device", "--fields", "data", "--time-field", "ts", "--group", "plant",
                        "--type", "telemetry", "--rate", str(rate), "--spool", spool, "--json"]
        self.log = open(log, "a", encoding="utf-8")
        self.lock = threading.Lock()
        self.process = None
        self.is_finished = threading.Event()
        self.exit_code = None
        self.thread = threading.Thread(target=self.keep_running, daemon=True)

    def start(self):
        self.thread.start()

    def keep_running(self):
        while True:
            with self.lock:
                self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
            code = self.process.wait()
            if code >= 0:
                self.exit_code = code
                self.is_finished.set()
                return

    def kill(self):
        with self.lock:
            if self.process.poll() is None:
                self.process.kill()

    def wait(self, seconds):
        assert self.is_finished.wait(seconds), "the devices still wait for receipts"
        assert self.exit_code == 0, f"fleet ended with {self.exit_code}"

    def stop(self):
        self.is_finished.wait(0)
        with self.lock:
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
