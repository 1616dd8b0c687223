"""The SDK's unit tests on Cortex-M0, M3, M4F, RV32 (bare metal), and on big-endian MIPS, 32-bit and 64-bit Arm
and 64-bit RISC-V (Linux): other alignment, byte order, sizes of int and of pointers than the host's."""

import re

import pytest

import on_target
from on_target import FAILURES, TARGETS

PAIRS = [(target, name) for target in TARGETS for name in on_target.tests_of(TARGETS[target])]


@pytest.fixture(scope="module", autouse=True)
def built():
    on_target.build_all()


@pytest.mark.parametrize("target, name", PAIRS)
def test_unit(target, name):
    refused = on_target.build_one(TARGETS[target], name)
    assert refused is None, refused
    code, said = on_target.run(TARGETS[target], name)
    assert code == 0, said
    passed = re.search(r"^(\d+) tests passed$", said, re.M)
    assert passed and int(passed.group(1)) == said.count(" ok\n") > 0, said


@pytest.mark.parametrize("target", TARGETS)
def test_a_failure_is_seen(target):
    """Each kind of failed assertion, a trap, and a setup that fails."""
    for kind, why in FAILURES.items():
        name = f"failing-{kind}"
        refused = on_target.build_one(TARGETS[target], name)
        assert refused is None, refused
        code, said = on_target.run(TARGETS[target], name)
        assert code not in (0, 124, 137), f"{why}: {code}: {said}"
        assert "tests passed" not in said
        if why not in ("trap", "setup"):
            assert re.search(r"failing\.c:\d+: ", said), said
