"""Payloads by protoc and the .proto files, from and to its text format: an encoder that is not ours."""

import shutil
import subprocess

from harness import ROOT

PROTO = ROOT / "proto"
SPARKPLUG = ("sparkplug/sparkplug_b.proto", "sparkplug.Payload")
CLOUDEVENT = ("cloudevents/cloudevents.proto", "cloudevents.CloudEvent")


def _protoc(option, kind, data):
    file, message = kind
    protoc = shutil.which("protoc") or "/usr/bin/protoc"
    done = subprocess.run([protoc, f"--{option}={message}", "-I", PROTO, PROTO / file], input=data,
                          capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def encode(kind, text):
    return _protoc("encode", kind, text.encode())


def decode(kind, payload):
    return _protoc("decode", kind, payload).decode()
