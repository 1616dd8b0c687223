"""`pipit check`: what is said of a configuration, and the manual that it prints."""

import json
import re

import pytest

from harness import ROOT, pipit

MANUAL = (ROOT / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8")
GOOD = """hub: {id: h, store: h.db}
sources: {s: {mqtt: {url: "mqtt://127.0.0.1:1"}, topics: ["a/#"]}}
targets: {bus: {mqtt: {url: "mqtt://127.0.0.1:1"}}}
rules:
  r:
    sql: |
      SELECT device,
             n
      FROM "a/#"
    key: device
    to:
      - bus: {topic: "out/{device}"}
"""


def check(folder, text, *options):
    path = folder / "hub.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return pipit("check", "-c", path, *options, check=False)


def test_reference_is_in_the_manual():
    printed = pipit("check", "--reference").stdout
    assert "### `targets.<name>.file`" in printed and "ack_before_commit" not in printed
    assert MANUAL.endswith(printed), "docs/CONFIGURATION.md: replace its reference by `pipit check --reference`"


def test_example_of_the_manual_is_fine(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", MANUAL, re.S).group(1)
    (tmp_path / "hub.password").write_text("secret\n")
    done = check(tmp_path, example)
    assert done.returncode == 0, done.stderr
    assert "1 source, 2 targets, 2 rules, 1 workflow, 1 device identity" in done.stdout
    assert not (tmp_path / "hub.db").exists(), "check must not touch the store"


@pytest.mark.parametrize("why, old, new, want", [
    ("an unknown key", "key: device", "kye: device", r"10:5: unknown key 'kye' in rule r; did you mean 'key'\?"),
    ("a wrong type", 'topic: "out/{device}"', 'topic: t, qos: many', r"12:30: .*qos: must be a whole number from 0 to 2"),
    ("a duplicate name", "key: device", "key: device\n    key: n", r"11:5: .*'key' is already there on line 10, column 5"),
    ("SQL that is none", "SELECT device,", "SELCT device,", r'7:7: .*SELCT'),
    ("SQL that ends early", "             n\n", "             n +\n", r"9:7: .*FROM"),
    ("an unknown function", "             n\n", "             frob(n)\n", r"8:14: .*frob"),
    ("a table that is not there", 'FROM "a/#"', 'FROM "a/#" JOIN plants USING (device)', r"9:\d+: .*plants"),
    ("two filters", 'FROM "a/#"', 'FROM "a/#" JOIN "b/#"', r"9:\d+: .*"),
    ("writing", "SELECT device,\n             n\n      FROM \"a/#\"", 'DELETE FROM "a/#"', r"6:10: .*may not be modified"),
    ("a column of the template", "out/{device}", "out/{devcie}", r"12:\d+: .*devcie"),
    ("an unreadable file", 'url: "mqtt://127.0.0.1:1"}, topics', 'url: "mqtts://h", ca: none.pem}, topics',
     r"2:\d+: .*none\.pem cannot be read: No such file or directory"),
    ("a folder for a file", 'url: "mqtt://127.0.0.1:1"}, topics', 'url: "mqtts://h", ca: /tmp}, topics',
     r"2:\d+: .*/tmp is a directory, not a PEM file"),
    ("a wrong URL", 'bus: {mqtt: {url: "mqtt://127.0.0.1:1"', 'bus: {mqtt: {url: "http://h"', r"3:\d+: .*http://h"),
])
def test_a_fault_is_told_with_its_place(tmp_path, why, old, new, want):
    assert old in GOOD
    done = check(tmp_path, GOOD.replace(old, new))
    assert done.returncode == 3 and done.stdout == "", why
    lines = done.stderr.splitlines()
    assert re.fullmatch(f"{re.escape(str(tmp_path))}/hub.yaml:{want}.*", lines[0]), f"{why}: {lines}"
    machine = json.loads(check(tmp_path, GOOD.replace(old, new), "--json").stdout)
    assert machine == {"ok": False, "faults": lines, "warnings": []}, why


@pytest.mark.parametrize("why, text, want", [
    ("not UTF-8", GOOD.encode() + b"# \xff\n", r"hub\.yaml:13:3: not valid UTF-8"),
    ("a byte order mark and CRLF are fine", b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(), None),
    pytest.param("too large", b"#" * (5 << 20), r"hub\.yaml: .*", id="too large"),
    ("aliases that would blow up", b"a: &a [x]\nb: [*a, *a]\n", r"hub\.yaml:1:4: anchor '&a': anchors and aliases are not"),
])
def test_a_file_of_another_kind(tmp_path, why, text, want):
    done = check(tmp_path, text)
    assert done.returncode == (3 if want else 0), (why, done.stderr)
    assert want is None or re.search(want, done.stderr), (why, done.stderr)


def test_a_file_that_is_not_there(tmp_path):
    done = pipit("check", "-c", tmp_path / "none.yaml", check=False)
    assert done.returncode == 3
    assert done.stderr == f"{tmp_path}/none.yaml: cannot be read: No such file or directory\n"
    for command in (["hub"], ["status"], ["dead", "list"], ["quarantine", "list"]):
        other = pipit(*command, "-c", tmp_path / "none.yaml", check=False)
        assert other.returncode == 3 and "none.yaml: cannot be read" in other.stderr, command
    done = pipit("check", "-c", tmp_path / "none.yaml", "--json", check=False)
    assert json.loads(done.stdout)["faults"] == [f"{tmp_path}/none.yaml: cannot be read: No such file or directory"]


def test_secrets_stay_secret(tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    done = check(tmp_path, GOOD.replace("topics", "topcis").replace(
        'url: "mqtt://127.0.0.1:1"}, top', 'url: u, username: x, password: "${file:secret}"}, top'))
    assert done.returncode == 3 and "hunter2" not in done.stderr + done.stdout


WINDOWED = """hub: {{id: h, store: h.db}}
sources: {{s: {{mqtt: {{url: "mqtt://127.0.0.1:1"}}, topics: ["#"]}}}}
targets: {{bus: {{mqtt: {{url: "mqtt://127.0.0.1:1"}}}}}}
{more}
rules:
  mean:
    sql: SELECT avg(c) AS c FROM "{filter}"
    window: {{{window}}}
    to: [bus: {{topic: m}}]
"""


@pytest.mark.parametrize("why, filter, window, more, warns", [
    ("plain JSON has no time of its own", "legacy/+/t", "tumbling: 1 h", "", True),
    ("the time of its device", "legacy/+/t", "tumbling: 1 h",
     "devices: {legacy: {from: 'legacy/#', device: topic_part(2), time: ts}}", False),
    ("a device without one", "legacy/+/t", "tumbling: 1 h",
     "devices: {legacy: {from: 'legacy/#', device: topic_part(2)}}", True),
    ("by arrival", "legacy/+/t", "{tumbling: 1 h, by: arrival}"[1:-1], "", False),
    ("a count needs none", "legacy/+/t", "count: 3", "", False),
    ("Pipit's own bring it", "pipit/v1/+/+/event/t", "session: 5 min", "", False),
    ("Sparkplug does", "spBv1.0/+/DDATA/+/+", "sliding: 5 min",
     "formats: {p: {from: 'spBv1.0/#', sparkplug: {}}}", False),
])
def test_a_window_by_a_time_that_nobody_gives(tmp_path, why, filter, window, more, warns):
    done = check(tmp_path, WINDOWED.format(filter=filter, window=window, more=more))
    assert done.returncode == 0, (why, done.stderr)
    assert ("its window goes by the events' own time" in done.stderr) == warns, (why, done.stderr)
    assert not warns or "hub.yaml:8:" in done.stderr, done.stderr
