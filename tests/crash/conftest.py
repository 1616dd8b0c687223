"""The fixtures of the integration tests, for these as well."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from harness import Broker  # noqa: E402

import pytest  # noqa: E402


@pytest.fixture
def broker():
    with Broker() as running:
        yield running
