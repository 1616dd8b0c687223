"""`pipit test` of workflows: scripted answers and replies, presence, operators, how instances are at the
end; and what is told when a case is wrong or says too little."""

import json
import xml.etree.ElementTree

import pytest
from harness import ROOT
from harness import pipit as run

HUB = """hub: {id: test, store: hub.db}
sources: {plant: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["t/+", "pipit/v1/+/+/status", "pipit/v1/+/+/reply/#"]}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}, shop: {http: {url: "http://127.0.0.1", timeout: 20 s, body_max: 1 KB}}}
workflows:
  ask:
    start: {from: "t/ask", key: name}
    variables: {price: "NULL"}
    steps:
      - price: {call: {to: shop, method: GET, path: "/prices/{my.key}"}, within: 1 min, take: {price: body.price}}
      - tell:  {emit: {to: bus, topic: "prices/{my.key}", fields: {price: price}}}
  lift:
    start: {from: "t/lift", key: name}
    variables: {level: "NULL"}
    steps:
      - lift:
          command: {to: bus, device: "'plant/' || my.key", name: lift}
          within: 10 s
          take: {level: body.level}
          undo: [{lower: {command: {to: bus, device: "'plant/' || my.key", name: lower}}}]
      - wait: {await: {from: "t/done", key: name}}
"""

ASK = "{topic: t/ask, json: {name: a}}"
LIFT = "{topic: t/lift, json: {name: l1}}"


def pipit(*arguments):
    return run(*arguments, check=False)


def write(folder, cases, hub=HUB):
    (folder / "hub.yaml").write_text(hub, encoding="utf-8")
    (folder / "cases.yaml").write_text(cases, encoding="utf-8")
    return folder


def case(events, *rest):
    events = "\n".join(f"      - {event}" for event in ([events] if isinstance(events, str) else events))
    return f"cases:\n  one:\n    events:\n{events}\n" + "".join(f"    {line}\n" for line in rest)


PRICE = 'answers: [{shop: {json: {price: 3}}}]'
LEVEL = 'replies: [{plant/l1: {fields: {level: 2}}}]'

