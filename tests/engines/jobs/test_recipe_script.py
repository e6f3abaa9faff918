"""Recipes as code: a recipe's script repeats its result, and nothing in an untrusted recipe is executed."""

from __future__ import annotations

import ast
import dataclasses
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import engines.jobs as jobs_module
from engines import train
from engines.core.options import changed_options
from engines.dcgan import DrawConfig, FaceWalkConfig
from engines.dcgan.config import DCGANTrainingConfig, ProjectionConfig
from engines.deep_dream import DreamConfig
from engines.imaging.images import read_image
from engines.imaging.video import VideoWriter
from engines.jobs import ENGINES, Job, JobExecution, Workshop, job_from_recipe
from engines.jobs.recipe_script import script_of
from engines.jobs.sweep import DreamSweepConfig, StyleSweepConfig
from engines.language_model.config import LanguageTrainingConfig, WritingConfig
from engines.recipes import Recipe, RecipeError, from_json, read_recipe
from engines.style_transfer import StyleConfig
from engines.vae import WalkConfig
from engines.vae.config import VAETrainingConfig
from tests.engines.helpers import as_png, refusal
from tests.engines.language_model.test_engine import model_of

ROOT = Path(__file__).resolve().parents[3]
DREAM = DreamConfig(size=64, octaves=2, steps=3, step_size=0.1, layer_weights={"block3_conv1": 1.0}, seed=3)


@pytest.fixture
def run_script(monkeypatch, capsys) -> Callable[..., str]:
    """Run a script with arguments as main module in the project's folder; returns its output."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", list(arguments))
        runpy.run_path(arguments[0], run_name="__main__")
        return capsys.readouterr().out

    return run


def walk_of(numbers: int) -> tuple[float, ...]:
    return tuple(float(x) for x in np.random.default_rng(0).normal(size=numbers))


def jobs(image: np.ndarray) -> Iterator[tuple[str, Job]]:
    """A small job of every engine that makes results, by name."""
    images = {"image": image, "guide": image[::-1]}
    yield "dream", Job(engine="deep_dream", config=DREAM, inputs=images, backbone="studio_vgg")
    # For very small images the codec is not deterministic.
    zoom = dataclasses.replace(DREAM, size=128, octaves=1, steps=2, pictures=2)
    yield "zoom", Job(engine="deep_dream", config=zoom, inputs={"image": image}, backbone="studio_vgg")
    yield "begun zoom", Job(engine="deep_dream", config=zoom, inputs={"image": image}, backbone="studio_vgg")
    style = StyleConfig(seconds=0.0, size=0, scales=1, steps=3, blend=(1.0, 0.25), color="matched")
    # Out of order, as a page may send them.
    hung = {"style_images_2": image[:, ::-1], "content_image": image, "style_images_1": image[::-1]}
    yield "style", Job(engine="style_transfer", config=style, inputs=hung, backbone="studio_vgg")
    sheet = DreamSweepConfig(
        settings={"size": 64, "octaves": 1, "steps": 2}, columns="jitter", column_values=(0.0, 4.0)
    )
    yield "sheet", Job(engine="deep_dream_sweep", config=sheet, inputs={"image": image}, backbone="studio_vgg")
    paintings = StyleSweepConfig(settings={"seconds": 0.0, "size": 48, "scales": 1, "steps": 2})
    hung = {"content_image": image, "style_images_1": image[::-1]}
    yield "paintings", Job(engine="style_transfer_sweep", config=paintings, inputs=hung, backbone="studio_vgg")
    yield "vae", Job(engine="vae", config=WalkConfig(steps=3), inputs={}, backbone="digits")
    drawing = DrawConfig(seed=5, count=4, truncation=0.7)
    yield "drawing", Job(engine="dcgan", config=drawing, inputs={}, backbone="faces")
    faces = FaceWalkConfig(seeds=(3, 4), steps=2)
    yield "faces", Job(engine="dcgan_walk", config=faces, inputs={}, backbone="faces")
    search = ProjectionConfig(steps=3, starts=1)
    yield "search", Job(engine="dcgan_projection", config=search, inputs={"image": image}, backbone="faces")
    writing = WritingConfig(tokens=6, prompt='It\'s "a" \\ video,\nreally', temperatures=(0.5, 1.2), ends=False)
    yield "text", Job(engine="language_model", config=writing, inputs={}, backbone="ours")


def made(workshop: Workshop, job: Job, name: str, folder: Path) -> JobExecution:
    """The job when it is over; a video of its keyframes is in the folder. The dream is steered twice and stopped, the
    zoom that is only begun is stopped before its first image is whole."""
    started, video, stop = workshop.start(job), None, {"dream": 4, "begun zoom": 1}.get(name)
    changes = {1: dataclasses.replace(DREAM, step_size=0.3, octaves=3), 2: DREAM} if name == "dream" else {}
    try:
        frame = next(started)
        while True:
            if frame.keyframe and frame.image is not None:
                video = video or VideoWriter(folder / f"{name}.mp4", (frame.image.shape[1], frame.image.shape[0]))
                video.add(frame.image)
            if frame.step == stop:
                break
            frame = started.send(changes.get(frame.step))
    except StopIteration:
        pass
    started.close()
    if video:
        video.finish("")
    return started


def shown(video: Path) -> np.ndarray:
    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def arguments(names: Iterator[str] | list[str], job: Job, folder: Path) -> list[str]:
    """Files of a job's inputs, sorted by name."""
    paths = []
    for name in names:
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(as_png(job.inputs[name]))
    return [str(path) for path in paths]


