"""`pipit test`: what a case file can say, what is told when it is wrong, for people and for CI; and the
examples of the manual, each of which is held to its cases."""

import json
import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest
from harness import PIPIT
from harness import pipit as run

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def pipit(*arguments, **more):
    return run(*arguments, check=False, **more)


HUB = """hub: {id: test, store: hub.db}
sources: {plant: {mqtt: {url: "mqtt://127.0.0.1"}, topics: ["#"]}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1"}}, log: {file: {path: log.ndjson}}}
rules:
  hot:
    sql: SELECT celsius, topic_part(2) AS room FROM "t/+" WHERE celsius > 30
    key: room
    to: [{bus: {topic: "hot/{room}"}}]
"""


def write(folder, cases, hub=HUB, name="cases.yaml"):
    (folder / "hub.yaml").write_text(hub, encoding="utf-8")
    (folder / name).write_text(cases, encoding="utf-8")
    return folder


def case(events, rest):
    return f"cases:\n  one:\n    events:\n      - {events}\n    {rest}\n"


HOT = '{topic: t/a, json: {celsius: 31}}'
PASSES = case(HOT, "expect:\n      - bus: {topic: hot/a, json: {celsius: 31, room: a}, key: a, qos: 1}")

# why, events, what is expected, what has to be told
WRONG = [
    ("a value that is another", HOT, "expect: [{bus: {json: {celsius: 32, room: a}}}]",
     ["cases.yaml:5:15: bus: json: celsius: expected 32, got 31",
      'expected  {"celsius":32,"room":"a"}', 'got       hot/a  {"celsius":31,"room":"a"}']),
    ("another topic", HOT, "expect: [{bus: {topic: hot/b}}]", ["bus: topic: expected hot/b, got hot/a"]),
    ("another key", HOT, "expect: [{bus: {key: b}}]", ["bus: key: expected b, got a"]),
    ("another rule", HOT, "expect: [{bus: {rule: cold}}]", ["bus: rule: expected cold, got hot"]),
    ("another quality of service", HOT, "expect: [{bus: {qos: 0}}]", ["bus: qos: expected 0, got 1"]),
    ("retained or not", HOT, "expect: [{bus: {retain: true}}]", ["bus: retain: expected 1, got 0"]),
    ("another type of payload", HOT, "expect: [{bus: {content_type: text/plain}}]",
     ["content_type: expected text/plain, got application/json"]),
    ("a property that is not there", HOT, "expect: [{bus: {properties: {a: b}}}]",
     ["bus: property a: expected b, there is none"]),
    ("another time", HOT, "expect: [{bus: {after: 1 s}}]",
     ["bus: at: expected 2026-01-01T00:00:01Z, got 2026-01-01T00:00:00Z"]),
    ("text that is JSON", HOT, 'expect: [{bus: {text: "31"}}]', ["bus: text: expected 31, got {"]),
    ("bytes", HOT, "expect: [{bus: {hex: 00}}]", ["bus: hex: expected x'00', got x'7b22"]),
    ("no CBOR", HOT, "expect: [{bus: {cbor: {a: 1}}}]", ["bus: cbor: "]),
    ("no Pipit event", HOT, "expect: [{bus: {pipit: {type: a}}}]", ["bus: pipit: the payload is no Pipit event"]),
    ("something that is not expected", HOT, "expect: nothing", ["bus: got this, which is not expected (rule hot"]),
    ("something that does not come", "{topic: t/a, json: {celsius: 1}}", "expect: [{bus: {topic: hot/a}}]",
     ["bus: did not get this", "expected  hot/a"]),
    ("an event that is rejected", '{topic: t/a, text: "{"}', "expect: nothing",
     ["rejected, which is not expected: t/a: "]),
    ("one that is not", HOT, "rejected: [{topic: t/a, reason: broken}]", ["was not rejected: t/a: broken"]),
    ("the books", HOT, "books: {routed: 2}", ["cases.yaml:5:13: books: routed: expected 2, got 1"]),
]


