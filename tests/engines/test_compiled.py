"""The same training on TensorFlow and on JAX."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from engines.language_training import train
from engines.parts.language_models import read_language_model
from tests.engines.helpers import LITTLE_TEXT, TINY_LANGUAGE_TRAINING


@pytest.mark.parametrize("model", ["ours", "notes"])
def test_a_training_begun_on_tensorflow_ends_on_jax_as_it_would_have_there(tmp_path, monkeypatch, model):
    monkeypatch.setattr("engines.language_training.training_policy", lambda: "float32")
    config = dataclasses.replace(TINY_LANGUAGE_TRAINING, model=model, tokens=12 * 512, interval=4)
    data, checkpoint = tmp_path / "text.txt", tmp_path / "checkpoint.npz"
    data.write_text(LITTLE_TEXT, encoding="utf-8")
    frames = train(config, data, checkpoint, tmp_path / "tensorflow.npz")
    next(frames)
    shutil.copy(checkpoint, tmp_path / "taken_along.npz")
    *_, last = frames
    code = f"""
import sys
sys.modules["tensorflow"] = None  # as on a machine without it
from pathlib import Path
from engines.language_training import LanguageTrainingConfig, train
folder = Path({str(tmp_path)!r})
*_, last = train({config!r}, folder / "text.txt", folder / "taken_along.npz", folder / "jax.npz")
assert (last.written, last.text) == ((), "")
print(last.metrics["loss"], last.metrics["perplexity"])
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    loss, perplexity = map(float, process.stdout.split())
    assert loss == pytest.approx(last.metrics["loss"], rel=1e-3)
    assert perplexity == pytest.approx(last.metrics["perplexity"], rel=1e-3)
    here, there = (read_language_model(tmp_path / f"{name}.npz") for name in ("tensorflow", "jax"))
    for one, other in zip(here.network.get_weights(), there.network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=5e-3)