def test_the_scripts_of_all_engines_make_their_results_again(
    sample_image, tmp_path, run_script, monkeypatch, few_candidates
):
    results, scripts = tmp_path / "results", tmp_path / "scripts"
    results.mkdir()
    scripts.mkdir()
    workshop, runs, commands = Workshop(), {}, {}
    workshop.keep("language_model", "ours", model_of(num_layers=1))
    for name, job in jobs(sample_image):
        runs[name] = started = made(workshop, job, name, results)
        (tmp_path / name).mkdir()
        (scripts / f"{name}.py").write_text(script_of(from_json(started.recipe.to_json())), encoding="utf-8")
        files = arguments(sorted(job.inputs, key=lambda one: (one != "image", one)), job, tmp_path / name)
        commands[name] = [str(scripts / f"{name}.py"), *files]
    assert {job.engine for _, job in jobs(sample_image)} == {
        name for name, engine in ENGINES.items() if not engine.files
    }
    # One in its own process, as people run them; the others with the networks loaded here.
    done = subprocess.run(
        [sys.executable, *commands.pop("dream")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Note:" not in done.stdout
    monkeypatch.setattr(jobs_module, "Workshop", lambda: workshop)
    for command in commands.values():
        assert "Note:" not in run_script(*command)
    for name, started in runs.items():
        result = next(path for path in scripts.glob(f"{name}.*") if path.suffix in (".png", ".mp4", ".txt"))
        assert read_recipe(result) == from_json(started.recipe.to_json()), name
        if result.suffix == ".txt":
            assert result.read_text(encoding="utf-8") == started.last.text
        elif result.suffix == ".mp4":
            np.testing.assert_array_equal(shown(result), shown(results / f"{name}.mp4"), name)
        else:
            np.testing.assert_array_equal(read_image(result), started.last.image, name)
    kinds = {name: {path.suffix for path in scripts.glob(f"{name}.*")} - {".py", ".json"} for name in runs}
    videos = {"zoom", "vae", "faces"}
    assert kinds == {name: {".mp4" if name in videos else ".txt" if name == "text" else ".png"} for name in runs}
    assert runs["dream"].recipe.stopped_at == 4
    assert [step for step, _ in runs["dream"].recipe.steering] == [1, 2]


def test_a_script_refuses_other_weights_and_says_which_image_is_another(
    sample_image, tmp_path, run_script, workshop, monkeypatch, capsys
):
    monkeypatch.setattr(jobs_module, "Workshop", lambda: workshop)
    (tmp_path / "photo.png").write_bytes(as_png(sample_image))
    config = dataclasses.asdict(dataclasses.replace(DREAM, octaves=1, steps=1))
    path = tmp_path / "repeat.py"
    path.write_text(script_of(recipe(config=config)), encoding="utf-8")
    with pytest.raises(SystemExit, match="Use: python"):
        run_script(str(path))
    with pytest.raises(SystemExit, match="not the weights"):
        run_script(str(path), str(tmp_path / "photo.png"))
    assert "Note: the image is not the one" in capsys.readouterr().out
    assert not (tmp_path / "repeat.png").exists()


def recipe(**changes) -> Recipe:
    values = {
        "engine": "deep_dream",
        "config": dataclasses.asdict(DREAM),
        "backbone": "studio_vgg",
        "weights": "ab" * 32,
        "inputs": {"image": "cd" * 32},
    }
    return Recipe(**values | changes)


def literals(script: str) -> dict[str, dict]:
    """The literal keyword arguments of every call in a script, by function."""
    found: dict[str, dict] = {}
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Call):
            plain = {one.arg: one.value for one in node.keywords if not isinstance(one.value, ast.Name)}
            found[ast.unparse(node.func)] = {name: ast.literal_eval(value) for name, value in plain.items()}
    return found


def test_only_the_settings_that_differ_are_written_and_the_images_with_their_hashes():
    script = script_of(recipe(config=dataclasses.asdict(DreamConfig(size=64))))
    assert literals(script)["DreamConfig"] == {"size": 64}
    assert "'image': 'cdcdcdcdcdcd'" in script
    assert "steering" not in script
    assert "stop_at" not in script
    assert 20 <= len(script.splitlines()) <= 45


HOSTILE = [
    '"""\nimport os\nos.abort()',
    "'); import os #",
    "\\",
    "{0} {config}",
    "\u2028\u202e\ud800\x00",
    "漢字 🌀 " * 60,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_of_strangers_stays_inside_its_literal(text):
    weights = {text: 1.5, "block3_conv1": 1.0}
    changed = dataclasses.asdict(dataclasses.replace(DREAM, layer_weights={text: -2.0}))
    config = dataclasses.asdict(dataclasses.replace(DREAM, layer_weights=weights))
    script = script_of(recipe(config=config, backbone=text, steering=((3, changed),), stopped_at=9))
    script.encode("utf-8")
    found = literals(script)
    assert found["DreamConfig"]["layer_weights"] == weights
    assert found["replace"] == {"layer_weights": {text: -2.0}}
    assert found["Job"] == {"engine": "deep_dream", "backbone": text, "stop_at": 9}
    same = recipe()
    statements = [type(node) for node in ast.parse(script_of(dataclasses.replace(same, stopped_at=9))).body]
    assert [type(node) for node in ast.parse(script).body if not is_about_steering(node)] == statements


def is_about_steering(node: ast.stmt) -> bool:
    return ast.unparse(node).startswith(("steering = ", "from dataclasses"))


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": '"\nimport os'},
        {"inputs": {"image": "cd" * 31 + "\n#"}},
        {"inputs": {"image": "cd" * 32, "x\nimport os": "cd" * 32}},
        {"inputs": {"image": "cd" * 32, "style_images_1": "cd" * 32}},
        {"inputs": {"guide": "cd" * 32}},
        {"config": {"size": "__import__('os')"}},
        {"config": {"__class__": 1}},
        {"engine": "os"},
        {"steering": ((3, {"layer_weights": {"a": "b"}}),)},
    ],
    ids=str,
)
def test_what_no_recipe_holds_is_refused_with_one_sentence(changes):
    refusal(ValueError, script_of, recipe(**changes))


