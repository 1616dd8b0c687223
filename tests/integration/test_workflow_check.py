"""Workflows before they run: what `pipit check` says of bad ones, and `pipit workflow draw`."""

import json
import re
import shutil
import subprocess

import pytest

from harness import ROOT, pipit

GOOD = """hub: {id: h, store: h.db}
sources: {s: {mqtt: {url: "mqtt://127.0.0.1:1"}, topics: ["a/#", "pipit/v1/#"]}}
targets:
  bus: {mqtt: {url: "mqtt://127.0.0.1:1"}}
  shop: {http: {url: "http://127.0.0.1:1"}}
rules:
  hot: {sql: 'SELECT device, n FROM "a/+" WHERE n > 1'}
workflows:
  order:
    start: {from: "a/+", key: order_id}
    variables: {amount: amount}
    steps:
      - reserve:
          call: {to: shop, method: PUT, path: "/stock/{my.key}"}
          within: 10 s
          undo: {release: {call: {to: shop, method: DELETE, path: "/stock/{my.key}"}}}
      - check:
          if: amount > 100
          then: [{paid: {await: {from: "a/paid", key: order_id}, within: 2 d, on_error: {gone: {fail: "no \\"money\\""}}}}]
      - both:
          parallel:
            ship: [{send: {emit: {to: bus, topic: "ship/{my.key}"}}}]
            tell: [{told: {command: {device: "'shop/' || my.key", name: tell}}}]
      - done: {end: {total: amount}}
  chill:
    start: {rule: hot, key: device}
    steps:
      - pause: {sleep: 5 min}
"""


def check(folder, text, *options):
    (folder / "hub.yaml").write_text(text, encoding="utf-8")
    return pipit("check", "-c", folder / "hub.yaml", *options, check=False)


def test_a_good_one_is_fine(tmp_path):
    done = check(tmp_path, GOOD)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "1 source, 2 targets, 1 rule, 2 workflows" in done.stdout


DONE = "      - done: {end: {total: amount}}\n"


