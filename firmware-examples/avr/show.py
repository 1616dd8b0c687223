"""./dev firmware avr: builds the program and runs it under libsimavr, with a broker and a hub."""

import pathlib
import subprocess

import harness

TARGET = "atmega328p (libsimavr)"
HERE = pathlib.Path(__file__).resolve().parent
HUB = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources: {{main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}}}
targets: {{bus: {{mqtt: {{url: "{url}"}}}}}}
rules:
  r: {{sql: 'SELECT device, millivolts, reading FROM "pipit/v1/+/+/event/supply"', to: [bus: {{topic: "out/{{device}}"}}]}}
"""


def run(folder, echo):
    """The program's exit code."""
    elf, host = folder / "avr.elf", folder / "simavr_host"
    subprocess.run([HERE / "build", elf], check=True)
    subprocess.run(["gcc", "-O2", harness.ROOT / "tests/firmware/simavr_host.c", "-o", host, "-lsimavr"], check=True)
    code, data, bss = subprocess.run(["avr-size", elf], check=True, capture_output=True,
                                     text=True).stdout.splitlines()[1].split()[:3]
    echo("size", f"{int(code) + int(data)} bytes of flash, {int(data) + int(bss)} of RAM without its stack")
    with harness.Broker() as broker, harness.Hub(HUB.format(url=broker.url), folder / "hub") as hub:
        hub.wait_ready()
        with harness.Subscriber(broker.port, "out/#") as watcher:
            done = subprocess.run([host, "-a", "3300", elf, str(broker.port)], capture_output=True, text=True, timeout=90)
            for line in done.stdout.splitlines():
                if not line.startswith("Loaded "):
                    echo("chip", line)
            for message in watcher.wait(10 if done.returncode == 0 else 0):
                echo("hub", f"{message.topic} {message.text()}")
    return done.returncode
