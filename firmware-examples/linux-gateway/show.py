"""./dev firmware linux-gateway: builds it over both links, and shows two sensors with a broker and a hub."""

import pathlib
import subprocess

import harness

TARGET = "Linux"
HERE = pathlib.Path(__file__).resolve().parent
HUB = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources: {{main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}}}
targets: {{bus: {{mqtt: {{url: "{url}"}}}}}}
rules:
  r: {{sql: 'SELECT device, value FROM "pipit/v1/+/+/event/reading"', to: [bus: {{topic: "out/{{device}}"}}]}}
"""


def run(folder, echo):
    """0 when both did."""
    (folder / "cellar").write_text("21.5\n")
    (folder / "attic").write_text("19\n")
    code = 0
    with harness.Broker() as broker, harness.Hub(HUB.format(url=broker.url), folder / "hub") as hub:
        hub.wait_ready()
        for link in ("paho", "own"):
            program = folder / f"gateway-{link}"
            subprocess.run([HERE / "build", link, program], check=True)
            with harness.Subscriber(broker.port, "out/#") as watcher:
                done = subprocess.run([program, "-u", broker.url, "-g", "house", "-d", folder, "-i", "100", "-n", "3",
                                       f"cellar={folder / 'cellar'}", f"attic={folder / 'attic'}"],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
                for line in done.stdout.splitlines():
                    echo(link, line)
                for message in watcher.wait(6 if done.returncode == 0 else 0):
                    echo("hub", f"{message.topic} {message.text()}")
            code = code or done.returncode
    return code
