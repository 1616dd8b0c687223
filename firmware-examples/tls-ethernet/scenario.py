"""As the scenario of tls, on QEMU's network: 10.0.2.2 is this machine."""

import importlib.util
import pathlib

RUN_SECONDS = 100
CABLE = ["-nic", "user,model=lan9118"]


def of_tls():
    path = pathlib.Path(__file__).resolve().parents[1] / "tls" / "scenario.py"
    spec = importlib.util.spec_from_file_location("scenario_of_tls", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(stage):
    tls = of_tls()
    secured = tls.Secured(stage)
    tries = [
        ("a certificate with ECDSA", "ecdsa", secured.with_ca(), 0),
        ("a certificate with RSA", "rsa", secured.with_rsa(), 0),
        ("another CA", "other-ca", secured.with_ca(secured.other_ca), tls.REFUSED + 1),
    ]
    codes = []
    for what, name, (port, page), _ in tries:
        stage.say(what)
        codes.append(secured.machine(name, (None, page), arguments=(port,), more=CABLE).wait(RUN_SECONDS))
        stage.say(f"ends with {codes[-1]}")
    return 0 if codes == [code for *_, code in tries] else 1
