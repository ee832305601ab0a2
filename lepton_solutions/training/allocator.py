"""Keep freed memory in the process, where the next step finds it.

glibc gives large blocks back to the system as soon as they are free and asks for them again in the next step: for
activations of some megabytes the page faults take up to 40 % of a training on the CPU (`lepton bench speed`).
"""

import ctypes
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT = 2**30  # bytes: larger blocks still come from the system and go back to it


@cache
def keep_freed_memory() -> None:
    """For the rest of this process; does nothing where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(M_MMAP_THRESHOLD, KEPT)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
