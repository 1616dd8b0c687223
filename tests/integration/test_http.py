"""Targets that are HTTP servers: what they get, what their answers mean, what is broken and comes back."""

import email.utils
import json
import random
import ssl
import subprocess
import threading
import time

import pytest

from harness import Client, Process, free_port, is_listening, pipit, wait_for
from http_peer import Answer, HttpPeer

CONFIG = """
hub: {{id: plant, store: "{{dir}}/hub.db", check_broker: false, stats_every: 0, drain: 300 ms}}
sources:
  main: {{mqtt: {{url: "{url}", probe: false}}, topics: ["a/#"]}}
devices:
  a: {{from: "a/+", device: topic_part(2), sequence: n}}
targets:
  shop: {{http: {{url: "{peer}"{more}}}, attempts: {attempts}, backoff_min: 20 ms, backoff_max: 50 ms}}
rules:
  r:
    sql: SELECT device, n, place FROM "a/+"
    key: "{key}"
    to: [shop: {{{route}}}]
"""


def config(broker, peer, more="", attempts=3, route="path: /x", key="n"):
    return CONFIG.format(url=broker.url, peer=peer if isinstance(peer, str) else peer.url,
                         more=f", {more}" if more else "", attempts=attempts, route=route, key=key)


def publish(client, *numbers, place="hall"):
    for n in numbers:
        client.publish("a/d1", json.dumps({"n": n, "place": place}).encode())


def books(hub):
    b = json.loads(hub.run("status", "--json", "--interval", "0").stdout)["books"]
    assert b["enqueued"] == b["delivered"] + b["waiting"] + b["dead"] + b["dropped"], b
    return b


def wait_books(hub, **want):
    def fact():
        now = books(hub)
        return all(now[name] == value for name, value in want.items())
    wait_for(fact, what=lambda: f"{want}: {books(hub)}\n{hub.tail()}")


def letters(hub):
    return [json.loads(line) for line in hub.run("dead", "list", "--json").stdout.splitlines()]


def test_a_delivery_is_a_request(start_hub, broker):
    with HttpPeer() as peer, Client(broker.port) as client:
        route = ('method: PUT, path: "/items/{place}?n={n}", '
                 'properties: {X-Place: "{place}", traceparent: "00-1-2-01", X-None: "{fields.none}"}')
        more = 'headers: "X-Fixed: one\\nX-Place: never seen", token: "t0p-secret"'
        hub = start_hub(config(broker, peer.url + "/api/", more, route=route)).wait_ready()
        publish(client, 1, place="a/b ü&?=../%")
        wait_books(hub, delivered=1)
        request = peer.requests[0]
        assert request.method == "PUT" and request.version == "HTTP/1.1"
        assert request.path == "/api/items/a%2Fb%20%C3%BC%26%3F%3D..%2F%25?n=1"
        assert request.json() == {"device": "d1", "n": 1, "place": "a/b ü&?=../%"}
        headers = request.headers
        assert headers["Content-Type"] == "application/json"
        assert headers["Idempotency-Key"] == "a/d1/0/1:r:1"
        assert headers["User-Agent"].startswith("pipit/")
        assert headers["Authorization"] == "Bearer t0p-secret"
        assert headers["X-Fixed"] == "one"
        assert headers.get_all("X-Place") == ["a/b ü&?=../%".encode().decode("latin-1")]
        assert headers["traceparent"] == "00-1-2-01" and headers["X-None"] is None
        assert headers["Expect"] is None
        hub.terminate()
        assert "t0p-secret" not in "\n".join(hub.lines)


@pytest.mark.parametrize("place, what", [
    ("..", "has . or .. as a part"), (".", "has . or .. as a part"), ("", "would leave a part of the path empty")])
def test_a_value_leads_nowhere_else(start_hub, broker, place, what):
    with HttpPeer() as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, route='path: "/items/{place}/x"')).wait_ready()
        publish(client, 1, place=place)
        wait_for(lambda: books(hub)["rejected"] == 1, what=hub.tail)
        assert hub.log_lines(what), hub.tail()
        assert peer.requests == []


