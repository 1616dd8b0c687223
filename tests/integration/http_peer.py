"""An HTTP server for tests, which remembers every request and answers as it is told: properly, late,
with half an answer, with rubbish. As a program it is the peer of the connectors' conformance suite:
http_peer.py PORT FILE writes what it is called with into FILE, a line of JSON each."""

import http.server
import json
import socket
import ssl
import sys
import threading


class Request:
    """method, path, headers, body of one request; connection: its number, from 1."""

    def __init__(self, handler, body):
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers
        self.body = body
        self.connection = handler.connection_number
        self.version = handler.request_version
        self._socket = handler.connection

    @property
    def key(self):
        return self.headers["Idempotency-Key"]

    def json(self):
        return json.loads(self.body)

    def wait_given_up(self, deadline=10):
        """Until the client ends the connection, at most so long."""
        self._socket.settimeout(deadline)
        try:
            self._socket.recv(1)
        except OSError:
            pass


class Answer:
    """status, body (bytes, text, or what json takes) and headers; then, before the body: raw bytes
    instead of all that, or how it goes wrong."""

    def __init__(self, status=200, body=None, headers=(), content_type="application/json", raw=None,
                 half=False, huge=0, never=False, late=None, after=None):
        self.status = status
        self.body = b"" if body is None else body
        if not isinstance(self.body, (bytes, str)):
            self.body = json.dumps(self.body)
        if isinstance(self.body, str):
            self.body = self.body.encode()
        self.headers = dict(headers)
        self.content_type = content_type
        self.raw = raw      # Bytes instead of an answer, then the connection ends.
        self.half = half    # The connection ends within the body.
        self.huge = huge    # So many bytes of body, for as long as they are taken.
        self.late = late    # An event that the body waits for; also one that must not be there.
        self.never = never  # Nothing comes until the server is closed.
        self.after = after  # Called when it has left, or could not.


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.connection_number = self.server.peer._connected(self.connection)

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass

    def _serve(self):
        length = int(self.headers.get("Content-Length", 0))
        request = Request(self, self.rfile.read(length))
        answer = self.server.peer._called(request)
        try:
            self._answer(answer)
        finally:
            if answer.after is not None:
                answer.after()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _answer(self, answer):
        if answer.never:
            self.server.peer.closing.wait()
            self.close_connection = True
            return
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.close_connection = True
            return
        self.send_response(answer.status)
        # A body after a 204 or 304 would be taken for the beginning of the connection's next answer.
        is_bodyless = answer.status in (204, 304) and answer.late is None
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.content_type and "Content-Type" not in answer.headers:
            self.send_header("Content-Type", answer.content_type)
        if not is_bodyless and "Transfer-Encoding" not in answer.headers:
            self.send_header("Content-Length", str(answer.huge or len(answer.body)))
        self.end_headers()
        if self.command == "HEAD" or is_bodyless:
            return
        if answer.late is not None:
            answer.late.wait(60)
        if answer.huge:
            self._write_huge(answer.huge)
        elif answer.half:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(answer.body)

    def _write_huge(self, left):
        piece = b"x" * 65536
        while left > 0:
            count = min(left, len(piece))
            self.wfile.write(piece[:count])  # Fails when the other side has had enough.
            self.server.peer.huge_sent += count
            left -= count


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 200
    context = None  # Of TLS: the handshake is done by the connection's own thread.

    def finish_request(self, request, client_address):
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
        super().finish_request(request, client_address)

    def shutdown_request(self, request):
        try:
            super().shutdown_request(request)
        except OSError:
            pass

    def handle_error(self, *_):
        pass


class _Server6(_Server):
    address_family = socket.AF_INET6


class HttpPeer:
    """with HttpPeer(answer) as peer: peer.url, peer.requests, peer.connections. answer(request) gives
    an Answer; it may be replaced at any time."""

    def __init__(self, answer=None, port=0, context=None, host="127.0.0.1"):
        self.answer = answer or (lambda request: Answer(body={"ok": True}))
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.requests = []
        self.connections = 0
        self.huge_sent = 0
        self._open = set()
        kind = _Server6 if ":" in host else _Server
        self._server = kind((host, port), _Handler)
        self._server.peer = self
        self._server.context = context
        self.port = self._server.server_address[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if context else 'http'}://{name}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _connected(self, connection):
        with self.lock:
            self.connections += 1
            self._open.add(connection)
            return self.connections

    def _called(self, request):
        with self.lock:
            self.requests.append(request)
        return self.answer(request)

    def keys(self):
        with self.lock:
            return [request.key for request in self.requests]

    def stop(self):
        """Nobody listens any more, and all connections end."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        with self.lock:
            connections, self._open = self._open, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def main():
    path = sys.argv[2]
    lock = threading.Lock()

    def answer(request):
        line = json.dumps({"idempotency_key": request.key, "path": request.path,
                           "payload": request.json()})
        with lock, open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        return Answer(body={})

    HttpPeer(answer, port=int(sys.argv[1]))._thread.join()


if __name__ == "__main__":
    main()
