"""The SDK's unit tests on Cortex-M0, M3, M4F, RV32 (bare metal), and on big-endian MIPS, 32-bit and 64-bit Arm
and 64-bit RISC-V (Linux): other alignment, byte order, sizes of int and of pointers than the host's."""

import concurrent.futures
import os
import re

import pytest

import on_target
from on_target import FAILURES, TARGETS

PAIRS = [(target, name) for target in TARGETS for name in on_target.tests_of(TARGETS[target])]


@pytest.fixture(scope="module")
def results(request):
    """results(target, name): what came out. All that were selected run at once, as many as there are cores."""
    wanted = [tuple(item.callspec.params[key] for key in ("target", "name")) for item in request.session.items
              if item.module is request.module and "name" in item.callspec.params]
    on_target.build_all(PAIRS)
    pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    running = {pair: pool.submit(build_and_run, *pair) for pair in wanted}
    yield lambda target, name: running[target, name].result()
    pool.shutdown(cancel_futures=True)


def build_and_run(target, *name_and_argument):
    refused = on_target.build_one(TARGETS[target], name_and_argument[0])
    return (None, refused) if refused else on_target.run(TARGETS[target], *name_and_argument)


@pytest.mark.parametrize("target, name", PAIRS)
def test_unit(results, target, name):
    code, said = results(target, name)
    assert code == 0, said
    passed = re.search(r"^(\d+) tests passed$", said, re.M)
    assert passed and int(passed.group(1)) == said.count(" ok\n") > 0, said


@pytest.mark.parametrize("target", TARGETS)
def test_a_failure_is_seen(results, target):
    """Each kind of failed assertion, a trap, and a setup that fails; asked for none, the program passes."""
    assert build_and_run(target, "failing")[0] == 0
    for kind, why in FAILURES.items():
        code, said = build_and_run(target, "failing", str(kind))
        assert code is not None, said
        assert code not in (0, 124, 137), f"{why}: {code}: {said}"
        assert "tests passed" not in said
        if why not in ("trap", "setup"):
            assert re.search(r"failing\.c:\d+: ", said), said
