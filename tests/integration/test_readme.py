"""The README's first rule does what the README says, and its links lead somewhere."""

import os
import re
import signal
import subprocess

from harness import BUILD, ROOT, free_port, wait_for

README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOWS = (ROOT / "docs" / "WORKFLOWS.md").read_text(encoding="utf-8")


def first_rule():
    """The shell blocks of the section but the one that builds, and what they are said to show."""
    section = README.split("## A first rule")[1].split("\n## ")[0]
    blocks = re.findall(r"```(\w*)\n(.*?)```", section, re.S)
    shell = [text for language, text in blocks if language == "sh"][1:]
    shown = [text for language, text in blocks if language == ""][0]
    return shell, shown.strip().splitlines()


def test_first_rule_shows_what_it_says(tmp_path):
    shell, shown = first_rule()
    port = str(free_port())
    setup, act = (text.replace("18830", port) for text in shell)
    listening = f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done\n"
    # A person is slow enough for the broker to listen and the subscriber to be there.
    setup = setup.replace(f"mosquitto -p {port} &", f"mosquitto -p {port} &\n{listening}")
    setup = setup.replace("pipit hub -c hub.yaml &", "pipit hub -c hub.yaml >hub.log 2>&1 &\n"
                          "until grep -q id=INTAKE-UP hub.log; do sleep 0.05; done")
    setup = re.sub(r"(mosquitto_sub .*) &", r"stdbuf -oL \1 -d >sub.log 2>&1 &\n"
                   "until grep -q SUBACK sub.log; do sleep 0.05; done", setup)
    env = {**os.environ, "PATH": f"{BUILD / 'hub'}:{os.environ['PATH']}:/usr/sbin"}
    script = subprocess.Popen(["bash", "-e", "-c", setup + act + "wait"], cwd=tmp_path, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              start_new_session=True)
    log = tmp_path / "sub.log"
    try:
        wait_for(lambda: log.exists() and all(line in log.read_text().splitlines() for line in shown),
                 deadline=60, what=lambda: f"{shown} in {log.read_text() if log.exists() else 'nothing'}")
    finally:
        os.killpg(script.pid, signal.SIGKILL)
        print(script.communicate()[0])


def until(command, text):
    return f"until {command} 2>&1 | grep -q '{text}'; do sleep 0.05; done\n"


def test_first_workflow_survives_as_it_says(tmp_path):
    """A person is slow enough for broker, hub and event to have come; a script waits for them."""
    port = str(free_port())
    section = WORKFLOWS.split("To see it run")[1]
    setup, act = (text.replace("18831", port) for text in re.findall(r"```sh\n(.*?)```", section, re.S)[:2])
    setup = setup.replace("docs/examples", str(ROOT / "docs" / "examples"))
    setup = setup.replace(f"mosquitto -p {port} &", f"mosquitto -p {port} &\n"
                          f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done")
    setup = setup.replace("pipit hub -c hub.yaml &", "pipit hub -c hub.yaml 2>hub.log &")
    setup += until("cat hub.log", "id=INTAKE-UP")
    pipit_list = "pipit workflow list -c hub.yaml"
    act = act.replace(pipit_list, until(pipit_list, "closed") + pipit_list, 1)
    act = act.replace("pipit workflow show", until(f"{pipit_list} --state completed", "north") + "pipit workflow show")
    env = {**os.environ, "PATH": f"{BUILD / 'hub'}:{os.environ['PATH']}:/usr/sbin"}
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        script = subprocess.Popen(["bash", "-e", "-c", setup + act], cwd=tmp_path, env=env, stdout=log,
                                  stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = script.wait(timeout=50)  # Before the minute is over.
        finally:
            os.killpg(script.pid, signal.SIGKILL)
    told = (tmp_path / "log").read_text(encoding="utf-8")
    assert status == 0 and len(re.findall(r"door +north +running +closed", told)) == 2, told
    assert re.search(r"door/north  instance 1, completed", told) and "closed done" in told, told


def test_the_rule_that_is_tested_passes_its_case(tmp_path):
    first = README.split("## A first rule")[1].split("\n## ")[0]
    section = README.split("## Rules you can test")[1].split("\n## ")[0]
    rule, cases = re.findall(r"```yaml\n(.*?)```", section, re.S)
    hub = re.search(r"<<'YAML'\n(.*?)rules:\n.*?YAML\n", first, re.S)[1]
    (tmp_path / "hub.yaml").write_text(hub + rule, encoding="utf-8")
    (tmp_path / "cases.yaml").write_text(cases, encoding="utf-8")
    done = subprocess.run([str(BUILD / "hub" / "pipit"), "test"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed, 0 failed" in done.stdout, done.stdout + done.stderr


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"


def test_every_command_is_named():
    done = subprocess.run([str(BUILD / "hub" / "pipit"), "--help"], capture_output=True, text=True)
    for name in re.findall(r"^  ([\w-]+) +\S", done.stdout.split("Commands:")[1].split("pipit help")[0], re.M):
        assert f"`{name}`" in README or f"`pipit {name}`" in README, name
