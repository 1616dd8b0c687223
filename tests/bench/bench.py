#!/usr/bin/python3
"""Measures the hub beside a bare libmosquitto relay on the same broker, in one run.

usage: bench.py BUILD_DIR [--rounds N] [--quick] [--out DIR]

Ratios compare medians of interleaved rounds (relay, hub, relay, hub, ...), since absolute figures of a
shared machine say little. Writes bench.json and BENCH.md to --out.
"""
import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BROKER_CONF = """listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
persistence false
"""

HUB_CONF = """hub:
  id: bench-{run}
  store: {dir}/hub.db
  stats_every: 0 s
  check_broker: false
sources:
  plant:
    mqtt: {{url: "mqtt://127.0.0.1:{port}", session_expiry: 1 s}}  # Nothing waits for the next round.
    topics: ["pipit/v1/+/+/event/#"]
targets:
  bus: {{mqtt: {{url: "mqtt://127.0.0.1:{port}"}}}}
{rules}
"""

PIPELINE_RULE = """  pipeline:
    sql: SELECT device, t, value * 2 AS twice FROM "pipit/v1/+/+/event/load" WHERE value < 50
    key: device
    to:
      - bus: {topic: "out/{device}", qos: 1}
"""

# An instance for each event, which waits for up to 30 days.
WAITING_WORKFLOW = """workflows:
  waiting:
    start: {from: "pipit/v1/+/+/event/load", key: "device || '/' || sequence"}
    variables: {value: value}
    steps:
      - paid: {await: {from: "pipit/v1/+/+/event/paid", key: order_id}, within: 30 d}
"""


