"""`pipit explain`, `pipit bench-rule`, and what `pipit check` finds beyond syntax: why a rule fires or not, what it
costs, the column that no payload can have."""

import json

import pytest
from harness import Client, wait_for
from harness import pipit as run

HUB = """hub: {id: plant-7, store: hub.db, quarantine_limit: 1 MB}
sources: {plant: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["legacy/#", "pipit/v1/+/+/event/#"]}}
devices: {legacy: {from: "legacy/+/t", device: topic_part(2), sequence: n}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}}
rules:
  hot:
    sql: |
      SELECT device, celsius, room.name AS name FROM "legacy/+/t" e
      JOIN (SELECT 'a' AS id, 'boiler' AS name) AS room ON room.id = e.device
      WHERE celsius BETWEEN 30 AND 90 AND (site = 'x' OR site IS NULL) AND "tank.level" > 5
    to: [{bus: {topic: "hot/{device}"}}]
  rise:
    sql: SELECT celsius FROM "legacy/+/t" WHERE changed(celsius, 0.5)
    to: [{bus: {topic: rise}}]
  fails:
    sql: SELECT abs(n - 9223372036854775807 - n - 1) AS x FROM "legacy/+/t"
    to: [{bus: {topic: fails}}]
  other:
    sql: SELECT 1 AS one FROM "pipit/v1/+/+/event/#"
    to: [{bus: {topic: other}}]
"""


def pipit(*arguments, **more):
    return run(*arguments, check=False, **more)


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "hub.yaml").write_text(HUB, encoding="utf-8")
    return tmp_path / "hub.yaml"


def explained(hub, payload, *more, topic="legacy/a/t"):
    done = pipit("explain", "-c", hub, "--topic", topic, "--payload", payload, "--json", *more)
    assert done.returncode == 0, done.stderr
    explanation = json.loads(done.stdout)
    return explanation, {rule["rule"]: rule for rule in explanation["rules"]}


def test_each_term_has_its_truth_and_its_values(hub):
    explanation, rules = explained(hub, '{"n": 3, "celsius": 31, "tank": {"level": 4}}')
    assert explanation["read"]["device"] == "a" and explanation["read"]["sequence"] == 3
    assert explanation["read"]["id"] == "legacy/a/0/3"
    hot = rules["hot"]
    assert [(term["sql"], term["value"], term["columns"]) for term in hot["terms"]] == [
        ("celsius BETWEEN 30 AND 90", True, {"celsius": 31}),
        ("(site = 'x' OR site IS NULL)", True, {"site": None}),
        ('"tank.level" > 5', False, {"tank.level": 4}),
    ]
    assert hot["missing"] == [{"column": "site"}] and hot["rows"] == 0 and hot["deliveries"] == []


def test_what_would_be_delivered(hub):
    _, rules = explained(hub, '{"n": 3, "celsius": 31, "tank": {"level": 6}}')
    (delivery,) = rules["hot"]["deliveries"]
    assert json.loads(delivery["payload"]) == {"device": "a", "celsius": 31, "name": "boiler"}
    assert (delivery["target"], delivery["topic"], delivery["key"]) == ("bus", "hot/a", "legacy/a")


def test_what_a_join_does_not_find_is_said(hub):
    _, rules = explained(hub, '{"n": 3, "celsius": 31}', topic="legacy/b/t")
    assert "what it joins has no row for this event" in rules["hot"]["notes"]


def test_a_filter_is_left_at_a_level(hub):
    _, rules = explained(hub, "{}")
    assert rules["other"] == {"rule": "other", "filter": "pipit/v1/+/+/event/#", "matches": False,
                              "why": 'level 1 is "legacy", the filter wants "pipit"'}


def test_a_failure_and_a_memory_are_told(hub):
    _, rules = explained(hub, '{"n": 3, "celsius": 31}')
    assert "integer overflow" in rules["fails"]["failure"]
    assert "remembers earlier events" in rules["rise"]["notes"][0]
    assert rules["rise"]["deliveries"][0]["topic"] == "rise"