def test_methods_without_a_payload(start_hub, broker):
    with HttpPeer() as peer, Client(broker.port) as client:
        for method in ("GET", "DELETE", "HEAD", "PATCH"):
            hub = start_hub(config(broker, peer, route=f"method: {method}, path: /m"), folder=method).wait_ready()
            publish(client, 1)
            wait_books(hub, delivered=1)
            hub.kill()
            request = peer.requests[-1]
            assert request.method == method
            assert bool(request.body) == (method == "PATCH")
            assert (request.headers["Content-Length"] is not None) == (method == "PATCH")


def test_statuses_are_verdicts(start_hub, broker):
    """n of the event is the status that it gets."""
    def answer(request):
        status = request.json()["n"]
        return Answer(status, body="first line\nsecond", content_type="text/plain",
                      headers={"Location": "/elsewhere"} if status < 400 else {})

    done, retry, reject = [200, 201, 204, 299, 409], [408, 425, 429, 500, 503, 599], [301, 302, 308, 400, 404, 422]
    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, 'done: "2xx 409"', attempts=2)).wait_ready()
        publish(client, *sorted(done + retry + reject))
        wait_books(hub, delivered=len(done), dead=len(retry) + len(reject), waiting=0)
        calls = [request.json()["n"] for request in peer.requests]
        assert sorted(calls) == sorted(done + retry + retry + reject), "\n".join(
            [hub.tail(), f"{peer.connections} connections", *(
                f"{request.json()['n']} on {request.connection}" for request in peer.requests)])
        reasons = {json.loads(letter["payload"])["n"] if isinstance(letter["payload"], str)
                   else letter["payload"]["n"]: letter["reason"] for letter in letters(hub)}
        assert set(reasons) == set(retry + reject)
        assert reasons[503] == f"POST {peer.url}/x: 503: first line"
        assert peer.connections <= 17, "connections are kept"


def test_connections_are_kept(start_hub, broker):
    with HttpPeer() as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, "in_flight: 1")).wait_ready()
        publish(client, *range(1, 201))
        wait_books(hub, delivered=200)
        assert len({request.connection for request in peer.requests}) == 1
        assert peer.connections == 2, "the first one saw that the server is there"


def test_a_connection_that_ends_without_a_word_is_no_attempt(start_hub, broker):
    """As servers do with those that were idle, perhaps just when the next call is made."""
    whole = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with HttpPeer(lambda _: whole) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, "in_flight: 2", attempts=1)).wait_ready()
        publish(client, *range(1, 101))
        wait_books(hub, delivered=100, dead=0)
        assert len(set(peer.keys())) == 100 and peer.connections >= 100


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}], ids=["length", "chunked"])
def test_a_body_where_none_may_be_is_not_the_next_answer(start_hub, broker, headers):
    """A 204 has none. As it comes late the hub has the status long before."""
    late = threading.Event()

    def answer(request):
        return Answer(204, body="f\r\nwhat is this?!\r\n0\r\n\r\n", headers=headers, late=late) if request.json()["n"] == 1 else Answer()

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, "in_flight: 1", attempts=1)).wait_ready()
        publish(client, 1)
        wait_books(hub, delivered=1)
        late.set()
        publish(client, 2, 3)
        wait_books(hub, delivered=3, dead=0)
        numbers = [request.json()["n"] for request in peer.requests]
        assert numbers == [1, 2, 3] and not hub.log_lines("DELIVER-RETRY"), hub.tail()
        assert peer.requests[1].connection == peer.requests[2].connection != peer.requests[0].connection


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept_to(start_hub, broker, form):
    at = []

    def answer(request):
        at.append(time.monotonic())
        if len(at) > 1:
            return Answer()
        value = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2.5, usegmt=True)
        return Answer(503, headers={"Retry-After": value})

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer)).wait_ready()
        publish(client, 1)
        wait_books(hub, delivered=1)
        assert len(at) == 2 and at[1] - at[0] >= 0.95, "its own backoff is 20 ms"