def idle_rules(count):
    rows = []
    for n in range(count):
        rows.append(f"""  idle-{n}:
    sql: SELECT device, value * {n} AS v FROM "pipit/v1/+/+/event/other-{n}" WHERE value > {n}
    key: device
    to:
      - bus: {{topic: "out-{n}/{{device}}", qos: 1}}
""")
    return "".join(rows)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(fact, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = fact()
        if value:
            return value
        time.sleep(0.01)
    raise SystemExit(f"bench: {what}: not within {seconds} s")


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


class Bench:
    def __init__(self, build, work):
        self.tools = os.path.join(build, "tests", "bench")
        self.pipit = os.path.join(build, "hub", "pipit")
        self.work = work
        self.port = free_port()
        conf = os.path.join(work, "mosquitto.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(BROKER_CONF.format(port=self.port))
        self.broker = subprocess.Popen(["mosquitto", "-c", conf], stderr=subprocess.DEVNULL)
        wait_for(lambda: can_connect(self.port), 10, "mosquitto")
        self.runs = 0

    def close(self):
        self.broker.terminate()
        self.broker.wait(10)

    def tool(self, name, *args):
        process = subprocess.Popen([os.path.join(self.tools, "bench-" + name), str(self.port), *map(str, args)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if name in ("sink", "relay"):
            process.stderr.readline()  # "ready"
        return process

    @staticmethod
    def result(process, seconds=300):
        out, err = process.communicate(timeout=seconds)
        if not out:
            raise SystemExit(f"bench: {process.args[0]} gave nothing: {err}")
        return json.loads(out)

    def hub(self, rules, more=""):
        self.runs += 1
        directory = os.path.join(self.work, f"hub-{self.runs}")
        os.mkdir(directory)
        conf = os.path.join(directory, "hub.yaml")
        with open(conf, "w", encoding="ascii") as f:
            f.write(HUB_CONF.format(run=self.runs, dir=directory, port=self.port, rules=("rules:\n" + rules if rules else "") + more))
        return self.start(conf)

    def start(self, conf):
        log = open(os.path.join(os.path.dirname(conf), "log"), "a", encoding="utf-8")
        process = subprocess.Popen([self.pipit, "hub", "-c", conf], stderr=log)
        process.conf = conf
        wait_for(lambda: self.is_subscribed(process), 20, "the hub")
        return process

    def status(self, hub):
        done = subprocess.run([self.pipit, "status", "-c", hub.conf, "--json", "--interval", "0"], capture_output=True, text=True,
                              check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None

    def is_subscribed(self, hub):
        if hub.poll() is not None:
            raise SystemExit("bench: the hub ended; its log is in " + os.path.dirname(hub.conf))
        status = self.status(hub)
        return status is not None and all(s.get("up") for s in status["sources"]) and \
            all(t.get("up") for t in status["targets"])

    @staticmethod
    def stop(process):
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    def load(self, count, rate=0, devices=100, window=2000):
        return self.result(self.tool("load", count, rate, window, devices, 200))

    def ingest_bare(self, count):
        relay = self.tool("relay", "count")
        load = self.load(count)
        time.sleep(0.3)
        self.wait_quiet(relay.pid)
        relay.send_signal(signal.SIGTERM)
        got = self.result(relay)
        assert got["count"] == count, got
        return count / ((got["last_us"] - load["start_us"]) / 1e6)

    @staticmethod
    def wait_quiet(pid):
        last = cpu_seconds(pid)
        for _ in range(200):
            time.sleep(0.2)
            now = cpu_seconds(pid)
            if now == last:
                return
            last = now

    def ingest_hub(self, count):
        hub = self.hub("")
        load = self.load(count)
        wait_for(lambda: self.status(hub)["books"]["received"] >= count, 120, "the hub has them all")
        end_us = time.monotonic() * 1e6
        books = self.status(hub)["books"]
        assert books["received"] == count and books["duplicate"] == 0, books
        self.stop(hub)
        return count / ((end_us - load["start_us"]) / 1e6)

    def pipeline(self, count, hub=None, rate=0, devices=100):
        expected = sum(1 for n in range(count) if (n + n // devices) % 100 < 50)
        sink = self.tool("sink", "out/#", expected, 10000)
        relay = None if hub else self.tool("relay", "prompt" if rate else "relay")  # Each at its best.
        pid = hub.pid if hub else relay.pid
        cpu = cpu_seconds(pid)
        load = self.load(count, rate, devices)
        got = self.result(sink)
        cpu = cpu_seconds(pid) - cpu
        if relay:
            relay.send_signal(signal.SIGTERM)
            relay.wait(10)
        assert got["count"] >= expected, (got, expected)
        seconds = (got["last_us"] - load["start_us"]) / 1e6
        return {"rate": count / seconds, "cpu_us": cpu * 1e6 / count, **got}

    def pipeline_hub(self, count, rules=PIPELINE_RULE, **options):
        hub = self.hub(rules)
        try:
            return self.pipeline(count, hub, **options)
        finally:
            self.stop(hub)

    def idle_rss(self):
        hub = self.hub(PIPELINE_RULE)
        time.sleep(2)
        value = rss_mb(hub.pid)
        self.stop(hub)
        return value

    def devices_rss(self, count):
        hub = self.hub(PIPELINE_RULE)
        self.pipeline(count, hub, devices=10000)
        value = rss_mb(hub.pid)
        self.stop(hub)
        return value

    def rules_rss(self, rules, devices, count):
        """RSS of a hub with so many rules on as many filters, after events of so many devices."""
        hub = self.hub(PIPELINE_RULE + idle_rules(rules - 1))
        idle = rss_mb(hub.pid)
        rate = self.pipeline(count, hub, devices=devices)["rate"]
        time.sleep(6)  # What the burst took has been given back.
        value, peak = rss_mb(hub.pid), rss_mb(hub.pid, "VmHWM")
        self.stop(hub)
        return idle, value, peak, rate

    def waiting(self, count):
        """RSS of a hub with so many instances of a workflow that wait, at its most and after a restart, and how
        long the restart took."""
        hub = self.hub("", WAITING_WORKFLOW)
        self.load(count)
        wait_for(lambda: self.status(hub)["books"]["routed"] >= count, 120, "all instances wait")
        peak = rss_mb(hub.pid, "VmHWM")
        self.stop(hub)
        begun = time.monotonic()
        hub = self.start(hub.conf)
        seconds = time.monotonic() - begun
        time.sleep(2)
        value = rss_mb(hub.pid)
        self.stop(hub)
        return value, peak, seconds

    def queries(self, tool, events, rounds):
        done = subprocess.run([os.path.join(self.tools, tool), str(events), str(rounds)], capture_output=True, text=True,
                              check=True, cwd=self.work)
        return json.loads(done.stdout)

    def client(self, kind, count):
        """One publisher at QoS 1, 20 publishes under way."""
        return self.result(self.tool("clients", kind, count, 200, 20))


def median(values):
    return statistics.median(values)


def machine_facts():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    version = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.splitlines()
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "broker": version[0] if version else "mosquitto"}


def workflow_rows(bench, row, notes, rounds, scale):
    runs = [bench.queries("bench_workflows", 100000 // scale, 2000 // scale) for _ in range(rounds)]

    def of(*path):
        values = runs
        for name in path:
            values = [value[name] for value in values]
        return median(values)

    row("workflow_steps_per_s", of("steps_per_s"), "calls answered, durable, in batches of up to 200", rounds)
    row("workflow_starts_per_s", of("many", "starts_per_s"), "instances, durable, in batches of 500", rounds)
    row("workflow_bytes_per_instance", of("many", "bytes_per_instance"), "bytes of store for one that waits", rounds)
    notes.append(f"workflows: a step (a call goes out, its answer comes back) costs {of('step_cpu_us'):.1f} CPU-us; one after "
                 f"the other, each with a sync of its own, {of('single_steps_per_s'):.0f} steps/s")
    for name in ("few", "many"):
        notes.append(f"workflows, {of(name, 'waiting'):.0f} wait: an event wakes one for {of(name, 'wake_cpu_us'):.1f} CPU-us, "
                     f"the core opens in {of(name, 'core_open_ms'):.1f} ms (the store, with its check, in "
                     f"{of(name, 'store_open_ms'):.1f} ms)")


def measure(bench, rounds, scale):
    rows, notes = [], []

    def row(name, value, unit, runs):
        rows.append({"name": name, "value": round(value, 3), "unit": unit, "runs": runs})
        print(f"{name:28} {value:12.3f} {unit} ({runs} runs)", flush=True)

    count = 200000 // scale
    bare, hub = [], []
    for _ in range(rounds):
        bare.append(bench.ingest_bare(count))
        hub.append(bench.ingest_hub(count))
    row("ingest_ratio", median(hub) / median(bare), "hub / bare subscriber", rounds)
    notes.append(f"ingest: bare {median(bare):.0f} events/s, hub {median(hub):.0f} events/s, {count} events a round")

    relay, hub = [], []
    for _ in range(rounds):
        relay.append(bench.pipeline(count))
        hub.append(bench.pipeline_hub(count))
    row("pipeline_ratio", median(r["rate"] for r in hub) / median(r["rate"] for r in relay), "hub / relay", rounds)
    row("hub_cpu_us_per_event", median(r["cpu_us"] for r in hub), "us", rounds)
    notes.append(f"pipeline: relay {median(r['rate'] for r in relay):.0f} events/s at "
                 f"{median(r['cpu_us'] for r in relay):.1f} CPU-us each, hub {median(r['rate'] for r in hub):.0f} "
                 f"at {median(r['cpu_us'] for r in hub):.1f}")

    added = {}
    for rate in (1000, 5000):
        relay, hub = [], []
        for _ in range(rounds):
            relay.append(bench.pipeline(rate * 4, rate=rate))
            hub.append(bench.pipeline_hub(rate * 4, rate=rate))
        for name in ("p50_us", "p99_us", "p999_us"):
            of_relay, of_hub = median(r[name] for r in relay), median(r[name] for r in hub)
            added[rate, name] = (of_hub - of_relay) / 1000
            notes.append(f"latency at {rate}/s {name[:-3]}: relay {of_relay / 1000:.2f} ms, hub {of_hub / 1000:.2f} ms")
    row("latency_added_p50_ms", max(added[1000, "p50_us"], added[5000, "p50_us"]), "ms, worse of 1,000/s and 5,000/s",
        rounds)

    row("idle_rss_mb", median([bench.idle_rss() for _ in range(3)]), "MB", 3)
    row("rss_10k_devices_mb", bench.devices_rss(100000 // scale), "MB", 1)

    one, _, _, _ = bench.rules_rss(1, 100, 1000)
    idle, busy, peak, rate = bench.rules_rss(1000, 10000, 100000 // scale)
    row("rss_1000_rules_mb", busy, "MB with 1,000 rules on 1,000 filters, after events of 10,000 devices", 1)
    notes.append(f"1,000 rules and 10,000 devices: {rate:.0f} events/s, {peak:.1f} MB at most")
    notes.append(f"1,000 rules: {idle:.1f} MB idle (1 rule: {one:.1f}), which is {(idle - one) * 1024 / 999:.1f} KB a rule")

    few, _, few_s = bench.waiting(1000)
    many, peak, many_s = bench.waiting(100000 // scale)
    row("rss_100k_instances_mb", many, "MB with 100,000 instances that wait for up to 30 days", 1)
    notes.append(f"{100000 // scale} instances that wait: {many:.1f} MB after a restart that took {many_s:.2f} s until all "
                 f"was up, {peak:.1f} MB at most while they began; 1,000: {few:.1f} MB, {few_s:.2f} s")
    workflow_rows(bench, row, notes, rounds, scale)

    queries = bench.queries("bench_queries", 1000000 // scale, rounds)
    queries.update(bench.queries("bench_windows", 1000000 // scale, rounds))
    for name, value in queries.items():
        if isinstance(value, list):
            row(name, value[0], "CPU ns an event", rounds)
            notes.append(f"{name}: {value[0]} as a rule, {value[1]} as the same query in SQLite over a table in memory "
                         f"({queries['events']} events)")

    clients = {"own": [], "paho": [], "mosquitto": []}
    for _ in range(rounds):
        for kind, runs in clients.items():
            runs.append(bench.client(kind, count // 2))
    cpu_us = {kind: median(r["cpu_us"] for r in runs) for kind, runs in clients.items()}
    row("client_cpu_ratio", cpu_us["own"] / cpu_us["mosquitto"], "own client / libmosquitto, CPU a publish", rounds)
    row("client_paho_cpu_ratio", cpu_us["own"] / cpu_us["paho"], "own client / paho port, CPU a publish", rounds)
    for kind, runs in clients.items():
        notes.append(f"client {kind}: {cpu_us[kind]:.1f} CPU-us a publish, {median(r['rss_mb'] for r in runs):.1f} MB, "
                     f"{count // 2 / median(r['seconds'] for r in runs):.0f} publishes/s")

    rates = {1: [], 100: [], 1000: []}
    for _ in range(rounds):
        for rules, values in rates.items():
            values.append(bench.pipeline_hub(count, PIPELINE_RULE + idle_rules(rules - 1))["rate"])
    row("rules_1000_ratio", median(rates[1000]) / median(rates[1]), "rate with 1,000 rules / with 1", rounds)
    for rules, values in rates.items():
        notes.append(f"{rules} rules, one matching: {median(values):.0f} events/s")
    return rows, notes


def write(out, rows, notes, facts):
    with open(os.path.join(out, "bench.json"), "w", encoding="utf-8") as f:
        json.dump(rows, f, indent=2)
        f.write("\n")
    lines = ["# Bench", "", "Written by `./dev bench`. Ratios compare medians of interleaved rounds within one run; "
             "absolute figures are of a shared machine and say little elsewhere.", "",
             f"Machine: {facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}, {facts['broker']}. "
             "Broker, load, sink and hub share it. 200-byte events, QoS 1, one publisher, synced store.", "",
             "The relay is bare libmosquitto and stores nothing; it runs at its best: with the library's defaults where the "
             "rate is measured, with TCP_NODELAY and TCP_QUICKACK where latency is (left alone it waits 8 ms for delayed "
             "acknowledgements).", "",
             "| name | value | unit | runs |", "|---|---|---|---|"]
    lines += [f"| `{r['name']}` | {r['value']} | {r['unit']} | {r['runs']} |" for r in rows]
    lines += ["", "## The figures behind the ratios", ""] + [f"- {note}" for note in notes] + [""]
    with open(os.path.join(out, "BENCH.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events, one round")
    parser.add_argument("--out", default=None, help="folder for bench.json and BENCH.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pipit-bench-") as work:
        bench = Bench(arguments.build, work)
        try:
            rows, notes = measure(bench, 1 if arguments.quick else arguments.rounds, 10 if arguments.quick else 1)
        finally:
            bench.close()
    if arguments.out:
        write(arguments.out, rows, notes, machine_facts())
    return 0


if __name__ == "__main__":
    sys.exit(main())
