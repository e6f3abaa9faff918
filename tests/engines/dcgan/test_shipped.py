"""The shipped DCGANs: they generate, they score, and ours beats the book's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from engines.__main__ import main
from engines.dcgan.training import diversity
from engines.jobs import Workshop
from engines.recipes import read_recipe
from engines.weights.store import BUNDLED_FOLDER


@pytest.mark.parametrize("name", ["faces", "notes"])
def test_the_shipped_networks_draw_and_judge(name):
    gan = Workshop().network("dcgan", name)
    images = gan.sample(range(16))
    assert diversity(images) > 0.15
    assert gan.seen > 10_000
    assert len(gan.directions) == 12
    assert gan.held_out_percentiles.shape == (101,)


def test_the_shipped_networks_score_as_the_manifest_says():
    entries = json.loads((BUNDLED_FOLDER / "manifest.json").read_text())["files"]
    scores = {entry["file"]: entry["score"] for entry in entries}
    ours, notes = scores["dcgan_faces.npz"], scores["dcgan_notes.npz"]
    assert ours["kid"] <= 0.5 * notes["kid"]


def test_the_command_line_draws_walks_and_looks(tmp_path, sample_image, few_candidates):
    Image.fromarray(sample_image).save(tmp_path / "photo.png")
    assert main(["dcgan", "-o", str(tmp_path / "sheet.png"), "--count", "4", "--truncation", "1"]) == 0
    assert np.asarray(Image.open(tmp_path / "sheet.png")).shape == (128, 128, 3)
    assert main(["dcgan_walk", "-o", str(tmp_path / "walk.mp4"), "--seeds", "3,14", "--steps", "2"]) == 0
    assert read_recipe(tmp_path / "walk.mp4").config["seeds"] == [3, 14]
    found = ["dcgan_projection", str(tmp_path / "photo.png"), "-o", str(tmp_path / "found.png")]
    assert main([*found, "--steps", "2", "--starts", "1"]) == 0
    assert read_recipe(tmp_path / "found.png").backbone == "faces"