def test_a_server_that_is_not_there_is_no_attempt(start_hub, broker):
    port = free_port()
    with Client(broker.port) as client:
        hub = start_hub(config(broker, f"http://127.0.0.1:{port}", attempts=1)).wait_ready()
        publish(client, *range(1, 21))
        hub.wait_log("id=DELIVER-DOWN", "target=shop", "connect to")
        wait_books(hub, waiting=20, dead=0)
        with HttpPeer(port=port) as peer:
            wait_books(hub, delivered=20)
            peer.stop()
            publish(client, 21)
            wait_books(hub, waiting=1, dead=0)
        with HttpPeer(port=port):
            wait_books(hub, delivered=21, dead=0)


BROKEN = {
    "never": (Answer(never=True), "no whole answer within 1000 ms"),
    "half": (Answer(body="x" * 1000, half=True), "POST "),
    "rubbish": (Answer(raw=b"\x00\xff\x17 what is this\r\n\r\n"), "HTTP/0.9"),
    "nothing": (Answer(raw=b""), "Empty reply from server"),
    "headers": (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"y" * 8000 + b"\r\n" + (b"X-B: " + b"z" * 8000 + b"\r\n") * 20),
                "headers are longer than 64 KB"),
    "length": (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), "Content-Length"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_answer_that_is_none_is_tried_again(start_hub, broker, how):
    bad, reason = BROKEN[how]

    def answer(_):
        return bad if len(peer.requests) < 3 else Answer()

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        # Where it is not the time that ends a call, time must not: a busy machine takes its own.
        hub = start_hub(config(broker, peer, "timeout: 1 s" if how == "never" else "", attempts=10)).wait_ready()
        publish(client, 1)
        wait_books(hub, delivered=1)
        assert len(peer.requests) == 3 and len(set(peer.keys())) == 1
        assert any(reason in line for line in hub.log_lines("id=DELIVER-RETRY")), hub.tail()


def test_a_large_answer_is_not_read(start_hub, broker):
    with HttpPeer(lambda _: Answer(huge=100 * 1000 * 1000)) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer)).wait_ready()
        before = hub.rss_kb()
        publish(client, 1, 2, 3)
        wait_books(hub, delivered=3)
        assert peer.huge_sent < 60 * 1000 * 1000, "of 300 MB"
        assert hub.rss_kb() - before < 30000


def test_a_slow_one_holds_up_nobody(start_hub, broker):
    """Deliveries of other keys, also those that come later, pass it."""
    release = threading.Event()

    def answer(request):
        if request.json()["n"] == 1:
            release.wait(60)
        return Answer()

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, "in_flight: 2")).wait_ready()
        publish(client, 1)
        wait_for(lambda: len(peer.requests) == 1)
        for last in (20, 40, 60):
            publish(client, *range(last - 18, last + 1) if last == 20 else range(last - 19, last + 1))
            wait_books(hub, delivered=last - 1, waiting=1)
        release.set()
        wait_books(hub, delivered=60, waiting=0)
        assert len(peer.requests) == 60


def test_the_order_of_a_key_is_kept(start_hub, broker):
    def answer(request):
        return Answer(503) if request.json()["n"] % 7 == 0 and peer.keys().count(request.key) == 1 else Answer()

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, key="device")).wait_ready()
        publish(client, *range(1, 51))
        wait_books(hub, delivered=50)
        first = list(dict.fromkeys(request.json()["n"] for request in peer.requests))
        assert first == list(range(1, 51))


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_the_key_outlives_the_hub(start_hub, broker, how):
    """What was under way when the hub ended is called again with the same key, and is no attempt."""
    hold = threading.Event()

    def answer(_):
        hold.wait(30)
        return Answer()

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, attempts=1)).wait_ready()
        publish(client, 1, 2, 3)
        wait_for(lambda: len(peer.requests) == 3)
        began = time.monotonic()
        if how == "kill":
            hub.kill()
        else:
            assert hub.terminate() == 0
            assert time.monotonic() - began < 10, "it does not wait for answers"
        hold.set()
        hub.start()
        wait_books(hub, delivered=3, dead=0, dropped=0)
        keys = peer.keys()
        assert len(keys) == 6 and set(keys[:3]) == set(keys[3:]) and len(set(keys)) == 3


