"""What figures were measured on is stated as it is."""

import json
import os
import platform

import numpy

from lepton_solutions.environment import environment, machine, versions


def test_versions_are_those_of_the_imported_packages():
    found = versions(("numpy", "no-such-package"))
    assert found == {"python": platform.python_version(), "numpy": numpy.__version__}


def test_the_machine_counts_the_cores_this_process_may_use():
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert machine()["cores"] == 1
    finally:
        os.sched_setaffinity(0, cores)
    assert machine()["cores"] == len(cores)


def test_the_environment_is_one_flat_record_of_json():
    found = json.loads(json.dumps(environment()))
    assert {"python", "torch", "onnxruntime", "cpu", "flags", "memory_gb", "system"} <= set(found)
    assert found["cpu"] and found["memory_gb"] > 0
