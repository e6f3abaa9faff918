"""The command line: pictures and films with recipes, one-line errors, Ctrl-C keeps the picture."""

from __future__ import annotations

import contextlib
import importlib
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engines import __main__ as command_line
from engines.__main__ import main
from engines.core import quiet
from engines.imaging.images import digest
from engines.jobs import JobExecution, Workshop
from engines.language_model.model import save_language_model
from engines.recipes import read_recipe
from engines.vae.model import save_vae
from engines.vae.networks import ARCHITECTURES
from engines.weights.store import WeightsStore
from tests.engines.helpers import Disk, as_png, files_in, is_one_sentence
from tests.engines.language_model.test_engine import model_of

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--size", "64", "--octaves", "1", "--steps", "2")


@pytest.fixture
def photo(tmp_path, picture) -> Path:
    """A photo in its own folder, so that files beside the results are noticed."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "photo.png").write_bytes(as_png(picture))
    return folder / "photo.png"


@pytest.fixture(scope="module")
def loaded() -> dict[tuple[Path, ...], dict]:
    """Networks by the folders that they come from."""
    return {}


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch, loaded) -> None:
    """Networks are loaded and traced only by the first command that needs them."""
    monkeypatch.setattr(
        command_line.Workshop,
        "of",
        lambda folders: Workshop(WeightsStore(folders=tuple(folders)), loaded.setdefault(tuple(folders), {})),
    )


@pytest.fixture
def results(tmp_path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def run(*arguments) -> int:
    return main(["deep_dream", *map(str, arguments)])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def last_line(capsys) -> str:
    """The last line of output; there is no progress bar, as this is not a terminal."""
    written = capsys.readouterr()
    assert written.out == ""
    assert "Traceback" not in written.err
    assert "%|" not in written.err
    return written.err.splitlines()[-1]


def test_a_dream_is_written_as_a_png_with_its_recipe(photo, picture, results, capsys):
    assert run(photo, "-o", results / "new" / "dream.png", *QUICK, "--step-size", "0.1") == 0
    assert last_line(capsys).startswith("Written to")
    assert pixels(results / "new" / "dream.png").shape == (43, 64, 3)
    recipe = read_recipe(results / "new" / "dream.png")
    assert (recipe.engine, recipe.backbone, recipe.stopped_at) == ("deep_dream", "studio_vgg", None)
    assert (recipe.config["size"], recipe.config["steps"], recipe.config["step_size"]) == (64, 2, 0.1)
    assert recipe.inputs == {"image": digest(picture)}
    assert len(recipe.weights) == 64
    assert files_in(results / "new") == ["dream.png"]


def test_a_recipe_repeats_its_picture_and_an_option_beside_it_wins(photo, results, capsys):
    assert run(photo, "-o", results / "first.png", *QUICK, "--step-size", "0.1", "--seed", "7") == 0
    assert run(photo, "-o", results / "again.png", "--recipe", results / "first.png") == 0
    np.testing.assert_array_equal(pixels(results / "again.png"), pixels(results / "first.png"))
    assert read_recipe(results / "again.png") == read_recipe(results / "first.png")
    assert "Note:" not in capsys.readouterr().err
    assert run(photo, "-o", results / "other.png", "--recipe", results / "first.png", "--seed", "8") == 0
    config = read_recipe(results / "other.png").config
    assert (config["seed"], config["step_size"], config["size"]) == (8, 0.1, 64)
    assert not np.array_equal(pixels(results / "other.png"), pixels(results / "first.png"))


def test_a_recipe_on_another_photo_says_so_and_works(photo, results, picture, capsys):
    assert run(photo, "-o", results / "first.png", *QUICK) == 0
    other = results / "other photo.png"
    other.write_bytes(as_png(picture[::-1]))
    assert run(other, "-o", results / "second.png", "--recipe", results / "first.png") == 0
    assert "Note: the image is not the one" in capsys.readouterr().err
    assert pixels(results / "second.png").shape == (43, 64, 3)


def test_a_guide_is_read_and_recorded(photo, results, picture):
    guide = results / "guide.png"
    guide.write_bytes(as_png(picture[::-1]))
    assert run(photo, "-o", results / "dream.png", "--guide", guide, *QUICK) == 0
    assert read_recipe(results / "dream.png").inputs["guide"] == digest(picture[::-1])


def test_a_film_has_a_picture_for_every_moment_and_its_recipe(photo, results):
    film = results / "dream.mp4"
    assert run(photo, "-o", film, *QUICK, "--pictures", "3", "--zoom", "1.1") == 0
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(42, 64, 3)] * 3
    assert read_recipe(film).config["pictures"] == 3
    assert files_in(results) == ["dream.mp4"]
    again = results / "again.png"
    assert run(photo, "-o", again, "--recipe", film) == 0
    assert np.abs(pixels(again)[:42].astype(float) - frames[-1]).mean() < 12


def test_a_film_of_one_dream_shows_its_steps_at_full_size(photo, results):
    film = results / "growing.mp4"
    assert run(photo, "-o", film, "--size", "64", "--octaves", "2", "--steps", "2") == 0
    with av.open(str(film)) as container:
        assert [(frame.height, frame.width) for frame in container.decode(video=0)] == [(42, 64)] * 4


def broken_input(kind: str, folder: Path, photo: Path) -> list[str]:
    """Arguments that cannot work."""
    text = folder / "text.png"
    text.write_text("no picture")
    tiny = folder / "tiny.png"
    tiny.write_bytes(as_png(np.zeros((8, 8, 3), np.uint8)))
    output = str(folder / "dream.png")
    return {
        "no such photo": [str(folder / "nowhere.png"), "-o", output],
        "no picture": [str(text), "-o", output],
        "too small": [str(tiny), "-o", output],
        "out of range": [str(photo), "-o", output, "--steps", "0"],
        "not finite": [str(photo), "-o", output, "--step-size", "nan"],
        "unknown layer": [str(photo), "-o", output, "--layer-weights", "mixed4=1"],
        "unknown channel": [str(photo), "-o", output, "--channel", "4000"],
        "unknown backbone": [str(photo), "-o", output, "--backbone", "nothing"],
        "no such recipe": [str(photo), "-o", output, "--recipe", str(folder / "nowhere.png")],
        "no recipe": [str(photo), "-o", output, "--recipe", str(photo)],
        "recipe is text": [str(photo), "-o", output, "--recipe", str(text)],
        "output is no picture": [str(photo), "-o", str(folder / "dream.jpg"), *QUICK],
        "guide is no picture": [str(photo), "-o", output, "--guide", str(text)],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "no such photo",
        "no picture",
        "too small",
        "out of range",
        "not finite",
        "unknown layer",
        "unknown channel",
        "unknown backbone",
        "no such recipe",
        "no recipe",
        "recipe is text",
        "output is no picture",
        "guide is no picture",
    ],
)
def test_what_cannot_work_ends_with_one_sentence_and_status_one(kind, tmp_path, photo, capsys):
    folder = tmp_path / "here"
    folder.mkdir()
    assert run(*broken_input(kind, folder, photo)) == 1
    assert is_one_sentence(last_line(capsys))
    assert files_in(folder) == ["text.png", "tiny.png"]


def bad_output(kind: str, photo: Path, results: Path) -> Path:
    """An output where nothing can be written, or nothing should be."""
    (results / "file").write_text("a file where a folder should be")
    (results / "link.png").symlink_to(photo)
    os.link(photo, results / "twin.png")
    return {
        "a folder": results,
        "a folder with a suffix": Path(results / "made.png"),
        "in a file": results / "file" / "dream.png",
        "a name of 256 bytes": results / ("n" * 252 + ".png"),
        "a long name in a folder to be made": results / "new" / ("n" * 252 + ".png"),
        "a long folder": results / ("n" * 256) / "dream.png",
        "a JPEG": results / "dream.jpg",
        "nothing behind the dot": results / "dream.",
        "the input": photo,
        "the input by another path": photo.parent / ".." / photo.parent.name / photo.name,
        "a link to the input": results / "link.png",
        "another name of the input": results / "twin.png",
        "where nobody may write": Path("/proc/dream.png"),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("a folder", "is a folder"),
        ("a folder with a suffix", "is a folder"),
        ("in a file", "a file is in the place of the folder"),
        ("a name of 256 bytes", "too long"),
        ("a long name in a folder to be made", "too long"),
        ("a long folder", "too long"),
        ("a JPEG", ".png or a .mp4"),
        ("nothing behind the dot", ".png or a .mp4"),
        ("the input", "is what is read"),
        ("the input by another path", "is what is read"),
        ("a link to the input", "is what is read"),
        ("another name of the input", "is what is read"),
        pytest.param(
            "where nobody may write",
            "cannot be written",
            marks=pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here"),
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_computed(
    kind, part, photo, results, capsys, monkeypatch
):
    monkeypatch.setattr(Workshop, "start", lambda *_: pytest.fail("the run was begun"))
    (results / "made.png").mkdir()
    output, pixels_before = bad_output(kind, photo, results), photo.read_bytes()
    before = files_in(results)
    assert run(photo, "-o", output, *QUICK) == 1
    said = last_line(capsys)
    assert is_one_sentence(said)
    assert part in said
    assert files_in(results) == before
    assert photo.read_bytes() == pixels_before


def test_an_output_may_have_the_longest_name_that_there_is(photo, results):
    name = "ß" * 125 + "n.png"
    assert len(name.encode()) == 255
    assert run(photo, "-o", results / name, *QUICK) == 0
    assert run(photo, "-o", results / ("n" * 251 + ".mp4"), *QUICK, "--pictures", "2") == 0
    assert files_in(results) == ["n" * 251 + ".mp4", name]


def test_the_recipe_that_is_repeated_is_not_overwritten(photo, results, capsys):
    assert run(photo, "-o", results / "dream.png", *QUICK) == 0
    assert run(photo, "-o", results / "dream.png", "--recipe", results / "dream.png") == 1
    assert "is what is read" in last_line(capsys)


@pytest.mark.parametrize("name", ["dream.png", "dream.mp4"])
def test_what_does_not_fit_on_the_disk_in_the_end_is_written_elsewhere(
    photo, results, tmp_path, capsys, monkeypatch, name
):
    disk, begin = Disk(monkeypatch), Workshop.start

    def started(*arguments):
        disk.full = lambda folder: folder == results
        return begin(*arguments)

    monkeypatch.setattr(Workshop, "start", started)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(photo, "-o", results / name, *QUICK) == 1
    said = last_line(capsys)
    assert is_one_sentence(said)
    assert "the disk is full" in said
    (rescued,) = tmp_path.glob("reverie-*/result.png")
    assert str(rescued) in said
    assert read_recipe(rescued).config["steps"] == 2
    assert pixels(rescued).shape == (43, 64, 3)
    assert files_in(results) == []


def test_an_option_that_cannot_be_read_ends_with_status_two_and_no_traceback(photo, results, capsys):
    with pytest.raises(SystemExit) as caught:
        run(photo, "-o", results / "dream.png", "--steps", "many")
    assert caught.value.code == 2
    assert "--steps" in last_line(capsys)


def weights_that_run_away(folder: Path, backbone) -> Path:
    """A folder of weights with a finite loss at the first step and an infinite one at the second."""
    arrays = {}
    for name in backbone.layers:
        kernel, bias = backbone.network.get_layer(name).get_weights()
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = kernel * (1e17 if name == "block2_conv2" else 1), bias
    folder.mkdir()
    np.savez(folder / "studio_vgg.npz", **arrays)
    return folder


RUNAWAY = ("--step-size", "1000", "--layer-weights", "block2_conv2=1")


@pytest.mark.parametrize("name", ["dream.png", "dream.mp4"])
def test_a_dream_that_runs_away_leaves_no_picture_and_no_draft_behind(
    photo, results, tmp_path, studio_vgg, capsys, name
):
    weights = weights_that_run_away(tmp_path / "weights", studio_vgg)
    assert run(photo, "-o", results / name, "--weights", weights, *QUICK, *RUNAWAY) == 1
    assert "no longer finite" in last_line(capsys)
    assert files_in(results) == []


def interrupted(photo: Path, output: Path) -> tuple[int, str]:
    """Exit status and terminal output of a long dream in its own process that receives Ctrl-C."""
    command = [sys.executable, "-m", "engines", "deep_dream", str(photo), "-o", str(output)]
    command += ["--size", "160", "--octaves", "1", "--steps", "1000"]
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 80))
    seen, under_way = b"", False
    with subprocess.Popen(command, cwd=ROOT, stderr=its_end, stdout=subprocess.DEVNULL) as process:
        os.close(its_end)
        # Reading fails once the other end is closed.
        with contextlib.suppress(OSError):
            while piece := os.read(terminal, 4096):
                seen += piece
                # At "12/1000" there is a picture, and a film has started.
                if not under_way and re.search(rb"\b[1-9]\d+/1000 ", seen):
                    under_way = True
                    process.send_signal(signal.SIGINT)
    os.close(terminal)
    return process.returncode, seen.decode()


@pytest.fixture
def _not_deaf() -> Iterator[None]:
    """Background processes of a shell ignore Ctrl-C, and so do their children, unless they restore the handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def assert_stopped_with_a_picture(status: int, line: str, result: Path) -> None:
    assert status == 130
    assert line.startswith("Stopped; the picture so far is")
    assert files_in(result.parent) == [result.name]
    recipe = read_recipe(result)
    assert 1 <= recipe.stopped_at < 1000
    assert recipe.config["steps"] == 1000


