"""Example pictures: photographs that come with matplotlib and gradio, so that nothing is downloaded or shipped."""

from __future__ import annotations

from pathlib import Path

import gradio
import matplotlib


def photographs() -> list[Path]:
    """The example photographs that are there."""
    of_gradio = Path(gradio.__file__).parent / "media_assets" / "images"
    of_matplotlib = Path(matplotlib.get_data_path()) / "sample_data"
    candidates = [
        of_gradio / "tower.jpg",
        of_gradio / "cheetah1.jpg",
        of_matplotlib / "grace_hopper.jpg",
        of_gradio / "lion.jpg",
    ]
    return [path for path in candidates if path.is_file()]
