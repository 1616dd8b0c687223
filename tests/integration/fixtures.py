"""What every folder of system tests shares; a conftest.py imports it."""

import subprocess

import pytest

import harness


@pytest.fixture
def broker():
    """A mosquitto with limits that fit a hub, without persistence."""
    with harness.Broker() as running:
        yield running


@pytest.fixture
def start_hub(tmp_path):
    """start_hub(config_text, ...) starts a hub in a folder of its own; killed after the test."""
    hubs = []

    def start(config_text, folder="hub", **more):
        hub = harness.Hub(config_text, tmp_path / folder, **more)
        hubs.append(hub)
        return hub.start()

    yield start
    for hub in hubs:
        hub.cleanup()


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 3 MB."""
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", mount], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its processes said last."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for name, value in list(getattr(item, "funcargs", {}).items()):
        for process in [value] if isinstance(value, harness.Process) else getattr(value, "_made", []):
            report.sections.append((f"{name} {process.name} said", process.tail(60)))