TRAINED = [
    ("vae_training", VAETrainingConfig(model="faces", epochs=3, kl_weight=0.1, learning_rate=1e-5)),
    ("dcgan_training", DCGANTrainingConfig(images=1000, mirrored=False, augmentation="none")),
    ("dcgan_training", DCGANTrainingConfig(model="notes", mirrored=True, averaging=0.5).filled()),
    ("language_training", LanguageTrainingConfig(model="notes", tokens=5000, prompt="-It's $HOME `x` \"\n; rm")),
]


@pytest.mark.parametrize(("engine", "config"), TRAINED, ids=range(len(TRAINED)))
def test_of_a_training_it_is_the_command_that_says_the_same(engine, config):
    changed = {**dataclasses.asdict(config), "seed": 9}
    steering, data = ((250, changed),), {"data": "ab" * 32}
    made_by = recipe(
        engine=engine, config=dataclasses.asdict(config), backbone="", weights="", inputs=data, steering=steering
    )
    script = script_of(dataclasses.replace(made_by, stopped_at=300))
    for words in ("begins with abababababab", "After step 250", "seed = 9", "stopped after step 300"):
        assert words in script
    python, dash_m, module, *options = shlex.split(script, comments=True)
    assert (python, dash_m, module) == ("python", "-m", "engines.train")
    parsed = train._parser().parse_args(options)
    assert parsed.output.name == f"{parsed.name}.npz"
    again = type(config)(**changed_options(parsed, type(config)))
    filled = [one.filled() if hasattr(one, "filled") else one for one in (again, config)]
    assert filled[0] == filled[1]


def test_a_command_cannot_hold_what_no_terminal_takes():
    config = dataclasses.asdict(LanguageTrainingConfig(prompt="a\x1bb"))
    sentence = refusal(RecipeError, script_of, recipe(engine="language_training", config=config, inputs={}, weights=""))
    assert "prompt" in sentence


def test_a_recipe_of_the_first_days_can_be_written_too():
    older = {name: value for name, value in dataclasses.asdict(DREAM).items() if name not in ("jitter", "turn")}
    written = literals(script_of(recipe(config=older)))["DreamConfig"]
    assert DreamConfig(**written) == job_from_recipe(recipe(config=older), {}).config


def test_a_script_reads_masks_as_masks():
    hashes = {name: str(i) * 64 for i, name in enumerate(("content_image", "style_images_1", "masks_1"))}
    usual = {"engine": "style_transfer", "config": {}, "backbone": "studio_vgg", "weights": ""}
    text = script_of(Recipe(**usual, inputs=hashes))
    compile(text, "repeat.py", "exec")
    assert 'background="black" if name in [\'masks_1\'] else "white"' in text
    del hashes["masks_1"]
    assert "background" not in script_of(Recipe(**usual, inputs=hashes))
