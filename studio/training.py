"""Training an autoencoder on the page: from a file of digits or a zip of pictures to a network on the map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.jobs import Job
from engines.parts.autoencoders import VAE, read_vae
from engines.parts.files import sha256_of
from engines.parts.vae_config import VAETrainingConfig
from engines.recipes import RecipeError, read_recipe
from studio.notices import inform, warn
from studio.restoring import job_for_tab
from studio.settings import Settings
from studio.stage import Stage
from studio.studio import Studio

TITLES = {"Digits": "digits", "Digits, as in the book": "digits_notes", "Colour pictures, 64 x 64": "faces"}
FIRST = VAETrainingConfig(epochs=5, interval=60)

# Checkpoints of faces take 200 MB each; whoever trains a tenth time has seldom use for the first.
MOST_BYTES = 2_000_000_000


def make_room(folder: Path, most: int) -> None:
    """Remove the files of a folder that were not touched for longest, until the rest have at most so many bytes."""
    files = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime)
    size = sum(path.stat().st_size for path in files)
    for path in files:
        if size <= most:
            break
        size -= path.stat().st_size
        path.unlink()


class Training:
    """The controls of a training and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.stage = Stage(studio, "train")

    def build(self) -> None:
        """Lay them out and wire them."""
        self.settings = settings = Settings(FIRST, "train")
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.data = gr.File(
                        label="mnist.npz, or a zip of pictures",
                        file_types=[".npz", ".zip", ".png"],
                        type="filepath",
                        height=170,
                        elem_id="train-data",
                        elem_classes="drop",
                    )
                    settings.choice("model", "Networks", TITLES)
                    self.stage.buttons("Train")
                settings.slider("epochs", "Epochs", 1, 100, 1)
                settings.slider("batch_size", "Batch size", 16, 512, 16)
                settings.slider("kl_weight", "Weight of the divergence (beta)", 0.0, 4.0, 0.05)
                with gr.Accordion("More", open=False, elem_id="train-more", elem_classes="fold"):
                    settings.number("learning_rate", "Learning rate")
                    settings.slider("kl_warmup", "Its warm-up", 0.0, 1.0, 0.05)
                    settings.slider("perceptual_weight", "Perceptual weight (colours)", 0.0, 1.0, 0.01)
                    settings.slider("interval", "Steps between pictures", 10, 2000, 10)
                    settings.number("seed", "Seed")
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                blank = np.zeros((112, 280, 3), np.uint8)
                self.stage.canvas_with(blank, "Held-out pictures, what becomes of them, and samples appear here.")
                self.stage.under("Stop when you like: Train goes on from the last picture, with the same settings.")
                with gr.Row(elem_classes="under"):
                    gr.Markdown("A finished network can take its place on the map.", elem_classes="quiet")
                    self.use = gr.Button("Use it", size="sm", elem_id="train-use")
        seen: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        self.stage.go.click(self.start, [self.data, *settings.components], self.stage.outputs, **seen)
        self.data.upload(self.data_chosen, [self.data], [self.data, *settings.components], **seen)
        self.stage.wire()

    def data_chosen(self, path: str) -> dict[Any, Any]:
        """A saved result in the place of the data brings back the settings that it was trained with."""
        if Path(path).suffix.lower() != ".png":
            return {self.data: gr.skip()}
        try:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError("A single picture is too little to train on: choose mnist.npz, or a zip of pictures.")
            elsewhere = "This picture was made on another tab; drop it there."
            job = job_for_tab(recipe, "vae_training", [""], elsewhere)
        except ValueError as error:
            warn(error)
            return {self.data: None}
        inform("Settings restored: now choose the data.")
        return {self.data: None} | self.settings.restored(job.config)

    async def start(self, data: str | None, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Start a training, or go on with one that was stopped, and watch it."""

        def job() -> Job:
            if not data:
                raise ValueError("Choose the data first: mnist.npz, or a zip of pictures.")
            config = self.settings.config(values)
            folder = self.studio.gallery.folder / "trainings"
            folder.mkdir(parents=True, exist_ok=True)
            make_room(folder, MOST_BYTES)
            # The same settings on the same data go on where they were stopped.
            said = json.dumps([sha256_of(Path(data)), asdict(config)], sort_keys=True)
            key = hashlib.sha256(said.encode()).hexdigest()[:24]
            files = {
                "data": Path(data),
                "checkpoint": folder / f"{key}-checkpoint.npz",
                "output": folder / f"{key}-{config.model}.npz",
            }
            return Job(engine="vae_training", config=config, inputs={}, backbone="", files=files)

        async for update in self.stage.start(job):
            yield update

    def finished(self, run_id: str) -> VAE:
        """What a finished training made.

        Raises:
            ValueError: there is none yet.
        """
        run = self.stage.run(run_id)
        path = run.job.files.get("output") if run is not None else None
        if path is None:
            raise ValueError("There is no training to use yet; press Train first.")
        if not path.is_file():
            raise ValueError("This training is not finished; press Train to go on with it.")
        return read_vae(path)
