"""Fixtures that every system test may ask for."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from fixtures import broker, pytest_runtest_makereport, small_disk, start_hub  # noqa: E402, F401
