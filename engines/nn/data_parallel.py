"""Data parallelism over CPU cores.

TensorFlow splits every operation over all cores, so small networks spend much of a step waiting for threads. With one
shard of the batch for each core and one thread per operation, a step synchronises only once.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import keras


def use_one_thread_per_op() -> None:
    """Set TensorFlow to one thread per operation, if it has not run yet. Only for programs that do nothing but train.

    A server must not do this: single large images need all cores for each operation.
    """
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow has already run; training still works, only slower
        tf.config.threading.set_intra_op_parallelism_threads(1)


def shard_count(batch_size: int) -> int:
    """The number of equal shards for a batch: at most one for each core, and 1 unless `use_one_thread_per_op`."""
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(count for count in range(1, cores + 1) if batch_size % count == 0)


def mean_over_shards(values: list[Any]) -> Any:
    """The mean of the values of equal shards, all of one shape."""
    return values[0] if len(values) == 1 else sum(values[1:], values[0]) / len(values)
