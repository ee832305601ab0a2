"""What a figure was measured on: versions, processor, vector instructions, memory. For metrics.json and benches."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "numpy", "scikit-learn", "lightgbm", "onnxruntime", "onnx", "optbinning", "pandas", "pyarrow")
# Instruction sets that decide which kernel a matrix product runs on.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "asimd", "sve")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Installed versions, Python's first; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int | float]:
    """cpu, its flags, cores this process may use, memory_gb, system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "flags": " ".join(flag for flag in FLAGS if flag in flags),
        "cores": cores or 1,
        "memory_gb": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def environment() -> dict[str, str | int | float]:
    """Both, as one flat record."""
    return {**versions(), **machine()}
