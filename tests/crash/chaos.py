"""Parts of the kill tests: the real telemetry, a killer, a device program that is started again
whenever it dies, and the checks that know only the promises."""

import gzip
import json
import math
import random
import subprocess
import threading

from harness import PIPIT, ROOT

DATA = ROOT / "tests" / "data" / "environment_telemetry.ndjson.gz"


def telemetry(path, count=None):
    """Writes the telemetry (its first count rows) as NDJSON to path and returns its rows."""
    with gzip.open(DATA, "rt", encoding="utf-8") as f:
        lines = f.read().splitlines()[:count]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [json.loads(line) for line in lines]


class Wrong(AssertionError):
    """A promise was broken. The negative controls want to see it."""


def check(is_right, what):
    if not is_right:
        raise Wrong(what() if callable(what) else what)


def per_device(rows):
    """(temp, time in ms) of each device, in the order of rows."""
    result = {}
    for row in rows:
        result.setdefault(row["device"], []).append((row["data"]["temp"], math.floor(row["ts"] * 1000 + 0.5)))
    return result


def first_arrivals(messages):
    """Payloads by idempotency key: what comes again with its key is no second delivery."""
    first = {}
    for message in messages:
        check(message.key, lambda message=message: f"{message.topic} came without an idempotency key")
        first.setdefault(message.key, message.json())
    return list(first.values())


def check_outputs(payloads, rows):
    """Each row once, and in the order of the file for each device."""
    want, got, positions = per_device(rows), {}, {}
    for payload in payloads:
        got.setdefault(payload["device"], []).append((payload["temp"], payload["time"]))
        positions.setdefault(payload["device"], []).append((payload["boot"], payload["sequence"]))
    for device, readings in want.items():
        have = got.get(device, [])
        check(len(have) >= len(readings), lambda: f"{device}: {len(have)} of {len(readings)} came")
        check(len(have) == len(readings), lambda: f"{device}: {len(have)} came, {len(readings)} were sent")
        wrong = [(i, a, b) for i, (a, b) in enumerate(zip(have, readings)) if a != b]
        check(not wrong, lambda: f"{device}: not in order, or changed: {len(wrong)} from {wrong[:3]}")
        late = [(a, b) for a, b in zip(positions[device], positions[device][1:]) if b <= a]
        check(not late, lambda: f"{device}: {late[:5]} out of order")
    check(set(got) == set(want), lambda: f"devices {set(got)}")


def check_books(books, events, deliveries):
    check(books["received"] == books["routed"] + books["filtered"] + books["duplicate"] + books["rejected"], books)
    check(books["enqueued"] == books["delivered"] + books["waiting"] + books["dead"] + books["dropped"], books)
    check(books["routed"] == events, lambda: f"{events} events changed state {books['routed']} times: {books}")
    check(books["enqueued"] == deliveries, lambda: f"{deliveries} deliveries are owed: {books}")
    check(books["dead"] == books["dropped"] == books["rejected"] == books["missing"] == 0, books)


class Killer(threading.Thread):
    """Calls kill `times` times at random moments spread over about `seconds`."""

    def __init__(self, name, kill, times, seconds, seed):
        super().__init__(name=name, daemon=True)
        self.kill, self.times = kill, times
        self.gap, self.random = seconds / times, random.Random(f"{seed}-{name}")
        self.done = 0
        self.error = None
        self.is_stopping = threading.Event()

    def run(self):
        try:
            while self.done < self.times:
                if self.is_stopping.wait(self.random.uniform(0.2, 1.8) * self.gap):
                    return
                self.kill()
                self.done += 1
        except Exception as error:  # Handed to the test's own thread.
            self.error = error

    def finish(self, seconds):
        self.join(seconds)
        self.is_stopping.set()
        self.join(seconds)
        if self.error:
            raise self.error
        return self.done


class Fleet:
    """The device program, `pipit fleet` with file spools, started again whenever it is killed."""

    def __init__(self, url, path, spool, rate, log):
        self.command = [PIPIT, "fleet", "--url", url, "--file", path, "--device-field", "device", "--fields", "data",
                        "--time-field", "ts", "--group", "plant", "--type", "telemetry", "--rate", str(rate),
                        "--spool", spool, "--json"]
        self.log = log
        self.lock = threading.Lock()
        self.process = None
        self.is_over = False
        self.is_finished = threading.Event()
        self.exit_code = None
        self.thread = threading.Thread(target=self._keep_running, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.kill()
        self.thread.join(30)

    def _keep_running(self):
        while not self.is_over:
            with self.lock, open(self.log, "a", encoding="utf-8") as log:
                self.process = subprocess.Popen([str(word) for word in self.command], stdout=log, stderr=log)
            code = self.process.wait()
            if code >= 0:
                self.exit_code = code
                self.is_finished.set()
                return

    def kill(self):
        with self.lock:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()

    def wait(self, seconds):
        """Until every event is confirmed by a receipt of the hub."""
        assert self.is_finished.wait(seconds), f"devices still wait for receipts:\n{self.log.read_text()[-2000:]}"
        assert self.exit_code == 0, f"fleet ended with {self.exit_code}:\n{self.log.read_text()[-2000:]}"