def test_the_nearest_field_is_named(hub):
    done = pipit("explain", "-c", hub, "--topic", "legacy/a/t", "--payload", '{"n": 3, "celsuis": 31}', "--rule", "hot")
    assert "column celsius is NULL: the payload has no such field; it has celsuis" in done.stdout
    assert "NULL   celsius BETWEEN 30 AND 90   (celsius = NULL)" in done.stdout and "rise" not in done.stdout


def test_what_cannot_be_read_reaches_no_rule(hub):
    explanation, rules = explained(hub, '{"n": ')
    assert "JSON" in explanation["read"]["problem"]
    assert rules["hot"]["why"] == "the message is rejected before any rule"


def test_what_is_wrong_with_the_command_line(hub, tmp_path):
    def message(*arguments):
        done = pipit("explain", "-c", hub, *arguments)
        return done.returncode, done.stderr

    assert message() == (2, "pipit explain: one of --topic, --id and --quarantine says which message\n"
                            "Try: pipit explain --help\n")
    assert message("--topic", "a", "--id", "b")[0] == 2
    assert message("--topic", "a/b", "--rule", "hto") == (1, "pipit explain: there is no rule 'hto'\n")
    code, text = message("--topic", "a", "--properties", "[1]")
    assert code == 1 and "must be a JSON object" in text
    code, text = message("--topic", "a", "--payload-file", tmp_path / "none")
    assert code == 1 and "none" in text
    code, text = message("--quarantine", "1")
    assert code == 4 and "hub.db" in text  # There is no store.
    assert message("--id", "a/b/1/2")[0] == 4
    code, text = message("--quarantine", "x")
    assert code == 2 and "--quarantine" in text


LIVE = """hub: {{id: plant-7, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
history: {{keep: 1 h}}
sources: {{plant: {{mqtt: {{url: "{url}", probe: false}}, topics: ["legacy/#"]}}}}
devices: {{legacy: {{from: "legacy/+/t", device: topic_part(2), sequence: n}}}}
targets: {{bus: {{mqtt: {{url: "{url}"}}}}}}
rules:
  hot:
    sql: SELECT celsius FROM "legacy/+/t" WHERE celsius > 30
    to: [{{bus: {{topic: hot}}}}]
"""


def test_what_a_hub_has_kept(start_hub, broker):
    hub = start_hub(LIVE.format(url=broker.url)).wait_ready()
    with Client(broker.port) as client:
        client.publish("legacy/a/t", b'{"n": ')
        client.publish("legacy/a/t", b'{"n": 4, "celsius": 29}').wait_for_publish(10)
    wait_for(lambda: json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]["received"] == 2)
    done = pipit("explain", "-c", hub.config, "--quarantine", "1")
    assert done.returncode == 0 and "legacy/a/t" in done.stdout and "rejected" in done.stdout, done.stderr
    none = pipit("explain", "-c", hub.config, "--quarantine", "7")
    assert none.returncode == 1 and "there is no entry 7 in the quarantine" in none.stderr
    done = pipit("explain", "-c", hub.config, "--id", "legacy/a/0/4")
    assert done.returncode == 0 and "false  celsius > 30   (celsius = 29)" in done.stdout, done.stderr
    for n, is_seen in ((4, True), (5, False)):
        done = pipit("explain", "-c", hub.config, "--topic", "legacy/a/t", "--payload", json.dumps({"n": n}), "--json")
        assert ("duplicate" in json.loads(done.stdout)["read"]) == is_seen, done.stdout
    none = pipit("explain", "-c", hub.config, "--id", "legacy/a/0/5")
    assert none.returncode == 1 and "event legacy/a/0/5 is not in the history" in none.stderr


# ---- bench-rule ---------------------------------------------------------------------------------