@pytest.mark.parametrize("why,events,rest,told", WRONG, ids=[row[0] for row in WRONG])
def test_a_difference_is_shown(tmp_path, why, events, rest, told):
    done = pipit("test", write(tmp_path, case(events, rest)))
    assert done.returncode == 1, why
    for text in told:
        assert text in done.stdout, why
    assert "0 passed, 1 failed" in done.stdout and "\033" not in done.stdout


def test_the_first_difference_is_marked(tmp_path):
    done = pipit("test", write(tmp_path, case(HOT, "expect: [{bus: {topic: hot/a, json: {celsius: 32, room: a}}}]")))
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("got "))
    mark = lines[at + 1].index("^")
    assert lines[at - 1][mark] == "2" and lines[at][mark] == "1", done.stdout


def test_another_order_is_called_so(tmp_path):
    other = HOT.replace("31", "32")
    expect = "".join(f"\n      - bus: {{contains: {{celsius: {celsius}}}}}" for celsius in (32, 31))
    text = case(f"{HOT}\n      - {other}", f"expect:{expect}")
    told = "bus: all of it came, in another order; `order: any` would take it"
    assert told in pipit("test", write(tmp_path, text)).stdout
    assert pipit("test", write(tmp_path, f"{text}    order: any\n")).returncode == 0
    assert told not in pipit("test", write(tmp_path, text.replace("contains: {celsius: 32", "contains: {celsius: 33"))).stdout


# why, the file, the faults
FAULTY = [
    ("a key that is none", case(HOT, "expct: nothing"), ["4: unknown key"[1:], "did you mean 'expect'?"]),
    ("a target that is none", case(HOT, "expect: [{bsu: {}}]"),
     ["cases.yaml:5:15: expect: there is no target 'bsu'; did you mean 'bus'?"]),
    ("a rule that is none", case(HOT, "rule: hott\n    expect: nothing"),
     ["cases.yaml:5:11: there is no rule 'hott'; did you mean 'hot'?"]),
    ("an event's key", case("{topik: t/a}", "expect: nothing"), ["cases.yaml:4:10: unknown key 'topik' in event"]),
    ("two payloads", case("{topic: a, json: {}, text: x}", "expect: nothing"),
     ["event: 'json' and 'text'; only one can be"]),
    ("a payload for nobody", case("{json: {}}", "expect: nothing"), ["event: 'json' without 'topic'"]),
    ("two times", case("{topic: a, at: 5, after: 1 s}", "expect: nothing"), ["'at' and 'after'; only one can be"]),
    ("an instant that is none", case("{topic: a, at: noon}", "expect: nothing"),
     ["at: 'noon' is no instant; write 2026-01-01T10:00:00Z"]),
    ("hex that is none", case("{topic: a, hex: 0g}", "expect: nothing"), ["hex: must be pairs of hexadecimal digits"]),
    ("a file that is not there", case("{topic: a, file: none.bin}", "expect: nothing"),
     ["none.bin: cannot be read"]),
    ("a field of an SDK event", case("{pipit: {device: a/b, type: t, fields: {a: [1]}}}", "expect: nothing"),
     ["pipit: field 'a' must be a text, a number or a boolean"]),
    ("a message that is not configured", case("{topic: a, protobuf: {message: a.B, fields: {}}}", "expect: nothing"),
     ["no descriptor set of the configuration has the message a.B"]),
    ("nothing is expected", case(HOT, "order: any"), ["says nothing about what comes out"]),
    ("an empty list", case(HOT, "expect: []"), ["expect: must be a list of what goes out, or `nothing`"]),
    ("a book that is none", case(HOT, "books: {lat: 1}"), ["unknown key 'lat' in books; did you mean 'late'?"]),
    ("too many events", case("{topic: a, count: 200000}", "expect: nothing"), ["count"]),
    ("no YAML", "cases: [", ["not valid YAML"]),
    ("no cases", "case: {}\n", ["cases.yaml:1:1: unknown key 'case' in the case file; did you mean 'cases'?"]),
]


