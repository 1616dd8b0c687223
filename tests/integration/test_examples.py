"""The programs in firmware-examples do what their READMEs say."""

import subprocess

from harness import BUILD, ROOT, Subscriber

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources: {{main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["pipit/v1/+/+/event/#"]}}}}
targets: {{bus: {{mqtt: {{url: "{url}"}}}}}}
rules:
  r: {{sql: 'SELECT device, celsius, humidity FROM "pipit/v1/+/+/event/climate"', to: [bus: {{topic: "out/{{device}}"}}]}}
"""


def test_linux_hello(start_hub, broker):
    start_hub(CONFIG.format(url=broker.url)).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher:
        done = subprocess.run([BUILD / "device-sdk" / "pipit-hello", broker.url], capture_output=True, text=True, timeout=60,
                              check=True)
        said = (ROOT / "firmware-examples" / "linux-hello" / "README.md").read_text().split("```\n")
        assert done.stdout == "stored by a hub\n" and done.stdout in said
        assert watcher.wait(1)[0].json() == {"device": "hello", "celsius": 21.5, "humidity": 58.2}
