"""Data parallelism over processor cores.

TensorFlow spreads every operation over all cores, and in networks as small as the autoencoders' much of a step goes to
waiting for the last thread of each. A shard of the batch for each core, with one thread an operation, waits once.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import keras


def one_thread_an_operation() -> None:
    """Have this process compute so, if it has computed nothing yet: for a program that only trains.

    A server must not: it also paints single large pictures, which want all cores at once.
    """
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow has begun, and a training is as right with all its threads
        tf.config.threading.set_intra_op_parallelism_threads(1)


def shards_of(batch_size: int) -> int:
    """Into how many equal shards a batch is split here: 1, or one for each core."""
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(count for count in range(1, cores + 1) if batch_size % count == 0)


def mean_of(values: list[Any]) -> Any:
    """The mean of what equal shards found, each of one shape."""
    return values[0] if len(values) == 1 else sum(values[1:], values[0]) / len(values)
