"""Tells glibc to keep freed memory: half of the speed of training on a CPU.

By default glibc maps every large activation afresh and returns it to the kernel when it is freed, so each step faults
in the same gigabyte again. `results/training-speed.json` has the measurement.
"""

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8  # malloc.h
TOP_PAD_BYTES = 256 << 20


def keep_freed_memory() -> bool:
    """Tune this process's allocator; return False where there is no glibc (macOS, Windows, musl)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD_BYTES), (M_ARENA_MAX, 1))
    return all(mallopt(option, value) == 1 for option, value in settings)