@pytest.mark.usefixtures("_not_deaf")
def test_ctrl_c_writes_the_picture_so_far_with_a_recipe_that_says_where(photo, results):
    status, said = interrupted(photo, results / "dream.png")
    assert not re.search("absl|oneDNN", said), "TensorFlow's notes are no news to a person"
    assert_stopped_with_a_picture(status, said.splitlines()[-1], results / "dream.png")


@pytest.mark.usefixtures("_not_deaf")
def test_ctrl_c_writes_the_film_so_far_with_a_recipe_that_says_where(photo, results, monkeypatch, capsys):
    def next_frame(started: JobExecution):
        frame = started.send(None)
        if frame.step == 3:
            signal.raise_signal(signal.SIGINT)
        return frame

    monkeypatch.setattr(JobExecution, "__next__", next_frame)
    status = run(photo, "-o", results / "dream.mp4", "--size", "64", "--octaves", "1", "--steps", "1000")
    assert_stopped_with_a_picture(status, last_line(capsys), results / "dream.mp4")
    assert read_recipe(results / "dream.mp4").stopped_at == 3


def paint(*arguments) -> int:
    return main(["style_transfer", *map(str, arguments)])


SHORT = ("--seconds", "0", "--size", "64", "--scales", "1", "--steps", "2")