# why, events, the rest
PASS = [
    ("an answer", ASK, [PRICE, "expect: [{shop: {topic: GET /prices/a}}, {bus: {json: {price: 3}}}]",
                        "instances: [{ask/a: {state: completed, steps: [price, tell], variables: {price: 3}}}]"]),
    ("a late one", [ASK, "{after: 1 min}"],
     ["answers: [{shop: {json: {price: 3}, after: 5 s}}]", "expect: [{shop: {after: 0 s}}, {bus: {after: 5 s}}]"]),
    ("one that is on its way", ASK,
     ["answers: [{shop: {json: {price: 3}, after: 5 s}}]", "instances: [{ask/a: {state: running, waiting: [price]}}]"]),
    ("a no", ASK, ["answers: [{shop: {status: 404}}]",
                   "instances: [{ask/a: {state: failed, error: refused, steps: [{price: refused}]}}]"]),
    ("a verdict", ASK, ["answers: [{shop: {verdict: reject, reason: sold out}}]",
                        "instances: [{ask/a: {state: failed, reason: sold out}}]"]),
    ("never: the target's own timeout ends it", [ASK, "{after: 1 min}"],
     ["answers: [{shop: {verdict: never}}]", "instances: [{ask/a: {state: failed, error: unavailable, after: 20 s}}]"]),
    ("later than the target's timeout is never", [ASK, "{after: 2 min}"],
     ["answers: [{shop: {json: {price: 3}, after: 30 s}}]",
      "instances: [{ask/a: {state: failed, error: unavailable, after: 20 s}}]"]),
    ("a body that is too long", ASK,
     ["answers: [{shop: {text: " + "x" * 2000 + "}}]", "instances: [{ask/a: {state: failed, error: answer}}]"]),
    ("the first that fits and is not used up", [ASK, ASK.replace("name: a", "name: b"), ASK.replace("name: a", "name: c")],
     ["answers:", "  - shop: {topic: GET /prices/b, json: {price: 9}}", "  - shop: {json: {price: 1}, times: 1}",
      "  - shop: {json: {price: 2}}",
      "instances: [{ask/a: {variables: {price: 1}}}, {ask/b: {variables: {price: 9}}}, {ask/c: {variables: {price: 2}}}]"]),
    ("a reply", LIFT, [LEVEL, "expect: [{bus: {topic: pipit/v1/plant/l1/command/lift, command: {}}}]",
                       "instances: [{lift/l1: {state: running, waiting: [wait], variables: {level: 2}}}]"]),
    ("a device of any group", LIFT, ['replies: [{+/l1: {command: lift, fields: {level: 2}}}]',
                                     "instances: [{lift/l1: {variables: {level: 2}}}]"]),
    ("a reply that says no", LIFT, ["replies: [{plant/l1: {status: 5, message: jammed}}]",
                                    "instances: [{lift/l1: {state: failed, error: refused, reason: jammed}}]"]),
    ("no reply, and it is undone", [LIFT, "{after: 1 min}"],
     ["replies: [{plant/l1: {command: lift, never: true}}]",
      "expect: [{bus: {topic: pipit/v1/plant/l1/command/lift}}, {bus: {topic: pipit/v1/plant/l1/command/lower}}]",
      "instances: [{lift/l1: {state: failed, error: timeout, steps: [{lift: timeout}, lower]}}]"]),
    ("a broker that does not take a command", [LIFT, "{after: 1 min}"],
     ["answers: [{bus: {topic: pipit/v1/plant/l1/command/lift, verdict: reject, reason: not allowed}}]",
      "instances: [{lift/l1: {state: failed, error: refused, reason: not allowed, steps: [{lift: refused}]}}]"]),
    ("one that takes it late", [LIFT, "{after: 1 min}"],
     ["answers: [{bus: {topic: pipit/v1/plant/l1/command/lift, after: 2 s}}]", LEVEL,
      "instances: [{lift/l1: {variables: {level: 2}, waiting: [wait]}}]"]),
    ("offline, then online", ["{offline: plant/l1}", LIFT, "{after: 8 s, online: plant/l1}"],
     [LEVEL, "expect: [{bus: {after: 8 s}}]", "instances: [{lift/l1: {state: running, waiting: [wait]}}]"]),
    ("an operator cancels", [LIFT, "{after: 1 s, cancel: lift/l1}"],
     [LEVEL, "expect: [{bus: {}}, {bus: {topic: pipit/v1/plant/l1/command/lower, after: 1 s}}]",
      "instances: [{lift/l1: {state: cancelled}}]"]),
    ("or abandons", [LIFT, "{after: 1 s, abandon: lift/l1}"],
     [LEVEL, "expect: [{bus: {}}]", "instances: [{lift/l1: {state: cancelled}}]"]),
    ("instances of a key by number", [LIFT, "{after: 1 s, cancel: lift/l1}", "{after: 1 s, topic: t/lift, json: {name: l1}}"],
     [LEVEL, "instances: [{lift/l1: {number: 1, state: cancelled}}, {lift/l1: {number: 2, state: running}}, "
             "{lift/l1: {state: running}}]"]),
    ("nothing has begun", "{topic: t/other, json: {}}", ["instances: nothing"]),
]


@pytest.mark.parametrize("why,events,rest", PASS, ids=[row[0] for row in PASS])
def test_what_a_case_can_say(tmp_path, why, events, rest):
    done = pipit("test", write(tmp_path, case(events, *rest)))
    assert done.returncode == 0, why + "\n" + done.stdout + done.stderr


def test_a_step_that_waits_shorter_than_its_target(tmp_path):
    """As with a real server: the call ends with the step's `within`, and the next attempt goes out at once."""
    hub = HUB.replace("within: 1 min", "within: 3 s, retry: {attempts: 3, backoff: 200 ms}")
    rest = ["answers: [{shop: {verdict: never, times: 1}}, {shop: {json: {price: 3}}}]",
            "expect: [{shop: {after: 0 s}}, {shop: {}}, {bus: {}}]", "instances: [{ask/a: {state: completed}}]"]
    done = pipit("test", write(tmp_path, case([ASK, "{after: 4 s}"], *rest), hub))
    assert done.returncode == 0, done.stdout + done.stderr
    rest = ["answers: [{shop: {verdict: never}}]", "expect: [{shop: {count: 3}}]",
            "instances: [{ask/a: {state: failed, error: timeout}}]"]
    done = pipit("test", write(tmp_path, case([ASK, "{after: 10 s}"], *rest), hub))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("items, what", [("null", "NULL"), ("5", "a number or bytes"), ("plant/l1", "'plant/l1'"),
                                         ('"' + "ü" * 40 + '"', "'" + "ü" * 30 + "...'")])
