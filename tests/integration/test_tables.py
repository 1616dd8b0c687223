"""Reference tables: of CSV and SQL files that change while events flow, of events, and `latest`."""

import json
import os

import pytest

from harness import Client, Subscriber, wait_for

HEAD = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#", "p/#"]}}
targets:
  bus: {{mqtt: {{url: "{url}"}}, backoff_min: 50 ms, backoff_max: 200 ms}}
"""
JOIN = """
tables:
  sensors: {csv: sensors.csv, key: id}
rules:
  r:
    sql: SELECT topic_part(2) AS id, n, s.site, s.version FROM "a/+" JOIN sensors s ON s.id = topic_part(2)
    to: [{bus: {topic: "out/{id}"}}]
"""


def replace(path, text):
    """As editors and deployments do: another file under the same name."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def csv(version, rows=200):
    return "id,site,version\n" + "".join(f"d{i},hall {i},{version}\n" for i in range(rows))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir(exist_ok=True)
    return folder


def kill(hub):
    """When everything is settled, so that nothing is delivered once more."""
    wait_for(lambda: json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]["waiting"] == 0)
    hub.kill()
    hub.start()
    hub.wait_ready()


def ask(client, watcher, n):
    """All of what the rule makes of one event of each of ten devices."""
    before = len(watcher.messages)
    for i in range(10):
        client.publish(f"a/d{i}", json.dumps({"n": n}).encode())
    wait_for(lambda: len(watcher.messages) >= before + 10)
    return [m.json() for m in watcher.messages[before:]]


def test_csv_changes_while_events_flow(start_hub, broker, folder):
    (folder / "sensors.csv").write_text(csv(1))
    hub = start_hub(HEAD.format(url=broker.url) + JOIN).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        assert {m["version"] for m in ask(client, watcher, 0)} == {1}
        replace(folder / "sensors.csv", csv(2))
        n = 1
        while not hub.log_lines("TABLE-LOADED"):
            ask(client, watcher, n)
            n += 1
        assert {m["version"] for m in ask(client, watcher, n)} == {2}
        # All rows changed between two batches: what came in order shows 1, then 2, and never 1 again.
        for device in {m.json()["id"] for m in watcher.messages}:
            versions = [m.json()["version"] for m in watcher.messages if m.json()["id"] == device]
            assert versions == sorted(versions)


def test_bad_csv_leaves_the_old_rows(start_hub, broker, folder):
    (folder / "sensors.csv").write_text(csv(1))
    hub = start_hub(HEAD.format(url=broker.url) + JOIN).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        for text, fault in ((csv(2) + "d7,again,2\n", "sensors.csv:202: id 'd7' is already on line 9"),
                            (csv(2) + "x,1\n", "sensors.csv:202: 2 columns, the first line has 3"),
                            ("id,site\nd1,a\n", "no such column: s.version")):
            replace(folder / "sensors.csv", text)
            hub.wait_log("TABLE-REJECTED", fault)
            assert {m["version"] for m in ask(client, watcher, 1)} == {1}
        (folder / "sensors.csv").unlink()
        hub.wait_log("TABLE-REJECTED", "sensors.csv", "No such file")
        replace(folder / "sensors.csv", "version,id,more,site\n9,d1,x,new\n" + "".join(f"9,d{i},x,s\n" for i in (0, *range(2, 10))))
        hub.wait_log("TABLE-LOADED")  # Columns may come and change places.
        assert {(m["version"], m["site"]) for m in ask(client, watcher, 2)} == {(9, "s"), (9, "new")}


