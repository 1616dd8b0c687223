"""The fixtures of the interoperability tests."""

import itertools
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "integration"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import harness  # noqa: E402
import peers  # noqa: E402
from fixtures import pytest_runtest_makereport  # noqa: E402, F401


def pytest_configure(config):
    config.addinivalue_line("markers", "own_only: not with the paho port")


class Side:
    """One combination: side.broker runs, side.peer(...) makes clients of ours to it."""

    def __init__(self, broker, version, link):
        self.broker = broker
        self.version = version
        self.link = link
        self._made = []

    @property
    def is_v5(self):
        return self.version == "5"

    def peer(self, client_id="ours", **options):
        made = peers.Peer(self.broker.port, client_id, self.link, version=self.version, **options)
        self._made.append(made)
        return made

    def kill(self):
        for made in self._made:
            made.kill()


@pytest.fixture(scope="module")
def brokers():
    """Run for all tests of a file, which use topics and client ids of their own."""
    with harness.Broker() as mosquitto, peers.Aedes() as aedes:
        yield {"mosquitto": mosquitto, "aedes": aedes}


@pytest.fixture(params=["311", "5"])
def version(request):
    return request.param


OWN = [(broker, version, "own") for broker in ("mosquitto", "aedes") for version in ("311", "5")]
PAHO = [("mosquitto", "311", "paho"), ("mosquitto", "5", "paho")]


def pytest_generate_tests(metafunc):
    """`side`: the own client at every broker in every version, the paho port for comparison; not that
    where a test is marked with own_only."""
    if "side" in metafunc.fixturenames:
        is_own = any(mark.name == "own_only" for mark in metafunc.definition.iter_markers())
        metafunc.parametrize("side", OWN if is_own else OWN + PAHO, indirect=True, ids="-".join)


@pytest.fixture
def side(brokers, request):
    broker, mqtt_version, link = request.param
    made = Side(brokers[broker], mqtt_version, link)
    yield made
    made.kill()


_topics = itertools.count(1)


@pytest.fixture
def topic():
    """A topic, and a client id, that no other test uses."""
    return f"interop/{next(_topics)}"