def test_a_for_each_without_a_list_says_what_there_is(tmp_path, items, what):
    """Mostly it is a field that the event does not have, or one device without its brackets."""
    hub = HUB + """  each:
    start: {from: "t/each", key: name}
    variables: {items: items}
    steps: [{each: {for_each: items, as: item, steps: [{pause: {sleep: 1 s}}]}}]
"""
    rest = ["instances:", "  - each/a:", "      state: failed", "      error: expression",
            f'      reason: "step each: for_each needs a JSON array, not {what}"']
    done = pipit("test", write(tmp_path, case(f"{{topic: t/each, json: {{name: a, items: {items}}}}}", *rest), hub))
    assert done.returncode == 0, done.stdout + done.stderr


# why, events, the rest, what has to be told
WRONG = [
    ("something is taken of an answer that nobody has told", ASK, ["expect: [{shop: {}}, {bus: {}}]"],
     ["cases.yaml:2:3: step price of ask/a takes something of the answer to this",
      'add `- shop: {topic: "GET /prices/a", json: {...}}` to `answers`']),
    ("the same of a reply", LIFT, ["instances: [{lift/l1: {}}]"],
     ["step lift of lift/l1 takes something of the reply to command lift",
      "add `- plant/l1: {command: lift, fields: {...}}` to `replies`"]),
    ("an answer that nobody asks for", ASK,
     ["answers: [{shop: {json: {price: 1}}}, {shop: {topic: POST /x}}]", "instances: [{ask/a: {}}]"],
     ["cases.yaml:5:44: answers: nothing (that one before it did not take) has been sent to shop on POST /x"]),
    ("a reply that nobody asks for", LIFT, ["replies: [{plant/l1: {command: lower}}, {plant/l1: {fields: {level: 1}}}]",
                                            "instances: [{lift/l1: {}}]"],
     ["replies: no command lower to plant/l1"]),
    ("another state", ASK, [PRICE, "instances: [{ask/a: {state: failed}}]"],
     ["ask/a: state: expected failed, got completed", 'expected  {"state":"failed"}', 'got       completed  steps ["price","tell"]']),
    ("a failure says why", ASK, ["answers: [{shop: {verdict: reject, reason: sold out}}]", "instances: [{ask/a: {state: completed}}]"],
     ["ask/a: state: expected completed, got failed (refused: ", "sold out"]),
    ("another variable", ASK, [PRICE, "instances: [{ask/a: {variables: {price: 4}}}]"],
     ["ask/a: variables: price: expected 4, got 3"]),
    ("other steps", ASK, [PRICE, "instances: [{ask/a: {steps: [price]}}]"],
     ["ask/a: steps: 1: expected nothing, got \"tell\""]),
    ("it waits elsewhere", LIFT, [LEVEL, "instances: [{lift/l1: {waiting: [lift]}}]"],
     ["lift/l1: waiting: 0: expected \"lift\", got \"wait\""]),
    ("another time", ASK, [PRICE, "instances: [{ask/a: {after: 1 s}}]"],
     ["ask/a: ended: expected 2026-01-01T00:00:01Z, got 2026-01-01T00:00:00Z"]),
    ("it has not ended", LIFT, [LEVEL, "instances: [{lift/l1: {after: 1 s}}]"], ["ended: expected", "got nothing"]),
    ("there is none", ASK, [PRICE, "instances: [{ask/b: {state: completed}}]"], ["there is no instance ask/b; begun have: a"]),
    ("there is one", ASK, [PRICE, "instances: nothing"], ["an instance has begun, which is not expected: ask/a"]),
    ("an operator finds nobody", "{cancel: ask/a}", ["expect: nothing"],
     ["cases.yaml:4:9: ask/a: there is no such instance that is not over"]),
    ("one that is not parked", [LIFT, "{retry: lift/l1}"], [LEVEL, "expect: [{bus: {}}]"], ["cases.yaml:5:9: workflow lift, key l1: it is running"]),
    ("fields of a command", LIFT, [LEVEL, "expect: [{bus: {command: {level: 1}}}]"],
     ["bus: command: level: expected 1, got nothing"]),
]


@pytest.mark.parametrize("why,events,rest,told", WRONG, ids=[row[0] for row in WRONG])
def test_a_difference_is_shown(tmp_path, why, events, rest, told):
    done = pipit("test", write(tmp_path, case(events, *rest)))
    assert done.returncode == 1, why + "\n" + done.stdout + done.stderr
    for text in told:
        assert text in done.stdout, why + "\n" + done.stdout