def test_sql_table_survives_kill_and_its_script_is_fenced(start_hub, broker, folder):
    (folder / "limits.sql").write_text("CREATE TABLE limits(id TEXT PRIMARY KEY, top REAL);\nINSERT INTO limits VALUES('d1', 5);")
    hub = start_hub(HEAD.format(url=broker.url) + """
tables:
  limits: {sql: limits.sql, key: id}
rules:
  r:
    sql: SELECT topic_part(2) AS id, n, top FROM "a/+" JOIN limits l ON l.id = topic_part(2) WHERE n > top
    to: [{bus: {topic: "out/{id}"}}]
""").wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        def say(n):
            client.publish("a/d1", json.dumps({"n": n}).encode()).wait_for_publish(10)
        for text in ("CREATE TABLE limits(id, top); DROP TABLE limits;", "ATTACH '/tmp/x' AS y;", "CREATE TABLE limits(id, top); PRAGMA user_version=1;",
                     "CREATE TABLE limits(id, top); INSERT INTO limits SELECT load_extension('x'), 1;",
                     "CREATE TABLE limits(id, top); CREATE TRIGGER t AFTER INSERT ON limits BEGIN SELECT 1; END;"):
            count = len(hub.log_lines("TABLE-REJECTED"))
            replace(folder / "limits.sql", text)
            hub.wait_log("TABLE-REJECTED", "not authorized", count=count + 1)
        say(4)
        say(6)
        watcher.wait(1)
        kill(hub)  # The file is still wrong: the store's rows serve.
        say(5.5)
        assert "a script may CREATE TABLE" in hub.run("check", check=False).stderr
        replace(folder / "limits.sql", "CREATE TABLE limits(id TEXT PRIMARY KEY, top REAL);\nINSERT INTO limits VALUES('d1', 8);")
        hub.wait_log("TABLE-LOADED")
        say(7)
        say(9)
        assert [m.json()["n"] for m in watcher.wait(3)] == [6, 5.5, 9]


FED = """
tables:
  position: {events: "SELECT topic_part(2) AS id, x FROM 'p/+'", key: id}
rules:
  r:
    sql: >-
      SELECT topic_part(2) AS id, n, p.x, l.fields ->> '$.n' AS last FROM "a/+" e
      LEFT JOIN position p ON p.id = topic_part(2) LEFT JOIN latest l ON l.topic = e.topic
    to: [{bus: {topic: "out/{id}"}}]
"""


def test_tables_of_events_survive_kill(start_hub, broker):
    hub = start_hub(HEAD.format(url=broker.url) + FED.replace("'p/+'", '\\"p/+\\"')).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        for n in range(100):
            client.publish("p/d1", json.dumps({"x": n}).encode())
            client.publish("a/d1", json.dumps({"n": n}).encode())
        for m in watcher.wait(100):
            assert m.json()["x"] == m.json()["n"] == m.json()["last"]
        kill(hub)
        client.publish("a/d1", json.dumps({"n": 7}).encode())
        assert watcher.wait(101)[-1].json() == {"id": "d1", "n": 7, "x": 99, "last": 7}
        client.publish("a/d2", json.dumps({"n": 8}).encode())
        assert watcher.wait(102)[-1].json() == {"id": "d2", "n": 8, "x": None, "last": 8}


def test_changed_survives_kill_and_forgets_with_another_sql(start_hub, broker):
    text = HEAD.format(url=broker.url) + """
rules:
  r:
    sql: SELECT n FROM "a/+" WHERE changed(n, 1)
    to: [{bus: {topic: out/x}}]
"""
    hub = start_hub(text).wait_ready()
    with Subscriber(broker.port, "out/#") as watcher, Client(broker.port) as client:
        def say(*numbers):
            for n in numbers:
                client.publish("a/d1", json.dumps({"n": n}).encode()).wait_for_publish(10)
        say(5, 5.5, 6, 7)
        watcher.wait(2)
        kill(hub)
        say(7.5, 6, 9)
        assert [m.json()["n"] for m in watcher.wait(3)] == [5, 7, 9]
        hub.write_config(text.replace("changed(n, 1)", "changed(n, 2)"))
        assert "its sql has changed" in hub.run("apply").stdout
        say(9, 10.5, 20)
        assert [m.json()["n"] for m in watcher.wait(5)] == [5, 7, 9, 9, 20]
