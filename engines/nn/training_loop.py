"""Training loop with checkpoints and exact resume, as frames.

The data of step n depends only on the seed and n, so a checkpoint needs no more than the variables and the step number
for an exact resume.
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
    """A permutation of range(size), (size,) int64, determined by epoch and seed."""
    return np.random.default_rng((seed, epoch)).permutation(size)


def batch_indices(size: int, batch_size: int, step: int, seed: int) -> np.ndarray:
    """The examples of step `step` (from 0), (batch_size,) int64; an incomplete last batch of an epoch is dropped."""
    epoch, position = divmod(step, size // batch_size)
    return epoch_order(size, epoch, seed)[position * batch_size : (position + 1) * batch_size]


def one_cycle(position: float, peak: float, warmup: float) -> float:
    """Learning rate at `position` in [0, 1] of a run: linear warm-up to `peak`, then cosine decay to zero.

    After Smith & Topin 2017, with cosine instead of linear decay.
    """
    if position < warmup:
        return peak * position / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (position - warmup) / (1 - warmup)))


def data_hash(*arrays: np.ndarray) -> str:
    """SHA-256 of training data, in hexadecimal."""
    hasher = hashlib.sha256()
    for array in arrays:
        hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()


def save_checkpoint(path: Path, variables: Sequence[Any], step: int, settings: Mapping[str, Any]) -> None:
    """Write variables, step number and settings into one .npz file, atomically."""
    header = json.dumps({"step": step, "settings": settings})
    arrays: dict[str, Any] = {f"variable_{i:04d}": np.asarray(variable) for i, variable in enumerate(variables)}
    with written_atomically(path) as file:
        np.savez(file, header=np.array(header), **arrays)


def load_checkpoint(path: Path, variables: Sequence[Any], settings: Mapping[str, Any]) -> int:
    """Assign a checkpoint's values to `variables`, and return its step number.

    A checkpoint without a `data_hash` is assumed to match the data in `settings`.

    Raises:
        ValueError: the file is damaged, has other settings, data or another network, or holds non-finite numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            saved_settings, step = header["settings"], int(header["step"])
            values = [arrays[name] for name in sorted(arrays.files) if name != "header"]
    except UNREADABLE as error:
        raise ValueError(
            message("The checkpoint {file} cannot be read; delete it to start over.", file=path.name)
        ) from error
    if {"data": settings.get("data"), **saved_settings} != {"data": None, **json.loads(json.dumps(settings))}:
        raise ValueError(
            message(
                "The checkpoint {file} was made with other settings or data; delete it, or use the "
                "same settings and data.",
                file=path.name,
            )
        )
    if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        raise ValueError(
            message("The checkpoint {file} belongs to another network; delete it to start over.", file=path.name)
        )
    if not _finite(values):
        raise ValueError(
            message("The checkpoint {file} is from training that diverged; delete it to start over.", file=path.name)
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return step


def _finite(variables: Sequence[Any]) -> bool:
    """Whether all variables are finite."""
    return all(np.isfinite(np.asarray(variable)).all() for variable in variables)


def alarm_if_unwritten(save: Callable[[], object]) -> str:
    """Save a checkpoint. Returns a note if it cannot be written, so that the training continues; else ""."""
    try:
        save()
    except OSError as error:
        return message(
            "warning: the checkpoint could not be saved ({cause}); training continues", cause=cause_of(error)
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
    """Train to step `total`, saving a checkpoint and then yielding a frame every `interval` steps.

    If a checkpoint cannot be written, the frame's note says so and the previous one is kept.

    Args:
        variables: everything that training changes: weights, moving statistics, optimizer state.
        train_step: does step n (from 0) and returns its metrics as scalars or scalar tensors; they are averaged over
            the interval.
        settings: JSON-serialisable; a checkpoint resumes only with equal settings.
        checkpoint: file to resume from and save to; None for no checkpoints.
        monitor: called at each interval with the step number; returns an image and held-out metrics.
        notices: notices of the first frame.

    Raises:
        ValueError: the checkpoint does not match, or the training diverged: a metric or variable is not finite. The
            checkpoint before that is kept.
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
                    "Training diverged by step {step}: some values are no longer finite; lower the "
                    "learning rate and train again.",
                    step=step,
                )
            )
        note = alarm_if_unwritten(partial(save_checkpoint, checkpoint, variables, step, settings)) if checkpoint else ""
        yield Frame(step=step, total=total, image=image, metrics=metrics, note=note, notices=notices)
        notices = ()
        sums, count, started = {}, 0, time.perf_counter()
