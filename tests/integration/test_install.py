"""What is installed can be used from elsewhere: find_package(Pipit), pkg-config, the headers."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

CMAKE = """cmake_minimum_required(VERSION 3.25)
project(Elsewhere LANGUAGES C)
find_package(Pipit 0.1 REQUIRED)
add_executable(elsewhere main.c)
target_link_libraries(elsewhere PRIVATE Pipit::paho)
"""

MAIN = """#include <pipit/paho.h>
#include <stdio.h>

int main(void)
{
    static uint8_t memory[256];
    struct pipit_ram_spool spool;
    enum pipit_err rc = pipit_ram_spool_init(&spool, memory, sizeof(memory), PIPIT_REFUSE, 1);
    printf("%s %s\\n", PIPIT_VERSION, pipit_err_text(rc));
    return rc;
}
"""


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{argv}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The SDK alone, configured, built and installed: no hub, no tests."""
    folder = tmp_path_factory.mktemp("install")
    run("cmake", "-S", ROOT, "-B", folder / "build", "-G", "Ninja", "-DPIPIT_BUILD_HUB=OFF",
        "-DBUILD_TESTING=OFF", "-DCMAKE_INSTALL_LIBDIR=lib")
    run("cmake", "--build", folder / "build")
    run("cmake", "--install", folder / "build", "--prefix", folder / "prefix")
    return folder / "prefix"


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    (tmp_path / "main.c").write_text(MAIN)
    return tmp_path


def test_find_package(prefix, elsewhere):
    run("cmake", "-S", elsewhere, "-B", elsewhere / "build", "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", elsewhere / "build")
    assert run(elsewhere / "build" / "elsewhere") == "0.1.0 ok\n"


def test_pkg_config(prefix, elsewhere):
    env = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "pipit-paho", env=env).split()
    run("gcc", "-std=c11", "-Wall", "-Werror", "-o", elsewhere / "a.out", elsewhere / "main.c", *flags)
    assert run(elsewhere / "a.out") == "0.1.0 ok\n"


def test_only_the_public_headers_are_installed(prefix):
    installed = {path.name for path in (prefix / "include").rglob("*.h")}
    public = {path.name for path in (ROOT / "device-sdk" / "include").rglob("*.h")}
    assert installed == public