def test_a_photo_is_painted_with_several_paintings_and_its_recipe_repeats_it(photo, picture, results, capsys):
    styles = [results / "a.png", results / "b.png"]
    for file, image in zip(styles, (picture[::-1], picture[:, ::-1]), strict=True):
        file.write_bytes(as_png(image))
    assert paint(photo, "-o", results / "1.png", "--style-images", *styles, *SHORT, "--blend", "1,0.5") == 0
    assert last_line(capsys).startswith("Written to")
    recipe = read_recipe(results / "1.png")
    assert (recipe.engine, recipe.config["blend"], recipe.config["steps"]) == ("style_transfer", [1, 0.5], 2)
    assert recipe.inputs["style_images_2"] == digest(picture[:, ::-1])
    assert paint(photo, "-o", results / "2.png", "--style-images", *styles, "--recipe", results / "1.png") == 0
    np.testing.assert_array_equal(pixels(results / "2.png"), pixels(results / "1.png"))
    assert pixels(results / "1.png").shape == (43, 64, 3)


def test_painting_without_a_painting_ends_with_one_sentence(photo, results, capsys):
    assert paint(photo, "-o", results / "1.png", *SHORT) == 1
    line = last_line(capsys)
    assert is_one_sentence(line)
    assert "Choose a style image" in line
    assert files_in(results) == []


