"""Sweeps: each cell equals a run of its own, and a sweep is steered, stopped and repeated like any run."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from engines.__main__ import main
from engines.core.configs import from_mapping
from engines.core.frames import Frame
from engines.deep_dream import DreamConfig, dream
from engines.imaging.contact_sheet import ContactSheet, Heading
from engines.jobs import ENGINES, Job, JobExecution, Workshop, job_from_recipe
from engines.jobs.sweep import MAX_CELLS, DreamSweepConfig, StyleSweepConfig, sweep
from engines.recipes import Recipe, from_json, read_recipe
from engines.style_transfer import stylize
from engines.style_transfer.config import StyleConfig
from tests.engines.helpers import as_png, refusal

DREAM = {"size": 48, "octaves": 1, "steps": 2, "step_size": 0.1, "jitter": 4, "layer_weights": {"block2_conv1": 1.0}}
PAINTING = {
    "seconds": 0.0,
    "size": 48,
    "scales": 1,
    "steps": 2,
    "optimizer": "adam",
    "style_layers": {"block1_conv1": 1.0},
    "content_layer": "block1_conv2",
    "tile_size": 16_384,
}


@pytest.fixture
def workshop(studio_vgg) -> Workshop:
    """A workshop in which the bundled network is already loaded, with random weights."""
    workshop = Workshop()
    workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    return workshop


def dreams(**changes: Any) -> DreamSweepConfig:
    """A sweep over two strengths."""
    return DreamSweepConfig(**{"settings": DREAM, "columns": "step_size", "column_values": (0.05, 0.2)} | changes)


def paintings(settings: dict[str, Any] | None = None, **changes: Any) -> StyleSweepConfig:
    settings = PAINTING | (settings or {})
    return StyleSweepConfig(**{"settings": settings, "columns": "balance", "column_values": (0.1, 0.6)} | changes)


def started(workshop: Workshop, config: DreamSweepConfig | StyleSweepConfig, image: np.ndarray) -> JobExecution:
    name = "image" if isinstance(config, DreamSweepConfig) else "content_image"
    inputs = {name: image} | ({} if name == "image" else {"style_images_1": image[::-1, ::-1]})
    return workshop.start(Job(engine=f"{config.engine}_sweep", config=config, inputs=inputs, backbone="studio_vgg"))


def again(workshop: Workshop, first: JobExecution) -> JobExecution:
    """The run of a recipe after a round trip through JSON."""
    recipe = from_json(first.recipe.to_json())
    return workshop.start(job_from_recipe(recipe, first.job.inputs))


def run_to_end(run: JobExecution) -> np.ndarray:
    for _ in run:
        pass
    return run.last.image


def single(config: DreamConfig | StyleConfig, image: np.ndarray, backbone) -> np.ndarray:
    """The image of a separate run."""
    if isinstance(config, DreamConfig):
        frames = dream(image, config, backbone)
    else:
        frames = stylize(image, [image[::-1, ::-1]], config, backbone)
    *_, last = frames
    return last.image


def sheet_of(columns: Heading, rows: Heading | None, images: list[np.ndarray]) -> np.ndarray:
    sheet = ContactSheet(columns, rows, images[0].shape[:2])
    for index, image in enumerate(images):
        sheet.put(index, image)
    return sheet.image


# Results


def test_each_cell_is_the_image_of_a_run_of_its_own(sample_image, studio_vgg):
    config = dreams(rows="jitter", row_values=(0, 8))
    *_, last = sweep(config, studio_vgg, image=sample_image)
    singles = [
        single(DreamConfig(**{**DREAM, "step_size": strength, "jitter": jitter}), sample_image, studio_vgg)
        for jitter in (0, 8)
        for strength in (0.05, 0.2)
    ]
    wanted = sheet_of(Heading("Step size", ("0.05", "0.2")), Heading("Jitter", ("0", "8")), singles)
    np.testing.assert_array_equal(last.image, wanted)
    assert len({image.tobytes() for image in singles}) == 4, "the settings made no difference"


def test_paintings_are_swept_alike_and_the_sheet_calls_a_setting_what_it_is_called(sample_image, studio_vgg):
    config = paintings(column_title="Less photo ↔ more photo")
    *_, last = sweep(config, studio_vgg, content_image=sample_image, style_images=[sample_image[::-1, ::-1]])
    singles = [single(StyleConfig(**{**PAINTING, "balance": value}), sample_image, studio_vgg) for value in (0.1, 0.6)]
    wanted = sheet_of(Heading("Less photo ↔ more photo", ("0.1", "0.6")), None, singles)
    np.testing.assert_array_equal(last.image, wanted)


def test_a_guide_goes_into_every_dream(sample_image, studio_vgg):
    *_, without = sweep(dreams(), studio_vgg, image=sample_image)
    *_, guided = sweep(dreams(), studio_vgg, image=sample_image, guide=sample_image[::-1])
    half = guided.image.shape[1] // 2
    for side in (slice(0, half), slice(half, None)):
        assert not np.array_equal(guided.image[:, side], without.image[:, side])


def test_the_frames_tell_how_far_it_is_and_where_a_part_of_it_ends(sample_image, studio_vgg):
    settings = {**DREAM, "octaves": 2, "octave_scale": 1.4}
    config = dreams(settings=settings, columns="steps", column_values=(1, 3))
    frames: list[Frame] = list(sweep(config, studio_vgg, image=sample_image))
    assert [frame.step for frame in frames] == list(range(1, len(frames) + 1))
    assert frames[-1].step == frames[-1].total
    assert all(frame.total > frame.step for frame in frames[:-1])
    progress = [frame.progress for frame in frames]
    assert progress == sorted(progress)
    assert progress[-1] == 1
    ends = [frame.step for frame in frames if frame.yield_point]
    assert ends == [frame.step for frame in frames if frame.keyframe]
    assert (len(ends), ends[-1]) == (2, len(frames))
    assert frames[ends[0] - 1].progress == 0.5
    assert len({frame.image.shape for frame in frames}) == 1
    assert frames[0].note.startswith("image 1 of 2 · octave 1 of ")
    assert frames[-1].note.startswith("image 2 of 2 · ")
    assert all(set(frame.metrics) == {"loss"} for frame in frames)


# Steered, stopped, repeated


def test_steering_holds_for_the_cell_at_work_and_all_after_it(sample_image, workshop, studio_vgg):
    config = dreams(column_values=(0.05, 0.1, 0.2))
    run = started(workshop, config, sample_image)
    for _ in range(3):
        next(run)
    before = run.last.image
    other = {**run.job.config.settings, "layer_weights": {"block3_conv1": 1.0}, "step_size": 9.0}
    run.send(dataclasses.replace(run.job.config, settings=other))
    run_to_end(run)
    first = single(config.cell(0), sample_image, studio_vgg)
    last = single(dataclasses.replace(config.cell(2), layer_weights={"block3_conv1": 1.0}), sample_image, studio_vgg)
    frames = dream(sample_image, config.cell(1), studio_vgg)
    next(frames)
    middle = frames.send(dataclasses.replace(config.cell(1), layer_weights={"block3_conv1": 1.0})).image
    wanted = sheet_of(Heading("Step size", ("0.05", "0.1", "0.2")), None, [first, middle, last])
    np.testing.assert_array_equal(run.last.image, wanted)
    assert not np.array_equal(run.last.image, before)
    ((step, settings),) = run.recipe.steering
    assert step == 3
    assert settings["settings"]["layer_weights"] == {"block3_conv1": 1.0}


@pytest.mark.parametrize("steered_after", [1, 2, 3])
def test_a_steered_and_stopped_sweep_repeats_to_the_same_pixels(sample_image, workshop, steered_after):
    run = started(workshop, dreams(column_values=(0.05, 0.1, 0.2)), sample_image)
    for _ in range(steered_after):
        next(run)
    other = {**run.job.config.settings, "layer_weights": {"block3_conv1": 1.0}}
    run.send(dataclasses.replace(run.job.config, settings=other))
    next(run)
    run.close()
    assert next(run, None) is None
    recipe = run.recipe
    assert recipe.stopped_at == steered_after + 2
    repeated = again(workshop, run)
    np.testing.assert_array_equal(run_to_end(repeated), run.last.image)
    assert repeated.recipe == recipe


def test_nobody_steered_a_sweep_that_ran_by_itself(sample_image, workshop):
    for config in (dreams(), paintings()):
        run = started(workshop, config, sample_image)
        run_to_end(run)
        assert run.recipe.steering == ()
        repeated = again(workshop, run)
        np.testing.assert_array_equal(run_to_end(repeated), run.last.image)
        assert repeated.recipe == run.recipe


class TickingClock:
    """Replaces the `time` module: each call takes a tenth of a second, or another given time."""

    def __init__(self):
        self.now, self.tick = 100.0, 0.1

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def clock(monkeypatch) -> TickingClock:
    """A time limit for paintings, which are small whatever is chosen."""
    from engines.style_transfer import optimization as painting
    from engines.style_transfer import schedule as painting_plan

    clock = TickingClock()
    for module in (painting, painting_plan):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(painting_plan, "SIZES", (48, 64))
    monkeypatch.setattr(painting_plan, "PROBE_SIDE", 32)
    return clock


def timed(**changes: Any) -> StyleSweepConfig:
    """A sweep of paintings of a second each."""
    return paintings({"seconds": 1.0, "size": 512, "scales": 3, "steps": 30, "tile_size": 0, **changes})


def plans(run: JobExecution) -> list[dict[str, Any]]:
    """The chosen settings in force in a sweep, at first and after each change."""
    configs = [run.recipe.config, *(settings for _, settings in run.recipe.steering)]
    names = ("seconds", "size", "scales", "steps", "tile_size")
    return [{name: config["settings"][name] for name in names} for config in configs]


def test_the_plan_of_the_first_painting_holds_for_all_and_a_repetition_needs_no_clock(sample_image, workshop, clock):
    run = started(workshop, timed(), sample_image)
    image = run_to_end(run)
    chosen = plans(run)[-1]
    assert chosen["seconds"] == 0
    assert chosen["size"] in (48, 64)
    assert chosen["steps"] != 30
    clock.tick = 7.0
    repeated = again(workshop, run)
    steps = cells_of(repeated)
    assert steps[1] == chosen["steps"], "the second painting has as many steps as the first ended with"
    for step, _ in run.recipe.steering:
        assert step < steps[0], "only the steps of the first were corrected on the way"
    np.testing.assert_array_equal(repeated.last.image, image)
    assert repeated.recipe == run.recipe


def cells_of(run: JobExecution) -> list[int]:
    """The number of steps of each cell."""
    ends = [frame.step for frame in run if frame.yield_point]
    return [end - before for before, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("at_a_seam", [False, True])
def test_steering_does_not_undo_what_was_chosen_for_the_time(sample_image, workshop, clock, at_a_seam):
    run = started(workshop, timed(), sample_image)
    while not next(run).yield_point:
        pass
    if not at_a_seam:
        next(run)
    chosen = plans(run)[-1]
    clock.tick = 0.02  # whoever chose now would choose otherwise
    # A page sends all its controls, and these still set a time limit.
    other = timed(style_scale=2.0)
    frame = run.send(other)
    image = run_to_end(run)
    assert plans(run)[-1] == chosen
    assert frame.config is not None
    assert run.recipe.steering[-1][1]["settings"]["style_scale"] == 2.0
    repeated = again(workshop, run)
    np.testing.assert_array_equal(run_to_end(repeated), image)
    assert repeated.recipe == run.recipe


# Configs


@pytest.mark.parametrize("kind", [DreamSweepConfig, StyleSweepConfig])
def test_the_defaults_can_be_swept_and_every_setting_that_may_be_is_a_number(kind):
    config = kind()
    assert config.cells == 3
    assert config.columns in kind.sweepable()
    shared = ENGINES[config.engine].config_class
    types = {field.name: field.type for field in dataclasses.fields(shared)}
    assert {types[name] for name in kind.sweepable()} == {"int", "float"}


def test_the_sheet_is_no_sheet_of_videos():
    config = dreams(settings={**DREAM, "pictures": 7})
    assert [config.cell(index).pictures for index in range(2)] == [1, 1]


def test_a_config_comes_back_from_json_as_it_was():
    settings = PAINTING | {"blend": (1.0, 0.5), "optimizer": "sgd"}
    for config in (
        dreams(rows="octaves", row_values=(1, 2)),
        paintings(settings, rows="learning_rate", row_values=(1.5, 2.0)),
        DreamSweepConfig(),
        StyleSweepConfig(),
    ):
        written = json.loads(json.dumps(dataclasses.asdict(config)))
        assert from_mapping(type(config), written) == config


def test_values_of_whole_settings_are_whole():
    config = dreams(columns="steps", column_values=(1.0, 2.0))
    assert [config.cell(index).steps for index in range(2)] == [1, 2]
    assert all(isinstance(config.cell(index).steps, int) for index in range(2))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"columns": "strength"}, "The setting 'strength' cannot be swept; use one of size, octaves"),
        ({"columns": ""}, "The setting '' cannot be swept"),
        ({"columns": "normalization"}, "The setting 'normalization' cannot be swept"),
        ({"columns": "x" * 10_000}, "cannot be swept"),
        ({"columns": "pictures", "column_values": (1, 5)}, "The setting 'pictures' cannot be swept"),
        ({"columns": "zoom", "column_values": (1.0, 1.1)}, "The setting 'zoom' cannot be swept"),
        ({"rows": "colours", "row_values": (1.0,)}, "The setting 'colours' cannot be swept"),
        ({"column_values": ()}, "Enter the values of Step size"),
        ({"rows": "jitter"}, "Enter the values of Jitter"),
        ({"row_values": (1.0,)}, "The rows have values but no setting"),
        ({"column_values": (0.1, 0.2, 0.1)}, "Step size has a repeated value"),
        ({"column_values": (0.1, 0.1), "column_title": "Speed"}, "Speed has a repeated value"),
        ({"rows": "step_size", "row_values": (0.1,)}, "choose another"),
        ({"column_values": tuple(i / 1000 for i in range(1, MAX_CELLS + 2))}, f"{MAX_CELLS + 1} images"),
        ({"column_values": (0.1,) * 6 + (0.2,)}, "repeated"),
        ({"column_values": tuple(i / 100 for i in range(7)), "rows": "seed", "row_values": tuple(range(6))}, "42"),
        ({"column_values": (0.1, -1.0)}, "Strength must be"),
        ({"columns": "octaves", "column_values": (1.0, 2.5)}, "Octaves must be a whole number"),
        ({"column_values": (0.1, float("nan"))}, "must be a finite number"),
        ({"column_values": ("0.1",)}, "Column values must be"),
        ({"column_values": 0.1}, "Column values must be"),
        ({"columns": "seed", "column_values": (1, 2), "settings": DREAM | {"jitter": 0}}, "without jitter"),
        ({"columns": "octave_scale", "column_values": (1.2, 1.4)}, "Octave scale has no effect here"),
        ({"settings": {"strength": 1.0}}, "no setting 'strength'"),
        ({"settings": {"steps": "many"}}, "Steps per octave must be a whole number"),
        ({"settings": []}, "Settings must be a mapping of names to values"),
        ({"settings": ("steps",)}, "Settings must be a mapping of names to values"),
        ({"settings": None}, "Settings must be a mapping of names to values"),
        ({"settings": {1: 2}}, "Settings must be a mapping of names to values"),
        ({"settings": {"steps": float("inf")}}, "must be a finite number"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_with_a_sentence(changes, told):
    sentence = refusal(ValueError, dreams, **changes)
    assert told in sentence
    assert len(sentence) < 300


@pytest.mark.parametrize(
    ("changes", "swept", "values", "told"),
    [
        ({"seconds": 15.0}, "steps", (10, 20), "Steps has no effect here: the time limit determines it"),
        ({"seconds": 15.0}, "size", (100, 200), "the time limit determines it"),
        ({}, "seconds", (5.0, 10.0), "The setting 'seconds' cannot be swept"),
        ({}, "seed", (1, 2), "only used when starting from noise"),
        ({"optimizer": "lbfgs"}, "learning_rate", (1.0, 2.0), "L-BFGS sets its own"),
        ({}, "content_weight", (1.0, 2.0), "determines it; set that slider to 0 first"),
    ],
)
def test_a_setting_of_paintings_that_changes_nothing_is_refused_and_it_is_said_why(changes, swept, values, told):
    sentence = refusal(ValueError, paintings, changes, columns=swept, column_values=values)
    assert told in sentence


def test_a_setting_that_has_an_effect_in_some_rows_is_swept():
    config = dreams(columns="octave_scale", column_values=(1.2, 1.4), rows="octaves", row_values=(1, 2))
    assert config.cells == 4


def test_what_the_refusals_say_of_settings_without_effect_is_true(sample_image, studio_vgg):
    first, second = (
        single(DreamConfig(**{**DREAM, "jitter": 0, "seed": seed, "octave_scale": scale}), sample_image, studio_vgg)
        for seed, scale in ((0, 1.2), (1, 1.6))
    )
    np.testing.assert_array_equal(first, second)
    settings = {**PAINTING, "optimizer": "lbfgs"}
    changes = [{"seed": 0, "learning_rate": 1.0}, {"seed": 1, "learning_rate": 9.0}]
    first, second = (single(StyleConfig(**{**settings, **change}), sample_image, studio_vgg) for change in changes)
    np.testing.assert_array_equal(first, second)
    first, second = (
        single(StyleConfig(**{**PAINTING, "content_weight": w}), sample_image, studio_vgg) for w in (1.0, 4.0)
    )
    assert np.abs(first.astype(int) - second).max() <= 1


def test_a_cell_that_does_not_fit_the_network_refuses_all_before_anything_is_made(sample_image, studio_vgg):
    config = dreams(settings={**DREAM, "layer_weights": {"mixed4": 1.0}})
    assert "no layer 'mixed4'" in refusal(ValueError, next, sweep(config, studio_vgg, image=sample_image))


# The command line


def test_a_sweep_on_the_command_line_is_a_sheet_with_its_recipe(tmp_path, sample_image, capsys):
    (tmp_path / "photo.png").write_bytes(as_png(sample_image))
    settings = {"size": 48, "octaves": 1, "steps": 1, "layer_weights": {"block1_conv1": 1.0}}
    options = ["--settings", json.dumps(settings), "--columns", "step_size", "--column-values", "0.02,0.1"]
    photo, sheet, repeat = (str(tmp_path / name) for name in ("photo.png", "sheet.png", "again.png"))
    assert main(["deep_dream_sweep", photo, "-o", sheet, *options]) == 0
    recipe = read_recipe(tmp_path / "sheet.png")
    assert isinstance(recipe, Recipe)
    assert (recipe.engine, recipe.config["column_values"]) == ("deep_dream_sweep", [0.02, 0.1])
    assert recipe.config["settings"]["size"] == 48
    assert main(["deep_dream_sweep", photo, "-o", repeat, "--recipe", sheet]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(repeat)), np.asarray(Image.open(sheet)))
    capsys.readouterr()
    assert main(["deep_dream_sweep", photo, "-o", sheet, "--columns", "strength"]) == 1
    assert capsys.readouterr().err.startswith("The setting 'strength' cannot be swept")


def test_a_video_of_a_sweep_has_the_shape_of_its_sheet(tmp_path, sample_image, capsys):
    (tmp_path / "photo.png").write_bytes(as_png(sample_image))
    settings = {"size": 32, "octaves": 1, "steps": 1, "layer_weights": {"block1_conv1": 1.0}}
    options = ["--settings", json.dumps(settings), "--columns", "jitter", "--column-values", "0,2,4"]
    assert main(["deep_dream_sweep", str(tmp_path / "photo.png"), "-o", str(tmp_path / "video.mp4"), *options]) == 0
    with av.open(str(tmp_path / "video.mp4")) as video:
        shown = next(video.decode(video=0))
    assert shown.width > 3 * shown.height
