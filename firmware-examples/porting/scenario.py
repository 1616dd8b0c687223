"""The board's line leads to a peer that sends back every byte."""

import sys

from harness import ROOT, Process, wait_for

RUN_SECONDS = 120


def run(stage):
    echo = Process("echo")
    echo.launch([sys.executable, ROOT / "device-sdk" / "conformance" / "echo"])
    try:
        port = wait_for(lambda: echo.lines and echo.lines[0], what="echo listens")
        return stage.machine(port=int(port)).wait(RUN_SECONDS)
    finally:
        echo.kill()
