"""docs/MQTT-CLAUSES.md says which test proves which clause of the specifications, and it is true.

A test names its clauses in the comment above it: `// MQTT 3.1.1: [MQTT-4.3.2-1]`, `// MQTT 5: [MQTT-4.3.2-4]`.
`test_mqtt_clauses.py --write` writes the tests' names into the document; what a clause asks for is written there
by hand."""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DOCUMENT = ROOT / "docs" / "MQTT-CLAUSES.md"

VERSIONS = ("3.1.1", "5")
CLAUSE = re.compile(r"MQTT-\d+\.\d+\.\d+-\d+")
ABOVE = re.compile(r"((?:^//.*\n)+)static void (test_\w+)\(void \*\*state\)", re.M)
NAMED = re.compile(r"^// MQTT (\S+): (.*)$", re.M)
ROW = re.compile(r"^\| (MQTT-[\d.]+-\d+) \| (.*?) \| (.*?) \|$")


def key(clause):
    return [int(number) for number in re.findall(r"\d+", clause)]


def named_by_tests():
    """{version: {clause: [file:test, ...]}}"""
    found = {version: {} for version in VERSIONS}
    for path in sorted(HERE.glob("test_*.c")):
        for comment, test in ABOVE.findall(path.read_text(encoding="utf-8")):
            for version, rest in NAMED.findall(comment):
                for clause in CLAUSE.findall(rest):
                    name = f"{path.stem.removeprefix('test_')}: {test.removeprefix('test_')}"
                    found[version].setdefault(clause, []).append(name)
    return found


def sections():
    """{version or 'left out': [(clause, what, tests or why)]}, in the document's order."""
    found, rows = {}, None
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        title = re.match(r"^## (?:MQTT )?(.*)$", line)
        if title:
            rows = found.setdefault(title.group(1), [])
        row = ROW.match(line)
        if row and rows is not None:
            rows.append(row.groups())
    return found


def written(line, found, version):
    row = ROW.match(line)
    if not row or version not in VERSIONS:
        return line
    tests = "<br>".join(f"`{name}`" for name in found[version].get(row.group(1), []))
    return f"| {row.group(1)} | {row.group(2)} | {tests} |"


def document_with(found):
    version, lines = None, []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            version = line.removeprefix("## ").removeprefix("MQTT ")
        lines.append(written(line, found, version))
    return "\n".join(lines) + "\n"


def test_every_clause_that_a_test_names_has_its_row():
    rows = sections()
    for version, clauses in named_by_tests().items():
        missing = sorted(set(clauses) - {row[0] for row in rows[version]}, key=key)
        assert not missing, f"docs/MQTT-CLAUSES.md, MQTT {version}: {missing}"


def test_the_document_names_the_tests_that_there_are():
    assert DOCUMENT.read_text(encoding="utf-8") == document_with(named_by_tests()), f"{__file__} --write"


def test_every_row_is_proved_by_a_test():
    found = named_by_tests()
    for version in VERSIONS:
        unproved = [row[0] for row in sections()[version] if row[0] not in found[version]]
        assert not unproved, f"MQTT {version}: no test names {unproved}: leave the row out, and say why"


def test_rows_are_in_order_and_once():
    for title, rows in sections().items():
        clauses = [row[0] for row in rows]
        assert clauses == sorted(set(clauses), key=key), title


def test_nothing_is_both_proved_and_left_out():
    rows = sections()
    for version in VERSIONS:
        both = {row[0] for row in rows[version]} & {row[0] for row in rows[f"{version}, left out"]}
        assert not both, f"MQTT {version}: {both}"


def test_the_sources_name_clauses_that_are_in_the_document():
    known = {row[0] for rows in sections().values() for row in rows}
    for path in [*(ROOT / "device-sdk" / "src").glob("*.[ch]"), *(ROOT / "device-sdk" / "include").rglob("*.h")]:
        unknown = set(CLAUSE.findall(path.read_text(encoding="utf-8"))) - known
        assert not unknown, f"{path.name}: {unknown}"


def test_named_tests_are_really_run():
    """A comment above a test that main() does not list would prove nothing."""
    for path in HERE.glob("test_*.c"):
        text = path.read_text(encoding="utf-8")
        for comment, test in ABOVE.findall(text):
            if NAMED.search(comment):
                versions = {version for version, _ in NAMED.findall(comment)}
                runs = {"ON_BOTH": {"3.1.1", "5"}, "ON_311": {"3.1.1"}, "ON_5": {"5"}}
                how = re.findall(rf"\b(ON_\w+)\({test}\)", text)
                assert how and versions <= runs[how[0]], f"{path.name}: {test} names {versions}, runs {how}"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {sys.argv[0]} --write")
    DOCUMENT.write_text(document_with(named_by_tests()), encoding="utf-8")
