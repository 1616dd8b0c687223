"""A workflow that is cancelled while it runs another one: that undoes first what it did, whatever dies
meanwhile, and an operator sees what is waited for."""

from harness import Client, wait_for
from http_peer import Answer, HttpPeer
from test_workflow_cli import config, instances, lines

TRIP = """
  trip:
    start: {from: shop/trips, key: number}
    steps:
      - flight:
          call: {to: stock, path: "/flight"}
          undo: [{no_flight: {call: {to: stock, method: DELETE, path: "/flight"}}}]
      - hotel: {run: {workflow: hotel, key: "my.key", wait: true}}
  hotel:
    steps:
      - room:
          call: {to: stock, path: "/room"}
          undo: [{no_room: {call: {to: stock, method: DELETE, path: "/room"}}}]
      - stay: {sleep: 1 d}
"""


def calls(peer):
    return [f"{r.method} {r.path}" for r in peer.requests]


def test_the_child_undoes_first(start_hub, broker):
    is_closed = True

    def answer(request):
        return Answer(409 if is_closed and request.method == "DELETE" and request.path == "/room" else 200)

    with HttpPeer(answer) as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer.url, TRIP)).wait_ready()
        client.publish("shop/trips", b'{"n": 1, "number": 7}')
        wait_for(lambda: "stay" in str(instances(hub, "--name", "hotel")))
        hub.run("workflow", "cancel", "trip/7")
        wait_for(lambda: [i["state"] for i in lines(hub, "list", "--name", "hotel")] == ["parked"])
        hub.kill()
        hub = start_hub(config(broker, peer.url, TRIP)).wait_ready()
        shown = hub.run("workflow", "show", "trip/7").stdout
        assert "undoing" in shown.splitlines()[0], shown
        assert "hotel (instance 2), then flight" in shown, shown
        assert "hotel undoing" in shown, shown
        assert "  it waits until workflow hotel, key 7 (instance 2) has undone what it did" in shown, shown
        assert calls(peer) == ["POST /flight", "POST /room", "DELETE /room"]
        is_closed = False
        hub.run("workflow", "retry", "hotel/7")
        wait_for(lambda: len(calls(peer)) == 5)
        assert calls(peer)[3:] == ["DELETE /room", "DELETE /flight"]
        wait_for(lambda: not lines(hub, "list"))
        assert [i["state"] for i in lines(hub, "list", "--state", "all")] == ["cancelled", "cancelled"]


def test_who_is_given_up_gives_up_what_it_runs(start_hub, broker):
    with HttpPeer() as peer, Client(broker.port) as client:
        hub = start_hub(config(broker, peer.url, TRIP)).wait_ready()
        client.publish("shop/trips", b'{"n": 1, "number": 7}')
        wait_for(lambda: "stay" in str(instances(hub, "--name", "hotel")))
        hub.run("workflow", "cancel", "--abandon", "trip/7")
        assert [i["state"] for i in lines(hub, "list", "--state", "all")] == ["cancelled", "cancelled"]
        assert "workflow trip, which runs it, was given up by an operator" in hub.run("workflow", "show", "hotel/7").stdout
        assert calls(peer) == ["POST /flight", "POST /room"]
