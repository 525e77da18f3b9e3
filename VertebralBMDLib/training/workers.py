"""Worker processes that make training data, and end with the process that started them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


def simulating_pool() -> ProcessPoolExecutor:
    """A pool of at most as many processes as there are cores."""
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=_end_with_parent)


def reading_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of ``workers`` processes that run networks and share the cores among them."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_reading, initargs=(threads,))


def _begin_reading(threads: int) -> None:
    # Before torch and SimpleITK are imported, which read these once.
    for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ.setdefault(name, str(threads))
    _end_with_parent()


def _end_with_parent() -> None:
    """A worker whose parent was killed ends, instead of waiting for work and writing beside the next run's worker."""

    def wait() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
