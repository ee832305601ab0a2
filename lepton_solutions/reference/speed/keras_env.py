"""Keras in an environment of its own: TensorFlow and PyTorch do not share a process well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lepton_solutions.offline import refuse

HOME = Path(".bench") / "keras-env"
PACKAGES = ("keras>=3.10,<4", "tensorflow-cpu>=2.19,<3")


def run_keras(arrays: dict[str, np.ndarray], *words: str) -> dict:
    """What `keras_rival.py` prints about these arrays; the environment is made with uv when it is not there."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the arrays for a flag
        script = Path(__file__).with_name("keras_rival.py")
        done = subprocess.run([_python(), script, file, *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"keras_rival.py {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _python() -> Path:
    python = HOME / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = HOME / ".ready"
    if not ready.exists():
        refuse(f"installing {' and '.join(PACKAGES)}")
        print(f"installing {' and '.join(PACKAGES)} into {HOME}", file=sys.stderr)
        subprocess.run(["uv", "venv", "-q", "--clear", "--python", "3.11", HOME], check=True)
        environment = {**os.environ, "VIRTUAL_ENV": str(HOME.resolve())}
        subprocess.run(["uv", "pip", "install", "-q", *PACKAGES], check=True, env=environment)
        ready.touch()
    return python
