"""What both image tabs let a person choose: networks, their presets, settings within their ranges, and examples."""

from __future__ import annotations

import dataclasses

import gradio as gr
import pytest

from engines import deep_dream
from engines.imaging.images import read_image
from engines.style_transfer import engine as style_transfer
from tests.studio.helpers import names_of, through_the_page
from tests.studio.tabs.image_tabs.helpers import subject_of

BACKBONES = {"deep_dream": list(deep_dream.PRESETS), "style_transfer": list(style_transfer.LAYERS)}
PRESETS = {"deep_dream": deep_dream.presets, "style_transfer": style_transfer.presets}
EVERY_PRESET = [
    (engine, backbone, name)
    for engine, backbones in BACKBONES.items()
    for backbone in backbones
    for name in PRESETS[engine](backbone)
]


@pytest.mark.parametrize(("engine", "backbone", "name"), EVERY_PRESET)
def test_every_preset_is_within_what_the_controls_accept_and_comes_out_equal(
    laid_out, sample_image, painting, tmp_path, engine, backbone, name
):
    subject = subject_of(engine, laid_out, sample_image, painting, tmp_path)
    config = PRESETS[engine](backbone)[name]
    settings = subject.tab.settings
    assert settings.config(tuple(settings.values(config))) == config
    assert through_the_page(settings, subject.choose_preset(name, backbone, subject.values(config))) == config


def test_the_page_begins_with_the_first_preset(subject):
    (name, first), *_ = PRESETS[subject.engine]("studio_vgg").items()
    tab = subject.tab
    assert through_the_page(tab.settings, [control.value for control in tab.settings.components]) == first
    assert (tab.preset.value, tab.backbone.value) == (name, "studio_vgg")


def test_numbers_come_as_floats_from_a_browser_and_empty_controls_mean_the_default(subject):
    settings = subject.tab.settings
    values = settings.values(subject.quick)
    config = settings.config(tuple(float(value) if isinstance(value, int) else value for value in values))
    assert config == subject.quick
    for field in dataclasses.fields(config):
        if field.type in (int, "int"):
            assert isinstance(getattr(config, field.name), int), field.name
    assert settings.config(tuple(None for _ in settings.controls)) == type(subject.quick)()


def test_a_preset_that_the_network_does_not_have_changes_nothing(subject):
    values = subject.values(subject.quick)
    for name in ("No such preset", None):
        assert subject.choose_preset(name, "studio_vgg", values) == [gr.skip()] * len(subject.tab.settings.components)


def test_a_preset_steers_the_run_that_is_going(subject):
    run = subject.begun(subject.long)
    name, preset = list(PRESETS[subject.engine]("studio_vgg").items())[2]
    subject.choose_preset(name, "studio_vgg", subject.values(subject.long), run_id=run.id)
    ((_, settings),) = subject.steering_of(run)
    telling = "layer_weights" if subject.engine == "deep_dream" else "balance"
    assert settings[telling] == getattr(preset, telling) != getattr(subject.long, telling)


@pytest.mark.parametrize(
    ("engine", "backbone"), [(engine, backbone) for engine, names in BACKBONES.items() for backbone in names]
)
def test_a_network_comes_with_its_own_presets(laid_out, engine, backbone):
    answer = laid_out[engine].backbone_chosen(backbone)
    preset = answer[0] if isinstance(answer, (list, tuple)) else answer
    assert names_of(preset) == list(PRESETS[engine](backbone))
    assert preset["value"] is None


def test_only_networks_that_fit_are_offered_and_the_examples_are_images(subject):
    assert [name for _, name in subject.tab.backbone.choices] == BACKBONES[subject.engine]
    examples = subject.tab.example_images if subject.engine == "deep_dream" else subject.tab.example_photos
    for path in examples:
        assert min(read_image(path).shape[:2]) >= 200