def test_kills_at_any_moment_lose_nothing(start_hub, broker):
    """Of all deliveries the server has had at least one call, by one key each, though it is moody."""
    chance = random.Random(7)

    def answer(_):
        time.sleep(chance.random() * 0.01)
        return Answer(503) if chance.random() < 0.2 else Answer()

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, attempts=1000)).wait_ready()
        for n in range(12):
            publish(client, *range(n * 20 + 1, n * 20 + 21))
            time.sleep(chance.random() * 0.15)  # The moment of the kill, no wait for anything.
            hub.kill()
            hub.start().wait_ready()
        wait_books(hub, delivered=240, waiting=0, dead=0)
        assert len(set(peer.keys())) == 240


def test_a_dead_letter_gets_another_address(start_hub, broker):
    with HttpPeer(lambda r: Answer(404 if r.path == "/x" else 200)) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer)).wait_ready()
        publish(client, 1)
        wait_books(hub, dead=1)
        number = letters(hub)[0]["id"]
        for topic in ("PUT y", "POST /a b", "/a/../b", "/a#b"):
            refused = hub.run("dead", "edit", number, "--topic", topic, check=False)
            assert refused.returncode != 0 and "address" in refused.stderr, (topic, refused)
        hub.run("dead", "edit", number, "--topic", "PUT /y?all=+#".replace("#", "%23"))
        hub.run("dead", "replay", number)
        wait_books(hub, delivered=1, dead=0)
        assert (peer.requests[-1].method, peer.requests[-1].path) == ("PUT", "/y?all=+%23")
        assert len(set(peer.keys())) == 1


def test_a_replay_says_that_it_is_one(start_hub, broker):
    with HttpPeer() as peer, Client(broker.port) as client:
        text = config(broker, peer, route='path: "/items/{place}"').replace("\nsources:", "\nhistory: {keep: 1 h}\nsources:")
        hub = start_hub(text).wait_ready()
        publish(client, 1, place="a b")
        wait_books(hub, delivered=1)
        hub.run("replay", "r", "--from", "1 h ago", "--run")
        wait_books(hub, delivered=2)
        first, again = peer.requests
        assert (again.path, again.body) == (first.path, first.body) and first.path == "/items/a%20b"
        assert again.key == f"replay/1/{first.key}" and again.headers["replay"] == "1"


LONG = "hu5h-secret" * 80  # As tokens are: what is shown of an answer ends within it.


@pytest.mark.parametrize("more, secret", [
    ("username: u, password: hu5h-secret", "hu5h-secret"), ("token: hu5h-secret", "hu5h-secret"),
    (f"token: {LONG}", LONG), ("proxy: {proxy}", "hu5h-secret"), ('headers: "X-Key: hu5h-secret"', "hu5h-secret"), (f'headers: "X-Key: {LONG}"', LONG),
], ids=["password", "token", "long token", "proxy", "header", "long header"])
def test_secrets_and_an_echo(start_hub, broker, more, secret):
    """A server, or a proxy, that answers with what it was sent does not bring them into the log."""
    with HttpPeer(lambda r: Answer(400, body=f"no: {r.json()} {secret}")) as peer, Client(broker.port) as client:
        more = more.format(proxy=f'"http://u:${{env:PROXY_WORD}}@127.0.0.1:{peer.port}"')
        hub = start_hub(config(broker, peer, more), env={"PROXY_WORD": "hu5h%2dsecret"}).wait_ready()
        publish(client, 1)
        wait_books(hub, dead=1)
        if "username" in more:
            assert peer.requests[0].headers["Authorization"] == "Basic dTpodTVoLXNlY3JldA=="
        if "proxy" in more:
            assert peer.requests[0].headers["Proxy-Authorization"] == "Basic dTpodTVoLXNlY3JldA=="
        hub.terminate()
        shown = "\n".join(hub.lines) + json.dumps(letters(hub)) + hub.run("check").stdout
        assert "/x: 400" in shown and "hu5h" not in shown and "dTpodTVo" not in shown


