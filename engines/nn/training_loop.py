"""Training loop with checkpoints and exact resume, as frames.

The data of step n is a function of the seed and n alone, so a checkpoint of the variables and the step number is all
that an exact resume needs.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines.core.files import UNREADABLE, cause_of, written_atomically
from engines.core.frames import Frame, Frames
from engines.core.messages import message


def epoch_order(size: int, epoch: int, seed: int) -> np.ndarray:
    """A permutation of range(size), (size,) int64: the same for the same epoch and seed."""
    return np.random.default_rng((seed, epoch)).permutation(size)


def batch_indices(size: int, batch_size: int, step: int, seed: int) -> np.ndarray:
    """Which examples step `step` (from 0) trains on, (batch_size,) int64; an epoch's remainder is left out."""
    epoch, position = divmod(step, size // batch_size)
    return epoch_order(size, epoch, seed)[position * batch_size : (position + 1) * batch_size]


def one_cycle(position: float, peak: float, warmup: float) -> float:
    """Learning rate at `position` in [0, 1] of a run: linear up to `peak`, then a half cosine down to zero.

    After Smith & Topin 2017, with the cosine that later practice puts in place of the second line.
    """
    if position < warmup:
        return peak * position / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (position - warmup) / (1 - warmup)))


def data_hash(*arrays: np.ndarray) -> str:
    """The SHA-256 of what a training learns from, in hexadecimal."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def save_checkpoint(path: Path, variables: Sequence[Any], step: int, settings: Mapping[str, Any]) -> None:
    """Write variables (in float32 or their own type), step number and settings into one .npz file, atomically."""
    header = json.dumps({"step": step, "settings": settings})
    arrays: dict[str, Any] = {f"variable_{i:04d}": np.asarray(variable) for i, variable in enumerate(variables)}
    with written_atomically(path) as file:
        np.savez(file, header=np.array(header), **arrays)


def load_checkpoint(path: Path, variables: Sequence[Any], settings: Mapping[str, Any]) -> int:
    """Put a checkpoint's values into `variables` and return its step number.

    A checkpoint that does not say by `data_hash` what its data was is taken to have had the data of `settings`.

    Raises:
        ValueError: the file is damaged, was made with other settings, other data or another network, or holds what is
            no number.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            made_with, step = header["settings"], int(header["step"])
            values = [arrays[name] for name in sorted(arrays.files) if name != "header"]
    except UNREADABLE as error:
        raise ValueError(
            message("The checkpoint {file} cannot be read; delete it to begin again.", file=path.name)
        ) from error
    if {"data": settings.get("data"), **made_with} != {"data": None, **json.loads(json.dumps(settings))}:
        raise ValueError(
            message(
                "The checkpoint {file} was made with other settings or data; delete it or use those.", file=path.name
            )
        )
    if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        raise ValueError(
            message("The checkpoint {file} belongs to another network; delete it to begin again.", file=path.name)
        )
    if not _finite(values):
        raise ValueError(
            message("The checkpoint {file} is of a training that diverged; delete it to begin again.", file=path.name)
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return step


def _finite(variables: Sequence[Any]) -> bool:
    """Whether all that a training has learnt is finite numbers."""
    return all(np.isfinite(np.asarray(variable)).all() for variable in variables)


def unkept(keep: Callable[[], object]) -> str:
    """Do what keeps a checkpoint on disk. Where that cannot be written the training goes on: the note says so, which is
    "" otherwise."""
    try:
        keep()
    except OSError as error:
        return message(
            "alarm: the checkpoint could not be written ({cause}); the training goes on", cause=cause_of(error)
        )
    return ""


def train_frames(
    *,
    variables: Sequence[Any],
    train_step: Callable[[int], Mapping[str, Any]],
    total: int,
    interval: int,
    settings: Mapping[str, Any],
    checkpoint: Path | None = None,
    monitor: Callable[[int], tuple[np.ndarray | None, Mapping[str, float]]] | None = None,
    notices: tuple[str, ...] = (),
) -> Frames[None]:
    """Train to step `total`, yielding a frame every `interval` steps, after the checkpoint of that moment is on disk.

    A checkpoint that cannot be written is told of in the frame's note; the one before it stays.

    Args:
        variables: everything that training changes: weights, moving statistics, optimiser state.
        train_step: does step n (from 0) and returns its metrics as scalars or scalar tensors.
        settings: what must be equal for a checkpoint to be resumed; anything JSON holds.
        checkpoint: where to resume from and save to; None keeps nothing.
        monitor: called at each interval for a picture and held-out metrics.
        notices: sentences that the first frame tells.

    Raises:
        ValueError: a checkpoint that does not fit, or a training that has diverged: a metric or a variable is no finite
            number; its checkpoint is the one before.
    """
    step = load_checkpoint(checkpoint, variables, settings) if checkpoint and checkpoint.exists() else 0
    sums: dict[str, Any] = {}
    count, started = 0, time.perf_counter()
    while step < total:
        for name, value in train_step(step).items():
            sums[name] = sums[name] + value if name in sums else value
        step, count = step + 1, count + 1
        if step % interval and step != total:
            continue
        metrics = {name: float(value) / count for name, value in sums.items()}
        metrics["steps_per_second"] = count / (time.perf_counter() - started)
        image = None
        if monitor:
            image, held_out = monitor(step)
            metrics.update(held_out)
        if not (all(map(math.isfinite, metrics.values())) and _finite(variables)):
            raise ValueError(
                message(
                    "The training has diverged by step {step}: what it computes is no longer a finite number; "
                    "lower the learning rate and train again.",
                    step=step,
                )
            )
        note = unkept(partial(save_checkpoint, checkpoint, variables, step, settings)) if checkpoint else ""
        yield Frame(step=step, total=total, image=image, metrics=metrics, note=note, notices=notices)
        notices = ()
        sums, count, started = {}, 0, time.perf_counter()
