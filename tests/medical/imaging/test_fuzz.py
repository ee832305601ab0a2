"""Whatever bytes a file holds, reading it ends in pixels or in a UserError: no crash, no hang, bounded memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fuzzed_files


def test_a_thousand_mutated_files_are_read_or_refused(tmp_path):
    # In a process of its own: a decoder that crashed would else take the tests with it.
    done = subprocess.run(
        [sys.executable, fuzzed_files.__file__, "1000", str(tmp_path)],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=300,  # it takes some 15 s: a file that hangs is what ends here
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["escaped"] == []
    assert sum(found["outcomes"].values()) == 1000
    assert "without its name" not in found["outcomes"]
    assert min(found["outcomes"].values()) > 100  # the mutations are neither harmless nor all fatal
    assert found["grown_bytes"] < 200 * 2**20  # files of up to 60 kB
