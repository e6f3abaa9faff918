"""Brush strokes, scalar fields and lighting for the example paintings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from studio.examples.noise import fractal_noise

# Drawn at twice the final size, for smooth edges.
WIDTH, HEIGHT = 1280, 1024


def grid(step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the x and y coordinates of every `step`-th pixel, in units of the image's height."""
    y, x = np.mgrid[0:HEIGHT:step, 0:WIDTH:step].astype(np.float32) / HEIGHT
    return x, y


def noise_like(like: np.ndarray, seed: int, *, roughness: float = 0.5, stretch: float = 1.0) -> np.ndarray:
    """Return zero-centred fractal noise with the shape of `like`."""
    return fractal_noise(like.shape[0], like.shape[1], seed, roughness=roughness, stretch=stretch) - 0.5


def sample_field(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Sample a field of any resolution at canvas points (..., 2); points outside take the value at the edge."""
    rows, columns = field.shape[:2]
    column, row = (points[..., 0] * columns / WIDTH).astype(int), (points[..., 1] * rows / HEIGHT).astype(int)
    return field[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]


def palette(stops: str, share: np.ndarray) -> np.ndarray:
    """Interpolate between hexadecimal colours; `share` in [0, 1] -> (..., 3) float32."""
    colours = np.array([list(bytes.fromhex(stop)) for stop in stops.split()], np.float32)
    places = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, places, channel) for channel in colours.T], axis=-1).astype(np.float32)


def ink_list(colours: np.ndarray, thickness: np.ndarray) -> list[tuple[int, ...]]:
    """Flatten colours (..., 3) and paint thickness (...) to a list of RGBA tuples."""
    inks = np.concatenate([colours, thickness[..., None]], axis=-1).reshape(-1, 4)
    return [tuple(ink) for ink in np.clip(inks, 0, 255).astype(int).tolist()]


def finish_image(pixels: np.ndarray, seed: int, *, relief: float = 0.0, grain: float = 5.0) -> Image.Image:
    """Scale to the final size and add grain; `relief` lights the paint (fourth channel) from the upper left."""
    colours = pixels[..., :3].astype(np.float32)
    if relief:
        thickness = pixels[..., 3].astype(np.float32)
        slope = np.zeros_like(thickness)
        slope[2:, 2:] = thickness[2:, 2:] - thickness[:-2, :-2]
        colours += np.clip(slope * relief, -46, 60)[..., None]
    image = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    small = np.asarray(image.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.LANCZOS))
    noise = np.random.default_rng(seed).normal(0, grain, (HEIGHT // 2, WIDTH // 2, 1))
    return Image.fromarray(np.clip(small + noise, 0, 255).astype(np.uint8))


def scatter_points(spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Return jittered grid points (n, 2) over the canvas, in random order."""
    y, x = np.mgrid[-spacing : HEIGHT + spacing : spacing, -spacing : WIDTH + spacing : spacing]
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    return rng.permutation(points + rng.uniform(-0.6, 0.6, points.shape) * spacing)


def flow_angle(stream: np.ndarray) -> np.ndarray:
    """Return the angle of the flow whose streamlines are the contours of `stream`."""
    slope_y, slope_x = np.gradient(stream)
    return np.arctan2(-slope_x, slope_y)


def paint_strokes(
    scene: np.ndarray, angle: np.ndarray, region: np.ndarray, layers: Sequence[tuple[float, float, float]], seed: int
) -> np.ndarray:
    """Paint a scene in bristly strokes along `angle`; strokes end at their region, and higher regions lie on top.

    Args:
        scene: (h, w, 3) colours.
        angle: (h, w) direction of the strokes in radians.
        region: (h, w) integer labels.
        layers: (spacing, length, width) of the strokes of each layer, in pixels.
        seed: seed of the random variations.

    Returns:
        (HEIGHT, WIDTH, 4) uint8; the fourth channel is the thickness of the paint.
    """
    rng = np.random.default_rng(seed)
    canvas = Image.fromarray(np.clip(scene * 0.7, 0, 255).astype(np.uint8)).resize((WIDTH, HEIGHT)).convert("RGBA")
    canvas.putalpha(50)
    draw = ImageDraw.Draw(canvas)
    for spacing, length, width in layers:
        starts = scatter_points(spacing, rng)
        starts = starts[np.argsort(sample_field(region, starts), kind="stable")]
        count, steps, bristles = len(starts), 9, round(width / 4)
        path, turns = np.repeat(starts[:, None], steps, axis=1), np.empty((count, steps))
        stride = length / steps * rng.uniform(0.6, 1.3, count)
        for step in range(steps):
            here = path[:, step]
            turns[:, step] = turn = sample_field(angle, here)
            stride = np.where(sample_field(region, here) == sample_field(region, starts), stride, stride * 0.6)
            path[:, step + 1 :] += np.stack([stride * np.cos(turn), stride * np.sin(turn)], axis=-1)[:, None]
        swell = np.sin(np.linspace(0.5, np.pi - 0.25, steps)) * width * rng.uniform(0.65, 1.25, (count, 1))
        across = np.stack([-np.sin(turns), np.cos(turns)], axis=-1) * swell[..., None]
        places = np.linspace(-0.5, 0.5, bristles)
        lines = path[:, None] + across[:, None] * places[:, None, None]
        shade = rng.normal(0, 13, (count, bristles, 1)) + rng.normal(0, 4, (count, bristles, 3))
        body = rng.uniform(50, 255, (count, bristles)) * (1 - 0.5 * np.abs(places))
        inks = ink_list(sample_field(scene, starts)[:, None] + shade, body)
        for line, ink in zip(lines.reshape(len(inks), -1).tolist(), inks, strict=True):
            draw.line(line, fill=ink, width=round(width / bristles * 1.5))
    return np.asarray(canvas)


def blur_mask(mask: np.ndarray, radius: float) -> np.ndarray:
    """Blur a mask to soft edges in [0, 1]."""
    image = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image).astype(np.float32) / 255