NOTHING = "expect: nothing"
# why, events, the rest, what has to be told
FAULTY = [
    ("a target that is none", ASK, ["answers: [{shp: {}}]", NOTHING],
     ["cases.yaml:5:16: answers: there is no target 'shp'; did you mean 'shop'?"]),
    ("a key that is none", ASK, ["answers: [{shop: {statsu: 200}}]", NOTHING],
     ["unknown key 'statsu' in answers: shop; did you mean 'status'?"]),
    ("a status of no HTTP server", ASK, ["answers: [{bus: {status: 200}}]", NOTHING],
     ["status: target bus is no HTTP server; say 'verdict'"]),
    ("a status that is none", ASK, ["answers: [{shop: {status: 99}}]", NOTHING], ["status"]),
    ("two bodies", ASK, ["answers: [{shop: {json: {}, text: a}}]", NOTHING], ["'json' and 'text'; only one can be"]),
    ("a filter that is none", ASK, ['answers: [{shop: {topic: "a/#/b"}}]', NOTHING], ["topic: 'a/#/b'"]),
    ("a verdict that is none", ASK, ["answers: [{shop: {verdict: maybe}}]", NOTHING], ["verdict", "done"]),
    ("two targets in one", ASK, ["answers: [{shop: {}, bus: {}}]", NOTHING],
     ["answers: each item is one target and what it answers, such as"]),
    ("no list", ASK, ["replies: {plant/l1: {}}", NOTHING], ["replies: must be a list, not a mapping"]),
    ("a reply's key", LIFT, ["replies: [{plant/l1: {field: {}}}]", NOTHING],
     ["unknown key 'field' in replies: plant/l1; did you mean 'fields'?"]),
    ("a reply's field", LIFT, ["replies: [{plant/l1: {fields: {a: [1]}}}]", NOTHING],
     ["field 'a' must be a text, a number or a boolean"]),
    ("a workflow that is none", ASK, ["instances: [{aks/a: {}}]"],
     ["cases.yaml:5:18: there is no workflow 'aks'; did you mean 'ask'?"]),
    ("no key", ASK, ["instances: [{ask: {}}]"], ["an instance is called <workflow>/<key>, such as order/17; not 'ask'"]),
    ("a state that is none", ASK, ["instances: [{ask/a: {state: done}}]"], ["state", "completed"]),
    ("an error that is none", ASK, ["instances: [{ask/a: {error: timout}}]"], ["did you mean 'timeout'?"]),
    ("an instance's key", ASK, ["instances: [{ask/a: {variable: {}}}]"], ["did you mean 'variables'?"]),
    ("an empty list", ASK, ["instances: []"], ["instances: must be a list of instances, or `nothing`"]),
    ("two events in one", "{online: a/b, cancel: ask/a}", [NOTHING], ["'online' and 'cancel'; only one can be"]),
    ("an operator's workflow", "{cancel: aks/a}", [NOTHING],
     ["cases.yaml:4:18: there is no workflow 'aks'; did you mean 'ask'?"]),
]


@pytest.mark.parametrize("why,events,rest,told", FAULTY, ids=[row[0] for row in FAULTY])
def test_a_fault_has_its_place(tmp_path, why, events, rest, told):
    done = pipit("test", write(tmp_path, case(events, *rest)))
    assert done.returncode == 3, why + "\n" + done.stdout + done.stderr
    for text in told:
        assert text in done.stderr, why + "\n" + done.stderr


def test_json_and_junit(tmp_path):
    write(tmp_path, case(ASK, PRICE, "instances: [{ask/a: {state: failed}}]"))
    done = pipit("test", tmp_path, "--json", "--junit", tmp_path / "out.xml")
    assert done.returncode == 1
    fault = json.loads(done.stdout)["files"][0]["cases"][0]["faults"][0]
    assert fault["what"] == "ask/a: state: expected failed, got completed" and fault["line"] == 6
    failure = xml.etree.ElementTree.parse(tmp_path / "out.xml").getroot().find("*/testcase/failure")
    assert failure.get("message") == "ask/a: state: expected failed, got completed"


def test_help_says_how():
    told = pipit("test", "--help").stdout
    for word in ("answers:", "replies:", "instances:"):
        assert word in told


