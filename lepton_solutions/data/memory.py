"""How much memory is free, and how much of it a training set may take."""

from __future__ import annotations

import os
from pathlib import Path

import torch

SHARE = 0.5  # of what is free: activations, optimiser and the user's other programs need theirs


def budget(memory_gb: float | None, device: torch.device) -> int:
    """Bytes that a resident set may take: as the user says (GB of 1e9 bytes), else half of what is free there."""
    if memory_gb is not None:
        return int(memory_gb * 1e9)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
    return int(SHARE * free)


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still get: free on the machine, or left in its control group where that is less.

    root: where `proc` and `sys` lie. Without them (macOS), what the machine has in all.
    """
    limits = [_left_in_group(folder) for folder in _groups(root)]
    known = [left for left in limits if left is not None]
    meminfo = root / "proc/meminfo"
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        known.append(1024 * int(lines["MemAvailable"].split()[0]))
    else:
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(known))


def _groups(root: Path) -> list[Path]:
    """The folders of this process's control groups, versions 1 and 2, with all that are above them."""
    listed = root / "proc/self/cgroup"
    if not listed.is_file():
        return []
    folders = []
    for line in listed.read_text(encoding="utf-8").splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            base = root / "sys/fs/cgroup" / kinds
            inside = base / path.lstrip("/")
            # In a container the path may be the host's, and the group itself is mounted at the base.
            folders += [folder for folder in (inside, *inside.parents) if folder.is_relative_to(base)] or [base]
    return folders


def _left_in_group(folder: Path) -> int | None:
    for most, used, freed in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        if not (folder / most).is_file() or not (folder / used).is_file():
            continue
        limit = (folder / most).read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        # File pages that nobody used lately are counted as used, and given up on demand.
        return int(limit) - int((folder / used).read_text(encoding="ascii")) + int(counts.get(freed, 0))
    return None
