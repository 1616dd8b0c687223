"""The main job on real input: 9,995 readings of three boards, once through the SDK as protobuf and once
as plain JSON by mosquitto_pub, through broker, hub and rules, read with mosquitto_sub."""

import gzip
import json
import subprocess
import threading

from harness import ROOT, pipit, wait_for

DATA = ROOT / "tests" / "data" / "environment_telemetry.ndjson.gz"
PER_DEVICE = {"iot-device-01": 2713, "iot-device-02": 2611, "iot-device-03": 4671}
ALERTS = 1116

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 1 s}}
sources:
  plant: {{mqtt: {{url: "{url}"}}, topics: ["{filter}"]}}
devices: {{{devices}}}
targets:
  bus: {{mqtt: {{url: "{url}"}}}}
rules:
  all:
    sql: SELECT device, sequence, {temp} AS temp FROM "{filter}"
    key: device
    to: [bus: {{topic: "all/{{device}}"}}]
  overheat:
    sql: SELECT device, {temp} AS temp FROM "{filter}" WHERE {temp} > 25
    key: device
    to: [bus: {{topic: "alerts/{{device}}"}}]
"""


class MosquittoSub:
    """A real mosquitto_sub -v; lines are (topic, payload)."""

    def __init__(self, broker, *topics):
        command = ["stdbuf", "-oL", "mosquitto_sub", "-p", str(broker.port), "-q", "1", "-v", "-d"]
        for topic in topics:
            command += ["-t", topic]
        self.messages = []
        self.is_subscribed = threading.Event()
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        assert self.is_subscribed.wait(10), "mosquitto_sub did not subscribe"

    def _read(self):
        for line in self.popen.stdout:
            if line.startswith(("all/", "alerts/", "pipit/")):
                topic, payload = line.rstrip("\n").split(" ", 1)
                self.messages.append((topic, payload))
            elif "Subscribed" in line:
                self.is_subscribed.set()

    def on(self, prefix):
        return [(topic, payload) for topic, payload in list(self.messages) if topic.startswith(prefix)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.terminate()
        self.popen.wait(10)
        self.thread.join(10)


def rows():
    with gzip.open(DATA, "rt", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def check(hub, watcher, readings):
    """What came is what was sent: each device's temperatures in its order, and exactly the hot ones."""
    wait_for(lambda: len(watcher.on("all/")) >= 9995 and len(watcher.on("alerts/")) >= ALERTS, 120,
             lambda: f"{len(watcher.messages)} came\n{hub.tail()}")
    got = {}
    for topic, payload in watcher.on("all/"):
        reading = json.loads(payload)
        assert topic == f"all/{reading['device']}"
        got.setdefault(reading["device"], []).append(reading["temp"])
    assert {device: len(temps) for device, temps in got.items()} == PER_DEVICE
    for device, temps in got.items():
        assert temps == [row["data"]["temp"] for row in readings if row["device"] == device], f"{device}: order"
    assert len(watcher.on("alerts/")) == ALERTS
    assert all(json.loads(payload)["temp"] > 25 for _, payload in watcher.on("alerts/"))
    wait_for(lambda: hub.status()["books"]["waiting"] == 0)
    books = hub.status()["books"]
    assert books["received"] == books["routed"] == 9995 and books["duplicate"] == books["missing"] == 0
    assert books["enqueued"] == books["delivered"] == 9995 + ALERTS
    wait_for(lambda: ("pipit/v1/$hub/plant/books/received", "9995") in watcher.messages)
    wait_for(lambda: ("pipit/v1/$hub/plant/books/delivered", str(9995 + ALERTS)) in watcher.messages)


def test_replay_through_the_sdk(start_hub, broker, tmp_path):
    readings = rows()
    path = tmp_path / "telemetry.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in readings))
    text = CONFIG.format(url=broker.url, filter="pipit/v1/+/+/event/telemetry", devices="", temp="temp")
    hub = start_hub(text).wait_ready()
    with MosquittoSub(broker, "all/#", "alerts/#", "pipit/v1/$hub/#") as watcher:
        done = pipit("fleet", "--url", broker.url, "--file", path, "--device-field", "device", "--fields", "data",
                     "--time-field", "ts", "--group", "plant", "--type", "telemetry", "--rate", "2000",
                     "--spool", tmp_path / "spool", "--json", deadline=240)
        counters = json.loads(done.stdout.splitlines()[-1])
        assert counters["confirmed"] == 9995, counters
        check(hub, watcher, readings)
    assert hub.terminate() == 0


def test_replay_as_plain_json(start_hub, broker, tmp_path):
    """mosquitto_pub -l, a line a message; who sent it, and which it is, is said by SQL."""
    readings = rows()
    text = CONFIG.format(url=broker.url, filter="boards/telemetry", temp='"data.temp"',
                         devices="""boards: {from: boards/telemetry, device: '"fields.device"', sequence: n, time: ts * 1000}""")
    hub = start_hub(text).wait_ready()
    counts, lines = {}, []
    for row in readings:
        counts[row["device"]] = row["n"] = counts.get(row["device"], 0) + 1
        lines.append(json.dumps(row))
    with MosquittoSub(broker, "all/#", "alerts/#", "pipit/v1/$hub/#") as watcher:
        subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", "boards/telemetry", "-l"],
                       input="\n".join(lines) + "\n", text=True, check=True, timeout=240)
        check(hub, watcher, readings)
    assert hub.terminate() == 0