@pytest.mark.parametrize("why, old, new, want", [
    ("a step that nothing leads to", DONE, DONE + "      - more: {sleep: 1 s}\n",
     r'25:9: workflow order: step "more" can never be reached'),
    ("a circle without a wait", DONE, "      - note: {set: {amount: amount + 1}}\n      - again: {goto: note}\n",
     r"25:9: .*: the steps note, again, note go in a circle and none of them waits"),
    ("a missing variable", "if: amount > 100", "if: amuont > 100", r'18:15: .*step check: if: there is no variable "amuont"'),
    ("a bad expression", "if: amount > 100", "if: amount > > 100", r'18:24: .*step check: if: near ">": syntax error'),
    ("a duration in an expression", "- pause: {sleep: 5 min}", "- pause: {until: now_ms() + 1 h}",
     r'28:37: .*step pause: until: near "h": syntax error; durations in expressions are milliseconds: 3600000 for 1 h'),
    ("a text without its quotes", "- pause: {sleep: 5 min}", "- pause: {set: {lamp: plant/x}}",
     r"""28:29: .*step pause: set: lamp: there is no variable "plant"; a text stands in quotes: "'plant/x'\""""),
    ("a bad template", "ship/{my.key}", "ship/{my.key", r"22:57: .*step send: topic: the template has a \{ without a \}"),
    ("an unknown function", "key: order_id}\n    var", "key: frob(order_id)}\n    var", r"10:31: .*start: key: .*frob"),
    ("one that starts itself", "- pause: {sleep: 5 min}", '- pause: {emit: {to: rules, topic: "a/x"}}',
     r"28:9: warning: workflow chill may start itself: chill \(step pause\) -> chill"),
    ("one that runs itself", "- pause: {sleep: 5 min}", "- pause: {run: {workflow: chill}}",
     r"28:9: workflow chill starts itself, whatever happens: chill \(step pause\) -> chill"),
    ("an unknown kind", "await: {from", "awiat: {from", r"19:26: .*step paid: 'awiat' is no kind of step; did you mean 'await'\?"),
    ("an unknown target", "to: shop, method: PUT", "to: shopp, method: PUT", r"14:22: .*no target 'shopp'; did you mean 'shop'\?"),
    ("an unknown rule", "rule: hot", "rule: hto", r"26:19: .*no rule 'hto'; did you mean 'hot'\?"),
    ("a goto to nowhere", DONE, "      - again: {goto: chek}\n", r"24:23: .*no step 'chek'; did you mean 'check'\?"),
    ("a name twice", "- done:", "- both:", r"24:9: .*step both is already there on line 20, column 9"),
    ("a wrong duration", "within: 10 s", "within: 10 seconds", r"15:19: .*within: must be a duration .*'10 seconds'"),
    ("a reply that nobody hears", '"pipit/v1/#"', '"pipit/v1/+/+/event/#"', r"23:21: .*no source hears the device's reply"),
    ("a payload that is not sent", 'method: DELETE, path: "/stock/{my.key}"',
     'method: DELETE, path: "/stock/{my.key}", fields: {n: amount}',
     r"16:86: warning: workflow order: GET, HEAD and DELETE carry no payload: put it into the path, or leave out fields"),
    ("branches in a list", """parallel:
            ship: [{send: {emit: {to: bus, topic: "ship/{my.key}"}}}]
            tell: [{told: {command: {device: "'shop/' || my.key", name: tell}}}]
""", 'parallel: [{ship: {sleep: 1 s}}, {tell: {sleep: 1 s}}]\n',
     r"21:21: workflow order: step both: parallel: must be a mapping \(key: value\), not a list"),
    ("an event that cannot come", '"a/paid"', '"b/paid"', r'19:40: warning: workflow order: .*"b/paid"'),
])
def test_each_fault_has_its_place(tmp_path, why, old, new, want):
    assert GOOD.count(old) == 1, f"{why}: {old!r} is {GOOD.count(old)} times in the configuration"
    done = check(tmp_path, GOOD.replace(old, new))
    is_warning = "warning" in done.stderr
    assert done.returncode == (0 if is_warning else 3), (why, done.stdout, done.stderr)
    assert re.search(rf"(?m)^\S*hub\.yaml:({want})", done.stderr), (why, done.stderr)


def test_the_faults_of_all_are_told_at_once(tmp_path):
    bad = GOOD.replace("amount > 100", "amount > > 100").replace("{rule: hot, key: device}", "{rule: hot, key: device ||}")
    done = check(tmp_path, bad, "--json")
    faults = json.loads(done.stdout)["faults"]
    assert [re.search(r"hub.yaml:(\d+):\d+: workflow (\w+)", fault).groups() for fault in faults] == [
        ("18", "order"), ("26", "chill")], faults


def draw(folder, *words, check=True):
    (folder / "hub.yaml").write_text(GOOD, encoding="utf-8")
    return pipit("workflow", "draw", *words, "-c", folder / "hub.yaml", check=check)


