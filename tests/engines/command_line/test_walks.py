"""Walks through a latent space at the command line."""

from __future__ import annotations

import av

from engines.__main__ import main
from engines.recipes import read_recipe
from engines.vae.model import save_vae
from engines.vae.networks import ARCHITECTURES
from tests.engines.command_line.helpers import last_line
from tests.engines.helpers import is_one_sentence


def test_a_walk_needs_no_image_and_becomes_a_video(results, capsys):
    architecture = ARCHITECTURES["digits_notes"]
    with (results / "vae_digits.npz").open("wb") as file:
        save_vae(file, "digits_notes", architecture.build_encoder(), architecture.build_decoder())
    video = results / "walk.mp4"
    options = ["--weights", str(results), "--waypoints=-1,0,1,0,1,1", "--steps", "3", "-o", str(video)]
    assert main(["vae", *options]) == 0
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 7
    assert read_recipe(video).config["waypoints"] == [-1, 0, 1, 0, 1, 1]
    assert main(["vae", "--weights", str(results), "--waypoints", "1,2,3", "-o", str(video)]) == 1
    assert is_one_sentence(last_line(capsys))
