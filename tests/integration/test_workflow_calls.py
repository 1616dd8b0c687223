"""A workflow's calls of an HTTP server: what comes back goes on in the workflow, what fails is tried again with
the same key, and what is no answer is an error that the workflow can handle."""

import json
import threading
import time

import pytest

from harness import Client, free_port, wait_for
from http_peer import Answer, HttpPeer

CONFIG = """
hub: {{id: shop, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0, drain: 200 ms}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["shop/#"]}}
devices:
  shop: {{from: "shop/+", device: "'shop'", sequence: n}}
targets:
  stock: {{http: {{url: "{http}"{more}}}, backoff_min: 20 ms, backoff_max: 50 ms}}
workflows:
  order:
    start: {{from: shop/orders, key: number}}
    variables: {{amount: amount, place: "NULL", code: "NULL", fault: "NULL", why: "NULL"}}
    steps:
      - reserve:
          call: {{to: stock, method: PUT, path: "/items/{{my.key}}?n={{amount}}", fields: {{amount: amount, wide: "'ü'"}}}}
          within: {within}
          retry: {{attempts: {attempts}, backoff: 20 ms, backoff_max: 100 ms, within: 1 min}}
          take: {{place: 'body."place.name"', code: answer.status}}
          on_error: [{{note: {{set: {{fault: my.error, why: my.reason}}}}}}]
      - done: {{end: {{place: place, code: code, fault: fault, why: why}}}}
"""


def config(broker, http, more="", within="20 s", attempts=5):
    return CONFIG.format(url=broker.url, http=http, more=f", {more}" if more else "", within=within, attempts=attempts)


def order(client, *numbers):
    for n in numbers:
        client.publish("shop/orders", json.dumps({"n": n, "number": f"o {n}", "amount": n}).encode())


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def ended(hub, count):
    """The results of so many instances, by key, once they are over."""
    def fact():
        lines = hub.run("workflow", "list", "--state", "all", "--json").stdout.splitlines()
        found = [json.loads(line) for line in lines]
        over = [i for i in found if i["state"] in ("completed", "failed", "cancelled")]
        return over if len(over) == count else None
    over = wait_for(fact, what=lambda: hub.run("workflow", "list", "--state", "all").stdout + hub.tail())
    shown = {}
    for instance in over:
        whole = json.loads(hub.run("workflow", "show", instance["id"], "--json").stdout)
        shown[instance["key"]] = whole.get("instance", whole)["result"]
    return shown


def test_an_answer_goes_on_in_the_workflow(start_hub, broker):
    def answer(request):
        return Answer(201, {"place": {"name": f"shelf {request.json()['amount']} ü"}, "more": [1, 2]})

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer.url)).wait_ready()
        order(client, 1, 2, 3)
        results = ended(hub, 3)
        assert results == {f"o {n}": {"place": f"shelf {n} ü", "code": 201, "fault": None, "why": None}
                           for n in (1, 2, 3)}
        assert sorted((r.method, r.path) for r in peer.requests) == [
            ("PUT", f"/items/o%20{n}?n={n}") for n in (1, 2, 3)]
        assert all(r.json()["wide"] == "ü" for r in peer.requests)
        assert len(set(peer.keys())) == 3
        assert books(hub)["delivered"] == 3 and books(hub)["answered"] == 0


def test_a_busy_server_is_asked_again_with_the_same_key(start_hub, broker):
    def answer(request):
        with lock:
            seen[request.key] = seen.get(request.key, 0) + 1
            return Answer(503, {"busy": True}) if seen[request.key] < 3 else Answer(200, {"place": {"name": "here"}})

    lock, seen = threading.Lock(), {}
    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer.url)).wait_ready()
        order(client, *range(1, 11))
        results = ended(hub, 10)
        assert {r["place"] for r in results.values()} == {"here"} and len(results) == 10
        assert len(seen) == 10 and set(seen.values()) == {3}
        b = books(hub)
        assert (b["delivered"], b["answered"], b["dropped"], b["dead"]) == (10, 20, 20, 0)
        assert not hub.log_lines("DELIVER-SHED"), "nothing was given up"


FAULTS = {
    "never": (Answer(never=True), "timeout", None),
    "100 MB": (Answer(huge=100 * 1000 * 1000), "answer", None),
    "no JSON": (Answer(200, "<html>busy</html>", content_type="text/html"), None, None),
    "broken JSON": (Answer(200, '{"place": ', content_type="application/json"), "answer", None),
    "refused": (Answer(409, {"why": "gone"}), "refused", "409"),
    "elsewhere": (Answer(302, headers={"Location": "/x"}), "refused", "302"),
    "half": (Answer(200, "x" * 1000, half=True), "unavailable", None),
    "rubbish": (Answer(raw=b"what?\r\n\r\n"), "unavailable", None),
}


@pytest.mark.parametrize("how", FAULTS)
def test_what_is_no_answer_is_an_error(start_hub, broker, how):
    bad, error, why = FAULTS[how]
    with HttpPeer(lambda _: bad) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer.url, within="2 s" if how == "never" else "20 s", attempts=2)).wait_ready()
        order(client, 1)
        result = ended(hub, 1)["o 1"]
        assert result["fault"] == error, result
        assert result["place"] is None
        if why is not None:
            assert why in result["why"], result
        assert len(set(peer.keys())) == 1
        assert len(peer.requests) == (2 if error in ("timeout", "unavailable", "answer") else 1), peer.requests
        if how == "never":
            return  # It is still on its way.
        wait_for(lambda: books(hub)["waiting"] == 0)
        assert books(hub)["dead"] == 0


def test_a_server_that_is_not_there_is_waited_for(start_hub, broker):
    port = free_port()
    with Client(broker.port) as client:
        hub = start_hub(config(broker, f"http://127.0.0.1:{port}", attempts=1)).wait_ready()
        order(client, 1, 2)
        hub.wait_log("id=DELIVER-DOWN", "target=stock")
        wait_for(lambda: books(hub)["waiting"] == 2)
        with HttpPeer(lambda _: Answer(200, {"place": {"name": "late"}}), port=port):
            assert {r["place"] for r in ended(hub, 2).values()} == {"late"}


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_the_end_of_the_hub_is_no_attempt(start_hub, broker, how):
    hold = threading.Event()

    def answer(_):
        hold.wait(30)
        return Answer(200, {"place": {"name": "there"}})

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer.url, attempts=1)).wait_ready()
        order(client, 1, 2, 3)
        wait_for(lambda: len(peer.requests) == 3)
        hub.kill() if how == "kill" else hub.terminate()
        hold.set()
        hub.start()
        assert {r["place"] for r in ended(hub, 3).values()} == {"there"}
        keys = peer.keys()
        assert len(keys) == 6 and set(keys[:3]) == set(keys[3:]) and len(set(keys)) == 3


def test_a_server_that_asks_for_time_is_given_it(start_hub, broker):
    at = []

    def answer(_):
        at.append(time.monotonic())
        return Answer(429, headers={"Retry-After": "1"}) if len(at) == 1 else Answer(200, {"place": {"name": "now"}})

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer.url)).wait_ready()
        order(client, 1)
        assert ended(hub, 1)["o 1"]["place"] == "now"
        assert at[1] - at[0] >= 0.95, "its own backoff is 20 ms"