def test_what_a_rule_costs(hub, tmp_path):
    sample = tmp_path / "sample.txt"
    sample.write_text('legacy/a/t {"n": 1, "celsius": 40, "tank": {"level": 6}}\n\nlegacy/a/t {"n": 2}\r\n')
    done = pipit("bench-rule", "hot", "-c", hub, "--sample", sample, "--events", "2000", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    cost = json.loads(done.stdout)
    assert (cost["events"], cost["sample"], cost["deliveries"], cost["rejected"]) == (2000, 2, 1000, 0)
    assert cost["instructions"] > 5 and cost["ns"] > 0
    again = pipit("bench-rule", "hot", "-c", hub, "--sample", sample, "--events", "2000", "--rounds", "1", "--json")
    assert json.loads(again.stdout)["instructions"] == cost["instructions"]  # They are exact.
    text = pipit("bench-rule", "hot", "-c", hub, "--sample", sample, "--events", "1000", "--rounds", "1").stdout
    assert "ns an event" in text and "events/s of one core" in text


def test_a_sample_of_payloads(hub, tmp_path):
    sample = tmp_path / "sample.ndjson"
    sample.write_text('{"n": 1, "celsius": 40, "tank": {"level": 6}}\n')
    done = pipit("bench-rule", "hot", "-c", hub, "--sample", sample, "--topic", "legacy/a/t", "--events", "1000",
                 "--rounds", "1", "--json")
    assert json.loads(done.stdout)["deliveries"] == 1000


@pytest.mark.parametrize("why,arguments,text", [
    ("no rule", ["--sample", "SAMPLE"], "which rule?"),
    ("a rule that is none", ["hto", "--topic", "legacy/a/t", "--sample", "SAMPLE"], "there is no rule 'hto'; did you mean 'hot'?"),
    ("no sample", ["hot"], "--sample"),
    ("a sample that is not there", ["hot", "--sample", "none.txt"], "none.txt"),
    ("a line without a payload", ["hot", "--sample", "SAMPLE"], "SAMPLE:1: a line is a topic, a blank and a payload"),
])
def test_what_bench_rule_cannot_do(hub, tmp_path, why, arguments, text):
    sample = str(tmp_path / "sample.txt")
    (tmp_path / "sample.txt").write_text("legacy/a/t\n")
    done = pipit("bench-rule", "-c", hub, *[sample if word == "SAMPLE" else word for word in arguments])
    assert done.returncode in (1, 2) and text.replace("SAMPLE", sample) in done.stderr, why


# ---- check --------------------------------------------------------------------------------------

CLOSED = """hub: {id: plant-7, store: hub.db}
sources: {plant: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["legacy/+/t"]}}
formats:
  legacy: {from: "legacy/+/t", json: {}, fields: {celsius: number, site: text}, closed: true}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}}
rules:
  hot:
    sql: |
      SELECT device, celsius
      FROM "FILTER"
      WHERE celsius > 30
        AND COLUMN = 'x'
    to: [{bus: {topic: x}}]
"""


@pytest.mark.parametrize("why,column,topics,place", [
    ("it is there", "site", "legacy/+/t", None),
    ("it is not", "siet", "legacy/+/t", ":12:13: "),
    ("standard columns always are", "device_group", "legacy/+/t", None),
    ("another topic may have it", "siet", "legacy/#", None),
    ("quoted names are found, too", '"site.name"', "legacy/+/t", ":12:13: "),
])
def test_the_column_that_no_payload_can_have(tmp_path, why, column, topics, place):
    path = tmp_path / "hub.yaml"
    path.write_text(CLOSED.replace("COLUMN", column).replace("FILTER", topics))
    done = pipit("check", "-c", path)
    assert (done.returncode == 3) == (place is not None), f"{why}: {done.stderr}"
    if place is not None:
        assert done.stderr.startswith(f"{path}{place}rule \"hot\": no payload"), done.stderr
    if column == "siet" and place is not None:
        assert 'did you mean "site"?' in done.stderr


def test_columns_of_a_window_are_no_fields(tmp_path):
    path = tmp_path / "hub.yaml"
    path.write_text(CLOSED.replace("COLUMN", "site").replace("FILTER", "legacy/+/t").replace(
        "device, celsius", "window_start, window_END, window_key, window_count").replace(
        "    to: [", "    window: {tumbling: 1 h, by: arrival}\n    to: ["))
    done = pipit("check", "-c", path)
    assert done.returncode == 0, done.stderr
    _, rules = explained(path, '{"celsius": 31, "site": "x"}')
    assert "missing" not in rules["hot"] and rules["hot"]["window"].startswith("enters the window from ")
    assert len(rules["hot"]["deliveries"]) == 1


def test_a_rule_that_nothing_reaches_is_a_warning(tmp_path):
    path = tmp_path / "hub.yaml"
    path.write_text(CLOSED.replace("COLUMN", "site").replace("FILTER", "other/+"))
    done = pipit("check", "-c", path)
    assert done.returncode == 0
    assert done.stderr == (f'{path}:10:13: warning: rule hot: no source subscribes to anything that "other/+" '
                           "matches\n")
    machine = json.loads(pipit("check", "-c", path, "--json").stdout)
    assert machine["ok"] and machine["faults"] == [] and len(machine["warnings"]) == 1


def test_rules_that_feed_rules_hide_no_rule_that_nothing_reaches(tmp_path):
    path = tmp_path / "hub.yaml"
    fed = CLOSED.replace("COLUMN", "site").replace("FILTER", "legacy/+/t").replace(
        "to: [", 'to: [{rules: {topic: "mean/{device}"}}, ') + (
        '  next: {sql: SELECT device FROM "NEXT", to: [{bus: {topic: y}}]}\n')
    path.write_text(fed.replace("NEXT", "mean/+"))
    assert pipit("check", "-c", path).stderr == ""
    path.write_text(fed.replace("NEXT", "means/+"))
    assert pipit("check", "-c", path).stderr.endswith(
        'warning: rule next: no source subscribes to anything that "means/+" matches, and no rule feeds it\n')


def test_an_event_without_a_time_enters_no_window_by_time(tmp_path):
    path = tmp_path / "hub.yaml"
    timed = CLOSED.replace("COLUMN", "site").replace("FILTER", "legacy/+/t").replace(
        "    to: [", "    window: {tumbling: 1 h}\n    to: [")
    path.write_text(timed)
    _, rules = explained(path, '{"celsius": 31, "site": "x"}')
    assert rules["hot"]["window"].startswith("has no time, ")


WORKFLOWS = """hub: {id: plant-7, store: hub.db}
sources: {plant: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["shop/#"]}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}}
workflows:
  order:
    start: {from: "shop/orders", where: "amount > 0", key: number}
    variables: {amount: amount}
    steps:
      - paid:
          await: {from: "shop/payments", key: event.number, where: "event.amount >= my.amount"}
          within: 2 d
          on_error: [{late: {await: {from: "shop/+", key: topic_part(2)}}}]
"""

# why, topic, payload, the lines about workflows
TOLD = [
    ("it starts", "shop/orders", '{"number": 7, "amount": 1}',
     ["workflow order: starts, key 7", 'workflow order: step late awaits it, key "orders"']),
    ("where says no", "shop/orders", '{"number": 7, "amount": 0}',
     ["workflow order: does not start: where is not true: amount > 0", 'workflow order: step late awaits it, key "orders"']),
    ("there is no key", "shop/payments", "{}",
     ["workflow order: step paid does not take it: its key is NULL", 'workflow order: step late awaits it, key "payments"']),
    ("other topics are not told of", "shop/a/b", "{}", []),
]


@pytest.mark.parametrize("why,topic,payload,told", TOLD, ids=[row[0] for row in TOLD])
def test_workflows_that_an_event_is_for(tmp_path, why, topic, payload, told):
    (tmp_path / "hub.yaml").write_text(WORKFLOWS, encoding="utf-8")
    done = pipit("explain", "-c", tmp_path / "hub.yaml", "--topic", topic, "--payload", payload)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("workflow")] == told, why
