"""npm's cloudevents behind two calls: what it makes of events, and what it reads in messages."""

import base64
import json
import subprocess

from peers import NODE_ENV, node_script


def _run(work, items):
    done = subprocess.run([str(part) for part in node_script("cloudevents.mjs")] + [work],
                          input=json.dumps(items).encode(), capture_output=True, check=False,
                          timeout=60, env=NODE_ENV)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def make(*items):
    """Of (mode, event) or (mode, event, data bytes) the messages: dicts for Client.publish(topic, **m)."""
    asked = [{"mode": item[0], "event": item[1],
              **({"bytes": base64.b64encode(item[2]).decode()} if len(item) > 2 else {})}
             for item in items]
    return [{"payload": base64.b64decode(message["payload"]),
             "content_type": message.get("contentType"), "properties": message["properties"]}
            for message in _run("make", asked)]


def read(messages):
    """What the library reads in messages (harness.Message): events as dicts. One that is none fails."""
    found = _run("read", [{**({"contentType": m.content_type} if m.content_type else {}),
                           "properties": m.properties,
                           "payload": base64.b64encode(m.payload).decode()} for m in messages])
    for answer in found:
        assert "error" not in answer, answer["error"]
    return [answer["event"] for answer in found]