def test_ipv6(start_hub, broker):
    with HttpPeer(host="::1") as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer)).wait_ready()
        publish(client, 1)
        wait_books(hub, delivered=1)
        assert peer.requests[0].headers["Host"] == f"[::1]:{peer.port}"


def test_a_proxy_of_the_environment_is_none_of_ours(start_hub, broker):
    nobody = f"http://127.0.0.1:{free_port()}"
    with HttpPeer() as peer, HttpPeer() as proxy, Client(broker.port) as client:
        hub = start_hub(config(broker, peer), env={"http_proxy": nobody, "ALL_PROXY": nobody}).wait_ready()
        publish(client, 1)
        wait_books(hub, delivered=1)
        hub.kill()
        hub = start_hub(config(broker, peer, f'proxy: "{proxy.url}"'), folder="proxied").wait_ready()
        publish(client, 2)
        wait_books(hub, delivered=1)
        assert proxy.requests[0].path == f"{peer.url}/x" and len(peer.requests) == 1


def test_a_cloudevent_has_its_attributes_in_headers(start_hub, broker):
    with HttpPeer() as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer, route='path: /x, payload: cloudevent, type: "it.is", '
                                                   'subject: "{place}"')).wait_ready()
        publish(client, 1, place="ü 1")
        wait_books(hub, delivered=1)
        headers = peer.requests[0].headers
        assert headers["ce-specversion"] == "1.0" and headers["ce-type"] == "it.is"
        assert headers["ce-id"] == headers["Idempotency-Key"]
        assert headers["ce-subject"] == "%C3%BC%201" and headers["specversion"] is None
        assert headers["Content-Type"] == "application/json"


