"""Writes docs/RULES.md: what rules can do, an example a feature, made of docs/examples. A folder's
chapter is what stands before the first "-" of its name; the first line of its hub.yaml is the text.
The folders of workflows are put into docs/WORKFLOWS.md, where it names them.

    docs/manual.py                     writes both
    docs/manual.py --print             prints RULES.md: a test holds the committed one to it
    docs/manual.py --print workflows   prints WORKFLOWS.md
"""

import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent
EXAMPLES = DOCS / "examples"

HEAD = """# Rules by example

Every feature of a rule with a configuration that runs and cases that hold it to what is said here. Each folder of
[examples/](examples) is one; the tests run them all with `pipit test`. This page is made of them by `./dev manual`.

What every option and function does stands in [CONFIGURATION.md](CONFIGURATION.md#reference). To try something out:

```sh
pipit check -c hub.yaml                    # every fault with line and column; the column no payload can have
pipit test                                 # the cases beside hub.yaml
pipit explain --topic T --payload P        # why each rule does or does not fire on a message
pipit bench-rule RULE --sample FILE        # what a rule costs an event
pipit replay RULE --from '1 h ago'         # a rule over the history, dry or for real
```

Where an example does not show `sources` and `targets`, they are a broker on this machine, called `bus`; the
folder has the whole file.
"""

# Name before the "-", title, text; in this order.
CHAPTERS = [
    ("rule", "Rules", "A rule is one SELECT over a topic filter; each row it gives goes to every route."),
    ("in", "Payloads in",
     "All formats give their fields as columns by name. Without an entry in `formats` the topic and the content "
     "type decide. A payload that does not fit its schema is rejected into the quarantine with the reason."),
    ("out", "Payloads out", "What a route sends is made of the row's columns."),
    ("identity", "Who sent it", "Identity is what duplicates are recognised by, and what order is kept for."),
    ("function", "Functions for sensors", "Beside SQLite's own functions, aggregates and windows OVER rows."),
    ("window", "Windows",
     "A window gathers events of a key; the statement runs over them together when it ends. Contents and clocks are "
     "in the store: a hub that was killed closes the right windows with the right contents."),
    ("table", "Tables", "Enrichment is a JOIN."),
    ("route", "Routes", "Where rows go, in which order, and what happens when there are too many."),
    ("target", "Targets", "Where routes lead, besides MQTT brokers and files."),
    ("history", "History", "What came in, kept for a while."),
    ("case", "Cases", "What `cases.yaml` can say beyond the above."),
]


def split(folder):
    """The heading and the text of the first line of hub.yaml, and the rest of it."""
    first, _, rest = (folder / "hub.yaml").read_text(encoding="utf-8").partition("\n")
    if not first.startswith("# "):
        sys.exit(f"{folder}/hub.yaml: the first line must be a comment that says what it shows")
    heading, colon, text = first[2:].partition(": ")
    if not colon:
        heading, text = first[2:].rstrip("."), ""
    return heading, text, rest


def without_frame(text, frame):
    """Leaves out the top-level sections that are the same in all examples."""
    kept, is_frame = [], False
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            is_frame = line.split(":")[0] in frame and "history" not in line
        if not is_frame:
            kept.append(line)
    return "\n".join(kept).strip("\n")


def example(folder):
    heading, text, configuration = split(folder)
    frame = ("hub", "sources") if chapter_of(folder) == "target" else ("hub", "sources", "targets")
    yield f"### {heading}\n"
    yield f"{text[:1].upper()}{text[1:]}\n" if text else ""
    yield f"[examples/{folder.name}](examples/{folder.name})\n"
    yield f"```yaml\n{without_frame(configuration, frame)}\n```\n"
    cases = (folder / "cases.yaml").read_text(encoding="utf-8").rstrip("\n")
    yield f"```yaml\n{cases}\n```\n"


def chapter_of(folder):
    return folder.name.split("-")[0]


def is_workflow(folder):
    return chapter_of(folder) == "workflow"


def all_folders():
    return sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


def workflows():
    """The page as it is, with its examples as they are now."""
    page = (DOCS / "WORKFLOWS.md").read_text(encoding="utf-8")
    mark = re.compile(r"(<!-- example: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
    shown = [name for _, name, _ in mark.findall(page)]
    folders = {path.name: path for path in all_folders() if is_workflow(path)}
    wrong = sorted(set(shown) ^ set(folders)) + sorted(name for name in set(shown) if shown.count(name) > 1)
    if wrong:
        sys.exit(f"docs/WORKFLOWS.md: each folder of workflows once, not {', '.join(wrong)}")
    return mark.sub(lambda found: found[1] + "\n" + "\n".join(part for part in example(folders[found[2]]) if part) + found[3],
                    page)


def manual():
    folders = [path for path in all_folders() if not is_workflow(path)]
    known = [name for name, _, _ in CHAPTERS]
    strange = [folder.name for folder in folders if chapter_of(folder) not in known]
    if strange:
        sys.exit(f"docs/manual.py: no chapter for {', '.join(strange)}; known are {', '.join(known)}")
    parts = [HEAD, "## Contents\n"]
    for name, title, _ in CHAPTERS:
        headings = [split(folder)[0] for folder in folders if chapter_of(folder) == name]
        if headings:
            parts.append(f"- **{title}**: {', '.join(headings)}")
    parts.append("")
    for name, title, text in CHAPTERS:
        mine = [folder for folder in folders if chapter_of(folder) == name]
        if mine:
            parts.append(f"## {title}\n\n{text}\n")
        for folder in mine:
            parts += [part for part in example(folder) if part]
    return "\n".join(parts)


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(workflows() if "workflows" in sys.argv else manual(), end="")
    else:
        (DOCS / "RULES.md").write_text(manual(), encoding="utf-8")
        (DOCS / "WORKFLOWS.md").write_text(workflows(), encoding="utf-8")
