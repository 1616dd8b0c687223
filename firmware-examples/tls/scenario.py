"""A broker with two listeners for TLS, and devices whose credentials fit it or not."""

import importlib.util
import pathlib

import harness

HERE = pathlib.Path(__file__).resolve().parent
HOST = "broker.example"
IDENTITY = "dev-1"
KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
RUN_SECONDS = 100
REFUSED = 10  # With the reason: 1 untrusted, 2 another name, 5 another key.

LISTENERS = """
listener {key_port} 127.0.0.1
psk_hint pipit
psk_file {folder}/keys
ciphers PSK-AES128-GCM-SHA256
tls_version tlsv1.2
listener {ca_port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
tls_version tlsv1.2
listener {rsa_port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/broker-rsa.pem
keyfile {folder}/broker-rsa.key
tls_version tlsv1.2
"""


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


provision = load("provision")


class Secured:
    """The stage's broker with listeners for TLS, and what devices need for each: with_key() and others."""

    def __init__(self, stage):
        self.stage = stage
        self.folder = stage.broker.dir
        self.key_port = harness.free_port()
        self.ca_port = harness.free_port()
        self.rsa_port = harness.free_port()
        self.ca = provision.authority(self.folder, "ca")
        self.other_ca = provision.authority(self.folder, "other-ca")
        provision.certificate(self.folder, "broker", HOST, self.ca)
        provision.certificate(self.folder, "broker-rsa", HOST, self.ca, provision.RSA)
        (self.folder / "keys").write_text(f"{IDENTITY}:{KEY.hex()}\n")
        stage.broker.stop()
        stage.broker.conf_extra += LISTENERS.format(
            key_port=self.key_port, ca_port=self.ca_port, rsa_port=self.rsa_port, folder=self.folder)
        stage.broker.start()
        stage.hub.wait_log("id=INTAKE-UP", count=2)
        harness.wait_for(lambda: stage.watcher.connected.is_set(), what="the watcher is back")

    def with_key(self, key=KEY, identity=IDENTITY):
        return self.key_port, provision.page(identity=identity, key=key)

    def with_ca(self, ca=None, host=HOST):
        return self.ca_port, provision.page(host=host, ca=provision.der(ca or self.ca))

    def with_rsa(self):
        return self.rsa_port, provision.page(host=HOST, ca=provision.der(self.ca))

    def machine(self, name, port_and_page, arguments=(), more=()):
        """A board with that page at the end of its flash, on a line to that port."""
        port, page = port_and_page
        path = self.folder / f"{name}.page"
        path.write_bytes(page)
        address, size = self.stage.board.flash
        loader = f"loader,file={path},addr={address + size - len(page):#x},force-raw=on"
        return self.stage.machine(name, *arguments, port=port, more=["-device", loader, *more])


def run(stage):
    secured = Secured(stage)
    tries = [
        ("the key that the broker knows", "with-key", secured.with_key(), 0),
        ("another key", "other-key", secured.with_key(bytes(16)), REFUSED + 5),
        ("the CA of the broker's certificate", "with-ca", secured.with_ca(), 0),
        ("another CA", "other-ca", secured.with_ca(secured.other_ca), REFUSED + 1),
    ]
    codes = []
    for what, name, credentials, _ in tries:
        stage.say(what)
        codes.append(secured.machine(name, credentials).wait(RUN_SECONDS))
        stage.say(f"ends with {codes[-1]}")
    return 0 if codes == [code for *_, code in tries] else 1