def test_a_drawing_has_every_step_and_where_it_leads(tmp_path):
    dot = draw(tmp_path, "order").stdout
    nodes = dict(re.findall(r'^ +(s\d+) \[label="([\w/+]+)', dot, re.M))
    edges = {(nodes[a], nodes[b], style, label) for a, b, style, label in
             re.findall(r'^ +(s\d+) -> (s\d+) \[style=(\w+)(?:, label="(\w+)")?\];$', dot, re.M)}
    assert edges == {
        ("a/+", "reserve", "solid", ""), ("reserve", "check", "solid", ""), ("reserve", "release", "dotted", "undo"),
        ("check", "paid", "solid", "then"), ("check", "both", "solid", "else"), ("paid", "both", "solid", ""),
        ("paid", "gone", "dashed", "error"), ("both", "send", "solid", ""), ("both", "told", "solid", ""),
        ("send", "done", "solid", ""), ("told", "done", "solid", ""),
    }
    assert re.findall(r'label="(ship|tell)"; color', dot) == ["ship", "tell"]
    assert r'fail no \"money\"' in dot
    if shutil.which("dot"):  # Graphviz itself takes it.
        done = subprocess.run(["dot", "-Tplain"], input=dot, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert done.stdout.count("\nnode ") == len(nodes)


def test_a_drawing_for_mermaid(tmp_path):
    text = draw(tmp_path, "chill", "--mermaid").stdout
    assert text == ('flowchart TD\n  s0(["rule hot"])\n  s1(["completed"])\n  s2["pause<br/>sleep 5 min"]\n'
                    "  s0 --> s2\n  s2 --> s1\n")
    both = draw(tmp_path, "order", "--mermaid").stdout
    assert 'subgraph c0["ship"]' in both and '|"undo"|' in both and "fail no #34;money#34;" in both


@pytest.mark.parametrize("words, code, want", [
    (("chil",), 1, "has no workflow 'chil'; did you mean 'chill'?"),
    ((), 2, "name a workflow"),
    (("chill", "--dot", "--mermaid"), 2, "not both"),
])
def test_what_cannot_be_drawn_is_said(tmp_path, words, code, want):
    done = draw(tmp_path, *words, check=False)
    assert done.returncode == code and want in done.stderr and not done.stdout, done


def test_every_example_can_be_drawn():
    folders = sorted((ROOT / "docs" / "examples").glob("workflow-*"))
    assert folders
    for folder in folders:
        names = re.findall(r"(?m)^  ([\w-]+):$", (folder / "hub.yaml").read_text(encoding="utf-8").split("\nworkflows:\n")[1])
        assert names, folder
        for name in names:
            dot = pipit("workflow", "draw", name, "-c", folder / "hub.yaml").stdout
            assert dot.startswith(f'digraph "{name}" {{') and "->" in dot, (folder, name)


ROWS = """hub: {id: test, store: hub.db}
sources: {plant: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["a/+"]}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}}
rules:
  hot:
    sql: SELECT topic_part(2) AS press, n FROM "a/+" WHERE n > 5
    else: [bus: {topic: "cold", payload: original}]
  cool: {sql: 'SELECT topic_part(2) AS press, n AS level FROM "a/+" WHERE n < 2', to: [bus: {topic: cool}]}
workflows:
  cold-chain:
    start: {rule: hot, key: press}
    variables: {peak: n}
    steps:
      - cooled: {await: {rule: cool, key: press, where: level < my.peak}, take: {low: event.level}}
      - told: {emit: {topic: "told/{my.key}"}}
"""
CASES = """cases:
  rows start it and are awaited, and go where they went before:
    order: any
    events:
      - {topic: a/p, json: {n: 1}}
      - {topic: a/p, json: {n: 7}}
      - {topic: a/p, json: {n: 3}}
      - {topic: a/q, json: {n: 0}}
      - {topic: a/p, json: {n: 1}}
    expect:
      - bus: {topic: cold}
      - bus: {topic: cool, json: {press: p, level: 1}}
      - bus: {topic: cold}
      - bus: {topic: cold}
      - bus: {topic: cool, json: {press: q, level: 0}}
      - bus: {topic: cold}
      - bus: {topic: cool, json: {press: p, level: 1}}
      - bus: {topic: told/p, json: {peak: 7, low: 1}}
"""


def test_rows_of_rules_start_workflows_and_are_awaited(tmp_path):
    (tmp_path / "hub.yaml").write_text(ROWS, encoding="utf-8")
    (tmp_path / "cases.yaml").write_text(CASES, encoding="utf-8")
    done = pipit("test", "-c", tmp_path / "hub.yaml", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Negative control: without the row of before, nothing is told.
    (tmp_path / "hub.yaml").write_text(ROWS.replace("level < my.peak", "level > my.peak"), encoding="utf-8")
    done = pipit("test", "-c", tmp_path / "hub.yaml", check=False)
    assert done.returncode == 1 and "told/p" in done.stdout + done.stderr
