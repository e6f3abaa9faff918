"""Frames of a walk through a latent space."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import Image

from engines.core.frames import Frame, Frames

C = TypeVar("C")

SIDE = 448


def walk_frames(config: C, path_of: Callable[[C], np.ndarray], decode: Callable[[np.ndarray], np.ndarray]) -> Frames[C]:
    """Walk along a path, yielding one enlarged image a step; a changed config applies to the remaining steps.

    Args:
        path_of: config -> path, (M, Z); may raise ValueError.
        decode: latent vectors, (N, Z) -> images, (N, H, W, C) uint8.
    """
    step, path = 0, path_of(config)
    while step < len(path):
        image = enlarged(decode(path[step])[0])
        step += 1
        changed = yield Frame(
            step=step,
            total=len(path),
            image=image,
            note="z " + ", ".join(f"{value:.2f}" for value in path[step - 1][:4]),
            z=path[step - 1],
        )
        if changed is not None:
            path = path_of(changed)


def enlarged(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Enlarge a small image, (H, W, C) uint8 with one or three channels, to (side, side, 3) uint8."""
    rgb = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    return np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC))
