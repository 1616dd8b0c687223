"""The client built with other switches of features.h: its tests hold there, too, with the sanitizers."""

import concurrent.futures
import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SDK = HERE.parents[2] / "device-sdk"
FLAGS = ["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", f"-I{SDK}/include", f"-I{SDK}/src", f"-I{HERE}"]

CLIENT = sorted(path.stem for path in HERE.glob("test_client_*.c"))
ONE_VERSION = [name for name in CLIENT if name != "test_client_device"]
FEATURES = ["test_client_features"]
VARIANTS = {  # What is left out, and the tests that must hold without it.
    "3.1.1 only": ({"MQTT_5"}, ONE_VERSION),
    "5 only": ({"MQTT_311"}, ONE_VERSION),
    "no QoS 2": ({"QOS_2"}, FEATURES + ["test_client_keepalive", "test_client_subscribe"]),
    "nothing inbound": ({"RECEIPTS", "COMMANDS"}, FEATURES),
    "the least, 3.1.1": ({"MQTT_5", "QOS_2", "RECEIPTS", "COMMANDS", "PRESENCE", "COUNTERS"}, FEATURES),
    "the least, 5": ({"MQTT_311", "QOS_2", "RECEIPTS", "COMMANDS", "PRESENCE", "COUNTERS"}, FEATURES),
}


def compile_one(source, out, defines, *more):
    subprocess.run(["gcc", *FLAGS, *defines, "-o", out, source, *more], check=True)
    return out


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant(variant, tmp_path):
    left_out, names = VARIANTS[variant]
    defines = [f"-DPIPIT_WITH_{name}=0" for name in sorted(left_out)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda path: compile_one(path, tmp_path / f"{path.stem}.o", defines, "-c"),
                                sorted((SDK / "src").glob("*.c"))))
        subprocess.run(["ar", "rcs", tmp_path / "libsdk.a", *objects], check=True)
        programs = pool.map(lambda name: compile_one(HERE / f"{name}.c", tmp_path / name, defines,
                                                     tmp_path / "libsdk.a", "-lcmocka"), names)
        for program in programs:
            done = subprocess.run([program], capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stdout + done.stderr
            assert re.search(r"\[  PASSED  \] [1-9]", done.stdout + done.stderr)
