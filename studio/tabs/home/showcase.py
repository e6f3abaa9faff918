"""Create the images of the Home tab: python -m studio.tabs.home.showcase."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engines.core.files import written_atomically
from engines.imaging.images import read_image
from engines.jobs import Job, Workshop
from studio.examples.examples import drawings, paintings

FOLDER = Path(__file__).with_name("pictures")
SIZE = (480, 360)


def image_of(workshop: Workshop, engine: str, config: Any, backbone: str, **inputs: np.ndarray) -> np.ndarray:
    """Run a job and return its last image, (H, W, 3) uint8."""
    image = None
    for frame in workshop.start(Job(engine=engine, config=config, inputs=inputs, backbone=backbone)):
        image = frame.image if frame.image is not None else image
    assert image is not None
    return image


def images() -> dict[str, np.ndarray]:
    """Create an image for each tab that has one, by the tab's name."""
    from engines import deep_dream, style_transfer
    from engines.dcgan import DrawConfig
    from engines.vae.model import load_vae

    workshop = Workshop()
    with tempfile.TemporaryDirectory() as folder:
        hills, clouds = (read_image(path) for path in drawings(Path(folder)))
        stars = read_image(paintings(Path(folder) / "paintings")[0])
    dreamt = dataclasses.replace(next(iter(deep_dream.presets("studio_vgg").values())), size=640)
    painted = dataclasses.replace(next(iter(style_transfer.presets("studio_vgg").values())), seconds=60.0)
    # Only the rows that remain after cropping.
    digits = load_vae("digits", workshop.store).latent_grid(16, 2.4, "gaussian")
    sheet = digits.transpose(0, 2, 1, 3, 4).reshape(16 * digits.shape[2], 16 * digits.shape[3], -1)
    return {
        "dream": image_of(workshop, "deep_dream", dreamt, "studio_vgg", image=hills),
        "style": image_of(
            workshop, "style_transfer", painted, "studio_vgg", content_image=clouds, style_images_1=stars
        ),
        "latent": np.broadcast_to(sheet, (*sheet.shape[:2], 3)).copy(),
        "faces": image_of(workshop, "dcgan", DrawConfig(count=12, seed=8, truncation=0.8), "faces"),
    }


def fitted(image: np.ndarray) -> Image.Image:
    """Crop the centre of an image to a card."""
    whole, shape = Image.fromarray(image), SIZE[0] / SIZE[1]
    width, height = min(whole.width, round(whole.height * shape)), min(whole.height, round(whole.width / shape))
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    return whole.crop((left, top, left + width, top + height)).resize(SIZE, Image.Resampling.LANCZOS)


def main() -> None:
    """Create all images."""
    for name, image in images().items():
        with written_atomically(FOLDER / f"{name}.jpg") as file:
            fitted(image).save(file, "JPEG", quality=84)


if __name__ == "__main__":
    main()
