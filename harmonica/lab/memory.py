"""Setting of the C library's memory allocator for our processes. Imports no torch."""

import ctypes
import sys


def keep_freed():
    """Keep freed memory in the process.

    glibc gives large freed tensors back to the system and faults their pages in again at the next
    allocation. This takes up to a sixth of the time of sampling on a CPU, or none, depending on how
    the heap happens to be laid out.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX: large blocks come from the heap too
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: the heap never shrinks