@pytest.mark.parametrize("why,cases,told", FAULTY, ids=[row[0] for row in FAULTY])
def test_a_fault_has_its_place(tmp_path, why, cases, told):
    done = pipit("test", write(tmp_path, cases))
    assert done.returncode == 3, why
    for text in told:
        assert text in done.stderr, why
    assert "0 passed, 0 failed" in done.stdout


def test_all_faults_are_told_in_order(tmp_path):
    cases = case("{topik: a}", "expect: nothing\n    books: {lat: 1}\n    ordr: any")
    done = pipit("test", write(tmp_path, cases))
    places = [tuple(map(int, line.split(":")[1:3])) for line in done.stderr.splitlines()]
    assert len(places) == 3 and places == sorted(places), done.stderr


def test_a_configuration_that_does_not_compile(tmp_path):
    done = pipit("test", write(tmp_path, PASSES, HUB.replace("celsius > 30", "celsius >")))
    assert done.returncode == 3 and "hub.yaml:6:" in done.stderr, done.stderr


def test_files_and_folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, PASSES)
        write(tmp_path / name, PASSES, name="more.cases.yaml")
    assert pipit("test", tmp_path / "a", tmp_path / "b").stdout.endswith("4 passed, 0 failed\n")
    assert pipit("test", tmp_path / "a" / "more.cases.yaml").stdout.endswith("1 passed, 0 failed\n")
    assert pipit("test", "-c", tmp_path / "a" / "hub.yaml").stdout.endswith("2 passed, 0 failed\n")
    assert pipit("test", cwd=tmp_path / "a").stdout.endswith("2 passed, 0 failed\n")
    none = pipit("test", tmp_path)
    assert none.returncode == 1 and "holds no cases" in none.stderr
    missing = pipit("test", tmp_path / "c")
    assert missing.returncode == 1 and "No such file" in missing.stderr


def test_only_some(tmp_path):
    write(tmp_path, PASSES + PASSES.replace("cases:\n", "").replace("one:", "another one:"))
    assert "1 passed" in pipit("test", tmp_path, "--only", "another").stdout
    none = pipit("test", tmp_path, "--only", "third")
    assert none.returncode == 1 and "no case has 'third' in its name" in none.stderr


def test_cases_do_not_know_of_each_other(tmp_path):
    event = "{pipit: {device: a/b, type: t, sequence: 5, fields: {n: 1}}}"
    hub = HUB.replace('"t/+" WHERE celsius > 30', '"pipit/v1/+/+/event/t"')
    one = case(event, "expect: [{bus: {}}]\n    books: {duplicate: 0}")
    write(tmp_path, one + one.replace("cases:\n", "").replace("one:", "two:"), hub)
    assert "2 passed, 0 failed" in pipit("test", tmp_path).stdout