def test_the_film_of_a_painting_grows_up_to_its_full_size(photo, results, picture):
    style = results / "style.png"
    style.write_bytes(as_png(picture[::-1]))
    film = results / "film.mp4"
    options = ("--seconds", "0", "--size", "180", "--scales", "2", "--steps", "2")
    assert paint(photo, "-o", film, "--style-images", style, *options) == 0
    with av.open(str(film)) as container:
        assert [(frame.height, frame.width) for frame in container.decode(video=0)] == [(120, 180)] * 5


def test_a_walk_needs_no_picture_and_becomes_a_film(results, capsys):
    architecture = ARCHITECTURES["digits_notes"]
    with (results / "vae_digits.npz").open("wb") as file:
        save_vae(file, "digits_notes", architecture.build_encoder(), architecture.build_decoder())
    film = results / "walk.mp4"
    options = ["--weights", str(results), "--waypoints=-1,0,1,0,1,1", "--steps", "3", "-o", str(film)]
    assert main(["vae", *options]) == 0
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 7
    assert read_recipe(film).config["waypoints"] == [-1, 0, 1, 0, 1, 1]
    assert main(["vae", "--weights", str(results), "--waypoints", "1,2,3", "-o", str(film)]) == 1
    assert is_one_sentence(last_line(capsys))


# Texts


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


def test_masks_have_nothing_where_they_are_transparent_and_what_was_shrunk_is_noted(tmp_path, picture, monkeypatch):
    from engines import __main__ as command

    monkeypatch.setattr(command, "MAX_PIXELS", 2000)
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    Image.fromarray(picture).save(photo, dpi=(300, 300))
    white = np.full((20, 20, 4), 255, np.uint8)
    white[:10, :, 3] = 0
    Image.fromarray(white).save(mask)
    arguments = [photo, "--style-images", photo, "--masks", mask, "-o", tmp_path / "out.png"]
    job = command._job(command._parser().parse_args(["style_transfer", *map(str, arguments)]))
    assert job.inputs["masks_1"][:10].max() == 0
    assert job.inputs["masks_1"][10:].min() == 255
    assert job.inputs["content_image"].shape == (36, 54, 3)
    assert job.details.dpi == pytest.approx((300, 300), abs=0.01)
    assert [sentence.split(" ")[0] for sentence in job.notices] == ["photo.png:", "photo.png:"]


def test_libraries_that_only_keras_would_load_are_missing_while_it_is_loaded_and_no_longer(monkeypatch):
    monkeypatch.setattr(quiet, "_OPTIONAL", ("wave", "json"))
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with quiet._without_optional():
        with pytest.raises(ImportError):
            importlib.import_module("wave")
        assert importlib.import_module("json"), "what was there is there"
    assert importlib.import_module("wave")
