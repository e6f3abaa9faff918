"""Example photos: from matplotlib and gradio, and drawn landscapes.

Nothing is downloaded or shipped; drawn images are created once and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio
import matplotlib
import numpy as np
from PIL import Image, ImageFilter

from engines.core.files import written_atomically
from studio.examples.noise import fractal_noise
from studio.examples.paintings import PAINTINGS

WIDTH, HEIGHT = 720, 480


def examples(folder: Path) -> list[Path]:
    """Return the paths of all example photos; drawn ones are kept in `folder`."""
    return [*drawings(folder), *photographs()]


def photographs() -> list[Path]:
    """Return the paths of the example photos that installed packages contain."""
    of_gradio = Path(gradio.__file__).parent / "media_assets" / "images"
    of_matplotlib = Path(matplotlib.get_data_path()) / "sample_data"
    candidates = [
        of_gradio / "tower.jpg",
        of_gradio / "cheetah1.jpg",
        of_matplotlib / "grace_hopper.jpg",
        of_gradio / "lion.jpg",
    ]
    return [path for path in candidates if path.is_file()]


def drawings(folder: Path) -> list[Path]:
    """Return the paths of the drawn landscapes; draws the missing ones."""
    return draw_missing(LANDSCAPES, folder)


def painting_paths(folder: Path) -> list[Path]:
    """Return the paths of the example paintings, which may not exist yet."""
    return [folder / f"{name}.png" for name in PAINTINGS]


def paintings(folder: Path) -> list[Path]:
    """Return the paths of the example paintings; drawing the missing ones takes some seconds."""
    return draw_missing(PAINTINGS, folder)


def draw_missing(painters: dict[str, Callable[[], Image.Image]], folder: Path) -> list[Path]:
    """Return the paths of images; draws the missing ones."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, paint in painters.items():
        path = folder / f"{name}.png"
        if not path.exists():
            with written_atomically(path) as file:
                paint().save(file, "PNG")
        paths.append(path)
    return paths


def _mix(low: tuple[int, int, int], high: tuple[int, int, int], share: np.ndarray) -> np.ndarray:
    return np.array(low) + (np.array(high) - np.array(low)) * share[..., None]


def hills_at_dusk() -> Image.Image:
    """Ridges fading into a warm sky."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
    image = _mix((52, 58, 110), (250, 168, 110), np.clip(y * 1.9, 0, 1) ** 1.2)
    glow = np.exp(-((x - 1.05) ** 2 + (y - 0.44) ** 2) / 0.05)
    image += glow[..., None] * np.array((90, 70, 20))
    image += (fractal_noise(HEIGHT, WIDTH, 5, stretch=4)[..., None] - 0.5) * 46
    grain = fractal_noise(HEIGHT, WIDTH, 60, roughness=0.85)[..., None] - 0.5
    for i in range(6):
        ridge = (
            0.46 + 0.09 * i + (0.42 - 0.04 * i) * (fractal_noise(HEIGHT, WIDTH, 30 + i, stretch=1.4)[HEIGHT // 2] - 0.5)
        )
        depth = i / 5
        land = _mix((150, 106, 128), (16, 24, 34), np.full((HEIGHT, WIDTH), depth))
        grain = np.rot90(grain, 2)
        land += grain * (18 + 40 * depth) + (1 - depth) * 26 * np.clip((y - ridge)[..., None] * 6, 0, 1)
        edge = np.clip((y - ridge) * HEIGHT, 0, 1)[..., None]
        image = image * (1 - edge) + land * edge
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def clouds() -> Image.Image:
    """Cumulus clouds over their reflection in the sea."""
    y = np.mgrid[0:HEIGHT, 0:WIDTH][0] / HEIGHT
    sky = _mix((38, 92, 158), (178, 208, 226), np.clip(y / 0.62, 0, 1))
    noise = fractal_noise(HEIGHT, WIDTH, 21, roughness=0.58, stretch=1.6)
    density = np.clip((noise - 0.47) * 3.4, 0, 1) * np.clip((0.64 - y) * 5, 0, 1)
    towards_sun = np.pad(noise, ((10, 0), (16, 0)), mode="edge")[:HEIGHT, :WIDTH]
    brightness = np.clip((noise - towards_sun) * 5 + 0.72, 0, 1)
    image = sky * (1 - density[..., None]) + _mix((116, 126, 146), (255, 250, 240), brightness) * density[..., None]
    horizon = int(0.62 * HEIGHT)
    below = HEIGHT - horizon
    mirrored = Image.fromarray(np.clip(image[horizon - below : horizon][::-1], 0, 255).astype(np.uint8))
    ripples = np.asarray(mirrored.filter(ImageFilter.GaussianBlur(3))).astype(float)
    shift = ((fractal_noise(below, WIDTH, 44, roughness=0.7, stretch=10) - 0.5) * 70).astype(int)
    rows, columns = np.indices((below, WIDTH))
    water = ripples[rows, np.clip(columns + shift, 0, WIDTH - 1)] * np.array((0.52, 0.66, 0.72))
    water += (fractal_noise(below, WIDTH, 45, roughness=0.9, stretch=14)[..., None] - 0.5) * 60
    image[horizon:] = water
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


# Name -> function that draws it.
LANDSCAPES: dict[str, Callable[[], Image.Image]] = {"hills at dusk": hills_at_dusk, "clouds over water": clouds}