PAYLOADS = """hub: {id: test, store: hub.db}
sources: {plant: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["job/#", "order/#"]}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}}
rules:
  seen: {sql: 'SELECT amount FROM "job/+/begin"', to: [{bus: {topic: seen}}]}
workflows:
  job:
    start: {from: "job/+/begin", key: topic_part(2)}
    variables: {amount: amount, left: "'none'"}
    steps:
      - end: {await: {from: "job/+/end", key: topic_part(2)}, take: {left: event.amount}}
  order:
    start: {from: order/new, key: number}
    steps: [{stop: {end: {}}}]
  sure:
    start: {from: order/sure, key: "'one'", where: amount IS NOT NULL}
    steps: [{wait: {sleep: 1 d}}]
"""
BROKEN = "text: '{\"amount\": '"
SEEN = "expect: [{bus: {topic: seen, json: {amount: null}}}]"


@pytest.mark.parametrize("why, events, rest", [
    ("broken JSON starts nothing and is for no rule", f"{{topic: job/1/begin, {BROKEN}}}",
     ["expect: nothing", "rejected: [{topic: job/1/begin, reason: the JSON does not parse}]", "instances: nothing"]),
    ("and wakes nothing", ["{topic: job/1/begin, json: {amount: 3}}", f"{{topic: job/1/end, {BROKEN}}}"],
     ["rejected: [{topic: job/1/end, reason: the JSON does not parse}]",
      "instances: [{job/1: {state: running, waiting: [end], variables: {amount: 3, left: none}}}]"]),
    ("what is no JSON has no fields, for rules and workflows", "{topic: job/1/begin, text: now}",
     [SEEN, "instances: [{job/1: {state: running, variables: {amount: null}}}]"]),
    ("as JSON without them", "{topic: job/1/begin, json: {other: 3}}",
     [SEEN, "instances: [{job/1: {state: running, variables: {amount: null}}}]"]),
    ("also where it is awaited", ["{topic: job/1/begin, json: {amount: 3}}", "{topic: job/1/end, text: now}"],
     ["instances: [{job/1: {state: completed, variables: {amount: 3, left: null}}}]"]),
    ("without a key there is no instance", "{topic: order/new, text: now}",
     ["expect: nothing", "rejected: [{topic: order/new, reason: the payload is no JSON object and has no fields}]", "instances: nothing"]),
    ("where leaves them out", ["{topic: order/sure, text: now}", "{topic: order/sure, json: {other: 3}}"],
     ["expect: nothing", "instances: nothing"]),
])
def test_payloads_that_cannot_be_read(tmp_path, why, events, rest):
    done = pipit("test", write(tmp_path, case(events, *rest), PAYLOADS))
    assert done.returncode == 0, why + "\n" + done.stdout + done.stderr


FRAME = """hub: {id: test, store: hub.db}
sources: {shop: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["shop/+", "pipit/v1/+/+/status", "pipit/v1/+/+/reply/#"]}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}, store: {http: {url: "http://127.0.0.1"}}}
"""
GLANCE = """cases:
  all of it:
    events:
      - {topic: shop/orders, json: {number: 7, user_id: 3, amount: 10}}
      - {after: 1 h, topic: shop/payments, json: {number: 7, amount: 4}}
      - {after: 1 h, topic: shop/payments, json: {number: 7, amount: 6}}
      - {after: 1 d}
    answers: [{store: {json: {id: r1}}}]
    expect:
      - store: {topic: POST /reservations/7}
      - bus: {topic: orders/7, json: {paid: 10}}
      - bus: {topic: pipit/v1/hall/lamp-3/command/light, command: {colour: green}}
      - bus: {topic: letters/a}
      - bus: {topic: letters/b}
      - bus: {topic: letters/c}
    instances:
      - glance/7: {state: completed, result: {paid: 10, colour: brown}}
"""


def test_the_glance_of_the_manual_is_true(tmp_path):
    """The block that shows every kind of step in a line or two is no picture of a configuration but one."""
    page = (ROOT / "docs" / "WORKFLOWS.md").read_text(encoding="utf-8")
    block = page.split("<!-- checked -->\n```yaml\n")[1].split("```")[0]
    kinds = ["emit", "call", "command", "await", "sleep", "until", "if", "switch", "parallel", "for_each", "set", "run", "end",
             "fail", "goto"]
    assert not [kind for kind in kinds if f"{kind}:" not in block]
    done = pipit("test", write(tmp_path, GLANCE, FRAME + block))
    assert done.returncode == 0, done.stdout + done.stderr
    checked = pipit("check", "-c", tmp_path / "hub.yaml")
    assert checked.returncode == 0 and checked.stderr == "", checked.stderr
