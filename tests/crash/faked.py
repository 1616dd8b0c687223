"""A hub whose wall clock is what a file says, by libfaketime; that needs a build without sanitizers."""

import os
import pathlib

import pytest

from harness import ROOT

FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)  # Debian's, on any processor.
RELEASE = pathlib.Path(os.environ.get("PIPIT_BUILD_RELEASE", ROOT / "build" / "release"))

needs_release = pytest.mark.skipif(not (RELEASE / "hub" / "pipit").exists(),
                                   reason="libfaketime needs a build without sanitizers")


def clock_environment(clock):
    """Of a process that reads its clock's difference from the real one in that file, such as +3600, each time."""
    assert FAKETIME is not None, "libfaketime is not installed"
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
