"""The fixtures of the integration tests, for these as well."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from fixtures import broker, pytest_runtest_makereport, start_hub  # noqa: E402, F401
