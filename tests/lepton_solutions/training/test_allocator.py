"""Memory that a step frees stays in the process."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
import psutil
from lepton_solutions.training.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
before = psutil.Process().memory_info().rss
block = np.ones(25_000_000)  # 200 MB, which glibc would take from the system and give back to it
del block
print((psutil.Process().memory_info().rss - before) / 1e6)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone gives freed memory back at once")
@pytest.mark.parametrize(("what", "held"), [("kept", True), ("given back", False)])
def test_a_large_block_that_is_freed_stays_where_it_is_asked_to(what: str, held: bool):
    done = subprocess.run([sys.executable, "-c", SCRIPT, what], capture_output=True, text=True, check=True)
    assert (float(done.stdout) > 190) == held
