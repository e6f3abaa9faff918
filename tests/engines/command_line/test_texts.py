"""Texts at the command line: written with a recipe that repeats them, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.__main__ import main
from engines.language_model.model import save_language_model
from engines.recipes import read_recipe
from tests.engines.helpers import files_in, is_one_sentence
from tests.engines.language_model.test_engine import model_of


@pytest.fixture(scope="module")
def language_model(tmp_path_factory) -> Path:
    """A folder with a small language model of random weights."""
    folder = tmp_path_factory.mktemp("weights")
    with (folder / "language_model_tiny.npz").open("wb") as file:
        save_language_model(file, model_of(num_layers=1))
    return folder


def write(language_model, *arguments) -> int:
    model = ["--weights", str(language_model), "--backbone", "tiny"]
    return main(["language_model", *model, *map(str, arguments)])


def test_a_text_is_written_with_its_recipe_beside_it_which_repeats_it(language_model, results):
    settings = ("--prompt", "This movie", "--tokens", "9", "--no-ends", "--temperatures", "0.5,1.2")
    assert write(language_model, "-o", results / "new" / "a.txt", *settings) == 0
    text = (results / "new" / "a.txt").read_text(encoding="utf-8")
    assert text.startswith("Temperature 0.5\n\nThis movie")
    assert files_in(results / "new") == ["a.json", "a.txt"]
    recipe = read_recipe(results / "new" / "a.txt")
    assert recipe == read_recipe(results / "new" / "a.json")
    assert (recipe.engine, recipe.config["prompt"], len(recipe.weights)) == ("language_model", "This movie", 64)
    for name in ("a.txt", "a.json"):
        assert write(language_model, "-o", results / "again.txt", "--recipe", results / "new" / name) == 0
        assert (results / "again.txt").read_text(encoding="utf-8") == text
    options = ("--recipe", results / "new" / "a.txt", "--seed", "5")
    assert write(language_model, "-o", results / "other.txt", *options) == 0
    assert (results / "other.txt").read_text(encoding="utf-8") != text


def test_a_stop_string_may_be_given(language_model, results):
    settings = ("--tokens", "40", "--no-ends", "--temperature", "1")
    assert write(language_model, "-o", results / "whole.txt", *settings) == 0
    whole = (results / "whole.txt").read_text(encoding="utf-8")
    assert write(language_model, "-o", results / "cut.txt", *settings, "--stop", whole[30:33]) == 0
    assert (results / "cut.txt").read_text(encoding="utf-8") == whole[: whole.index(whole[30:33])]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["-o", "{results}/a.png"], ".txt"),
        (["-o", "{results}/a.txt", "--temperature", "-1"], "Temperature"),
        (["-o", "{results}/" + 251 * "a" + ".txt"], "too long"),
        (["-o", "{results}/notes.txt"], "another file"),
        (["-o", "{results}/a.txt", "--recipe", "{results}/nowhere.json"], "no file"),
        (["-o", "{results}/a.txt", "--recipe", "{results}/bare.txt"], "no recipe"),
        (["-o", "{results}/a.txt", "--recipe", "{results}/broken.json"], "damaged"),
        (["-o", "{results}/a.txt", "--backbone", "nobody"], "no weights"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_sentence(language_model, results, capsys, arguments, part):
    (results / "bare.txt").write_text("just a text")
    (results / "broken.json").write_text('{"reverie": 1, "engine":')
    (results / "notes.json").write_text('{"a": "person\'s own"}')
    before = files_in(results)
    assert write(language_model, *(argument.format(results=results) for argument in arguments)) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert is_one_sentence(said)
    assert part in said
    assert files_in(results) == before