def test_json_and_junit(tmp_path):
    name = 'a <b> & "c" \u00e4'
    failing = case(HOT, "expect: nothing").replace("cases:\n", "").replace("one:", f"'{name}':")
    write(tmp_path, PASSES + failing)
    done = pipit("test", tmp_path, "--json", "--junit", tmp_path / "out.xml")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert (result["passed"], result["failed"]) == (1, 1)
    cases = result["files"][0]["cases"]
    assert [one["name"] for one in cases] == ["one", name]
    assert cases[1]["faults"][0]["line"] == 7 and cases[0]["deliveries"] == 1
    suite = xml.etree.ElementTree.parse(tmp_path / "out.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    passed, failed = suite.findall("testcase")
    assert passed.find("failure") is None and failed.get("name") == name
    assert "not expected" in failed.find("failure").get("message")
    assert 'got       hot/a  {"celsius":31,"room":"a"}' in failed.find("failure").text


def test_junit_of_what_xml_cannot_hold(tmp_path):
    event = '{topic: t/a, json: {celsius: 31, x: "\\u0001 ]]>"}}'
    hub = HUB.replace("SELECT celsius", "SELECT celsius, x")
    write(tmp_path, case(event, "expect: nothing"), hub)
    pipit("test", tmp_path, "--junit", tmp_path / "out.xml")
    failure = xml.etree.ElementTree.parse(tmp_path / "out.xml").getroot().find("*/testcase/failure")
    assert "]]>" in failure.text


def test_junit_that_cannot_be_written(tmp_path):
    done = pipit("test", write(tmp_path, PASSES), "--junit", tmp_path / "none" / "out.xml")
    assert done.returncode == 1 and "none/out.xml" in done.stderr


def test_series_order_and_time(tmp_path):
    cases = """cases:
  a series is numbered and takes its time:
    at: 2026-01-01T10:00:00Z
    events:
      - {topic: "t/{n}", count: 3, every: 10 min, json: {celsius: 31, n: "{n}"}}
      - {after: 1 h}
    expect:
      - bus: {topic: hot/1, after: 0 s}
      - bus: {topic: hot/2, at: "2026-01-01T10:10:00Z"}
      - bus: {topic: hot/3, after: 20 min}
  in any order:
    order: any
    events:
      - {topic: "t/{n}", count: 3, json: {celsius: 31}}
    expect:
      - bus: {topic: hot/3}
      - bus: {topic: hot/1}
      - bus: {topic: hot/2}
  a missing one and one too many do not hide the rest:
    events:
      - {topic: "t/{n}", count: 5, json: {celsius: 31}}
    expect:
      - bus: {topic: hot/1}
      - bus: {topic: hot/2}
      - bus: {topic: hot/9}
      - bus: {topic: hot/4}
"""
    done = pipit("test", write(tmp_path, cases))
    assert "2 passed, 1 failed" in done.stdout, done.stdout
    assert done.stdout.count("cases.yaml:") == 2, done.stdout
    assert "expected hot/9, got hot/3" in done.stdout and "hot/5" in done.stdout


def test_a_terminal_has_colours(tmp_path):
    script = f"import pty, sys; sys.exit(pty.spawn({[str(PIPIT), 'test', str(write(tmp_path, PASSES))]}) >> 8)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60,
                          env={**os.environ, "TERM": "xterm", "NO_COLOR": ""}, check=False)
    assert b"\033[32mok" in done.stdout


def test_usage():
    assert pipit("test", "--nonsense").returncode == 2
    assert "Exit codes" in pipit("test", "--help").stdout


# ---- the manual ---------------------------------------------------------------------------------

FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=[path.name for path in FOLDERS])
def test_an_example_does_what_it_says(folder):
    done = pipit("test", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    checked = pipit("check", "-c", folder / "hub.yaml")
    assert checked.returncode == 0 and checked.stderr == "", checked.stderr


def test_the_manual_is_made_of_the_examples():
    printed = subprocess.run([sys.executable, ROOT / "docs" / "manual.py", "--print"], capture_output=True,
                             text=True, check=True, timeout=60).stdout
    assert (ROOT / "docs" / "RULES.md").read_text(encoding="utf-8") == printed, "run ./dev manual"
    printed_workflows = subprocess.run([sys.executable, ROOT / "docs" / "manual.py", "--print", "workflows"],
                                       capture_output=True, text=True, check=True, timeout=60).stdout
    assert (ROOT / "docs" / "WORKFLOWS.md").read_text(encoding="utf-8") == printed_workflows, "run ./dev manual"
    for folder in FOLDERS:
        assert f"(examples/{folder.name})" in printed + printed_workflows


def reference():
    """Sections of the reference: heading, names in the first column."""
    sections = {}
    for line in pipit("check", "--reference").stdout.splitlines():
        if line.startswith("### "):
            names = sections.setdefault(line[4:].strip("`"), [])
        elif line.startswith("| `"):
            names.append(line.split("`")[1])
    return sections


def test_every_function_and_option_of_rules_has_an_example():
    text = "\n".join(path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*/*.yaml"))
    missing = []
    for heading, names in reference().items():
        if heading.startswith("SQL functions") and "SQLite's" not in heading:
            missing += [name for name in names if name.split("(")[0] + "(" not in text]
        elif heading.startswith(("rules.", "formats.", "devices.", "tables.", "history", "cases.", "workflows.")):
            missing += [f"{heading}: {name}" for name in names if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"docs/examples: nothing shows {missing}"