# ---- TLS and HTTP/2 ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    commands = ["req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
                "req -x509 -newkey rsa:2048 -nodes -keyout no.key -out other.pem -days 2 -subj /CN=no"]
    for name in ("server", "hub"):
        commands += [f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}",
                     f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem "
                     "-days 2 -extfile names"]
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])  # The server's no comes within the handshake, after it.
def test_tls_with_certificates_on_both_sides(start_hub, broker, certificates, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    good = f'ca: "{certificates}/ca.pem", cert: "{certificates}/hub.pem", key: "{certificates}/hub.key"'
    with HttpPeer(context=context) as peer, Client(broker.port) as client:
        for folder, more, problem in (
                ("stranger", good.replace("ca.pem", "other.pem"), "certificate"),
                ("nameless", f'ca: "{certificates}/ca.pem"', "err=")):
            hub = start_hub(config(broker, peer, more), folder=folder).wait_ready()
            publish(client, 1)
            hub.wait_log("id=DELIVER-DOWN", "target=shop", problem)
            wait_books(hub, waiting=1, dead=0)
            hub.kill()
        hub = start_hub(config(broker, peer, good), folder="good").wait_ready()
        publish(client, 1, 2, 3)
        wait_books(hub, delivered=3)
        hub.kill()
        hub = start_hub(config(broker, peer, good.replace("ca.pem", "other.pem") + ", verify: false"),
                        folder="careless").wait_ready()
        publish(client, 1)
        wait_books(hub, delivered=1)


class Nghttpd(Process):
    """A server that speaks HTTP/2 only, and sends back what it is sent."""

    def __init__(self, folder, certificates):
        super().__init__("nghttpd")
        self.port = free_port()
        self.launch(["nghttpd", "-v", "--echo-upload", "-d", folder, str(self.port),
                     certificates / "server.key", certificates / "server.pem"])
        wait_for(lambda: is_listening(self.port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def test_http_2_has_one_connection(start_hub, broker, tmp_path, certificates):
    with Nghttpd(tmp_path, certificates) as server, Client(broker.port) as client:
        more = f'ca: "{certificates}/ca.pem"'
        hub = start_hub(config(broker, f"https://localhost:{server.port}", more)).wait_ready()
        publish(client, *range(1, 101))
        wait_books(hub, delivered=100)
        said = "\n".join(server.lines)
        assert said.count("idempotency-key: a/d1/0/") == 100
        connections = {line.split("]")[0] for line in server.lines if "recv HEADERS" in line}
        assert len(connections) == 1, connections


# ---- what is wrong before anything is called -----------------------------------------------------


@pytest.mark.parametrize("more, problem", [
    ("url: http://x", "url"),
    ('done: "20x"', "done: '20x' is no list of statuses"),
    ('retry: "2xx"', "status 200 is in done and in retry"),
    ("password: p", "password needs a username"),
    ("token: t, username: u", "one is enough"),
    ("ca: hub.yaml", "the url must be https://"),
    ('headers: "no colon"', "headers: a line has no colon"),
    ('headers: "Host: x"', "'Host' is a header that the hub sets itself"),
    ('headers: "A b: x"', "'A b' is no name of a header"),
    ("in_flight: 101", "in_flight"),
    ('proxy: "ftp://u:s3cret@x"', "proxy: must be the URL of a proxy"),
    ('proxy: "http://u:s3cret@x:y"', "proxy: must be the URL of a proxy"),
    ('proxy: "http://u:s3cret @x"', "proxy: must be the URL of a proxy"),
])
def test_check_finds_it(tmp_path, broker, more, problem):
    path = tmp_path / "hub.yaml"
    path.write_text(config(broker, "http://127.0.0.1:1", more).replace("{dir}", str(tmp_path)))
    done = pipit("check", "-c", path, check=False)
    assert done.returncode != 0 and problem in done.stdout + done.stderr, done
    assert "s3cret" not in done.stdout + done.stderr


def test_a_proxy_that_is_not_there(start_hub, broker):
    """What is said of it has no password."""
    proxy = f"http://user:hu5h-secret@127.0.0.1:{free_port()}"
    with HttpPeer() as peer:
        hub = start_hub(config(broker, peer, f'proxy: "{proxy}"'))
        wait_for(lambda: any("connect to" in line for line in hub.lines))
        hub.terminate()
        assert "hu5h-secret" not in "\n".join(hub.lines) + hub.run("check", check=False).stdout


@pytest.mark.parametrize("url, problem", [
    ("ftp://u:s3cret@x", "url: must begin with http:// or https://"), ("http://", "url"), ("http://u:s3cret@x", "username"),
    ("http://x/?a=1", "a query belongs into the path"), ("http://x/#a", "fragment"), ("x:80", "must begin with")])
def test_check_knows_urls(tmp_path, broker, url, problem):
    path = tmp_path / "hub.yaml"
    path.write_text(config(broker, url).replace("{dir}", str(tmp_path)))
    done = pipit("check", "-c", path, check=False)
    assert done.returncode != 0 and problem in done.stdout + done.stderr, done
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("route, problem", [
    ('path: "x"', "does not begin with /"), ('path: "/a b"', "%20"), ('path: "/a/../b"', ". or .."),
    ('path: "/{nothing}"', 'there is no column "nothing"'), ("method: BREW", "method"),
    ("topic: a/b", "topic"), ("qos: 1", "qos")])
def test_check_knows_addresses(tmp_path, broker, route, problem):
    path = tmp_path / "hub.yaml"
    path.write_text(config(broker, "http://127.0.0.1:1", route=route).replace("{dir}", str(tmp_path)))
    done = pipit("check", "-c", path, check=False)
    assert done.returncode != 0 and problem in done.stdout + done.stderr, done
