"""The same training on TensorFlow and on JAX."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from engines.language_model.model import read_language_model
from engines.language_model.training import train
from tests.engines.helpers import LITTLE_TEXT, TINY_LANGUAGE_TRAINING


def test_a_training_begun_on_tensorflow_ends_on_jax_as_it_would_have_there(tmp_path, monkeypatch):
    monkeypatch.setattr("engines.language_model.training.training_policy", lambda: "float32")
    (tmp_path / "text.txt").write_text(LITTLE_TEXT, encoding="utf-8")
    monkeypatch.setattr("engines.language_model.training.samples", lambda model, prompt: ((), ""))
    configs, lasts = {}, {}
    for model in ("ours", "notes"):
        configs[model] = dataclasses.replace(TINY_LANGUAGE_TRAINING, model=model, tokens=4 * 512, interval=2)
        checkpoint = tmp_path / "checkpoint.npz"
        frames = train(configs[model], tmp_path / "text.txt", checkpoint, tmp_path / f"{model}_tensorflow.npz")
        next(frames)
        checkpoint.rename(tmp_path / f"{model}.npz")
        *_, lasts[model] = frames
        checkpoint.unlink()
    code = f"""
import sys
sys.modules["tensorflow"] = None  # as on a machine without it
from pathlib import Path
from engines.language_model.training import LanguageTrainingConfig, train
folder = Path({str(tmp_path)!r})
for model, config in {configs!r}.items():
    *_, last = train(config, folder / "text.txt", folder / f"{{model}}.npz", folder / f"{{model}}_jax.npz")
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
    for line, (model, last) in zip(process.stdout.splitlines(), lasts.items(), strict=True):
        loss, perplexity = map(float, line.split())
        assert loss == pytest.approx(last.metrics["loss"], rel=1e-3)
        assert perplexity == pytest.approx(last.metrics["perplexity"], rel=1e-3)
        here, there = (read_language_model(tmp_path / f"{model}_{name}.npz") for name in ("tensorflow", "jax"))
        for one, other in zip(here.network.get_weights(), there.network.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=5e-3)
