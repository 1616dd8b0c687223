#!/usr/bin/env python3
"""Makes the page of credentials that a device's flash ends with, and throwaway certificates for trying.

provision.py key IDENTITY HEX >page      a key that device and broker share, 16 to 32 bytes
provision.py ca HOST CA.pem >page        the CA that vouches for the broker called HOST
"""

import pathlib
import struct
import subprocess
import sys

PAGE_BYTES = 4096
LAYOUT = "<8sHH64s64s32s"
MAGIC = b"pipit-1\0"


def text(value):
    encoded = value.encode()
    if len(encoded) > 63:
        raise ValueError(f"longer than 63 bytes: {value}")
    return encoded


def page(identity="", key=b"", host="", ca=b""):
    """credentials.h says the same in C."""
    if bool(key) == bool(ca) or len(key) > 32:
        raise ValueError("either a key of at most 32 bytes, or a CA")
    head = struct.pack(LAYOUT, MAGIC, len(key), len(ca), text(identity), text(host), key)
    if len(head) + len(ca) > PAGE_BYTES:
        raise ValueError(f"the CA has {len(ca)} bytes; at most {PAGE_BYTES - len(head)} fit the page")
    return (head + ca).ljust(PAGE_BYTES, b"\0")


def der(pem):
    done = subprocess.run(["openssl", "x509", "-in", str(pem), "-outform", "DER"], capture_output=True)
    if done.returncode != 0:
        raise ValueError(f"{pem}: {done.stderr.decode().strip()}")
    return done.stdout


# ---- for trying ---------------------------------------------------------------------------------

P256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
RSA = ["-newkey", "rsa:2048", "-nodes"]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(folder, name):
    """A CA of its own: name.pem and name.key."""
    path = pathlib.Path(folder) / f"{name}.pem"
    openssl("req", "-x509", *P256, "-days", 2, "-subj", "/CN=throwaway", "-keyout", path.with_suffix(".key"),
            "-out", path)
    return path


def certificate(folder, name, host, ca, kind=P256):
    """Of a broker: name.pem and name.key."""
    path = pathlib.Path(folder) / f"{name}.pem"
    extensions = path.with_suffix(".ext")
    extensions.write_text(f"subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\n")
    openssl("req", *kind, "-subj", f"/CN={host}", "-keyout", path.with_suffix(".key"),
            "-out", path.with_suffix(".csr"))
    openssl("x509", "-req", "-in", path.with_suffix(".csr"), "-CA", ca, "-CAkey", ca.with_suffix(".key"),
            "-CAcreateserial", "-days", 2, "-sha256", "-extfile", extensions, "-out", path)
    return path


def main(arguments):
    try:
        kind, first, second = arguments
        made = {"key": lambda: page(identity=first, key=bytes.fromhex(second)),
                "ca": lambda: page(host=first, ca=der(second))}[kind]()
    except (KeyError, ValueError) as error:
        print(f"provision.py: {error}\n\n{__doc__}", file=sys.stderr)
        return 2
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
