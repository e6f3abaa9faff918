"""Load and trace what the first runs need."""

from __future__ import annotations

import importlib

import numpy as np

from engines.jobs.job import Job
from engines.jobs.registry import ENGINES
from engines.jobs.running import Workshop

BACKBONE = "studio_vgg"


def trace(workshop: Workshop) -> None:
    """Load TensorFlow and the bundled backbone, and trace a dream and a style transfer.

    Raises:
        WeightsError: the backbone's weights are missing or damaged.
    """
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    firsts = {"deep_dream": {"image": noise}, "style_transfer": {"content_image": noise, "style_images_1": noise}}
    for engine, inputs in firsts.items():
        presets = importlib.import_module(ENGINES[engine].module).presets(BACKBONE)
        config = next(iter(presets.values()))
        started = workshop.start(Job(engine=engine, config=config, inputs=inputs, backbone=BACKBONE))
        next(started)
        started.close()


def compile_writer(workshop: Workshop) -> None:
    """Compile the language model, if its weights exist, for the batch sizes that the page starts with."""
    if not workshop.store.find("language_model_ours"):
        return
    module = importlib.import_module(ENGINES["language_model"].module)
    writer = workshop.network("language_model", "ours")
    # One text; greedy beside sampling; five temperatures.
    for count in (1, 2, 5):
        config = module.SamplingConfig(tokens=2, temperatures=(0.7,) * count, ends=False)
        for _ in module.generate("", config, writer):
            pass
