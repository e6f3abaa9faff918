"""The Models tab: descriptions of the files, downloads, cancelling, importing, removing."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import keras
import numpy as np
import pytest

from engines.weights.keras_applications import OFFICIAL_FILES
from engines.weights.store import BUNDLED_FOLDER, WeightsStore
from studio.panels.network_picker import NetworkPicker
from studio.tabs.models.model_list import TITLES, list_value
from studio.tabs.models.tab import ModelsTab
from studio.trained_models import for_keras
from tests.engines.helpers import files_in, is_one_sentence
from tests.engines.servers import FileServer, md5_hex, server
from tests.studio.helpers import unserved_page, warned

PAYLOAD = np.random.default_rng(0).bytes(1_500_000)
VGG19 = OFFICIAL_FILES["vgg19"].name
PAGE = SimpleNamespace(session_hash="this page")
ANOTHER_PAGE = SimpleNamespace(session_hash="another page")


@pytest.fixture
def store(studio, tmp_path) -> WeightsStore:
    """The studio's store, with an empty folder and cache."""
    folder = tmp_path / "folder"
    folder.mkdir()
    studio.workshop.store = WeightsStore(folders=(folder,), cache=tmp_path / "cache")
    return studio.workshop.store


@pytest.fixture
def tab(studio, store) -> ModelsTab:
    """The tab, on a page of its own."""
    tab = ModelsTab(studio)
    with unserved_page():
        tab.build()
    return tab


@pytest.fixture
def published(monkeypatch) -> Iterator[FileServer]:
    """A server with the file that Keras publishes for VGG19."""
    files = FileServer(PAYLOAD)
    with server(files.answer) as url:
        official = dataclasses.replace(OFFICIAL_FILES["vgg19"], url=url, md5=md5_hex(PAYLOAD))
        monkeypatch.setitem(OFFICIAL_FILES, "vgg19", official)
        yield files


def rows(value: dict) -> dict[str, dict]:
    return {row["name"]: row for group in value["groups"] for row in group["rows"]}


def facts(row: dict) -> dict[str, list[str]]:
    return {fact["label"]: fact["lines"] for fact in row["facts"]}


def about(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name)


# Descriptions and exports


def test_every_bundled_file_is_listed_with_all_that_its_manifest_says(store):
    found = rows(list_value(store))
    for file, entry in store.manifest().items():
        row = found[Path(file).stem]
        told = facts(row)
        assert row["title"] == TITLES[Path(file).stem]
        assert (row["where"], row["acts"]) == ("Bundled", ["keras"])
        assert row["size"] == f"{entry['bytes'] / 1e6:.1f} MB"
        for label, key in (("Licence", "licence"), ("SHA-256", "sha256"), ("Training command", "command")):
            assert told[label] == [entry[key]]
        assert told["Score"][-1] == entry["score"]["on"]
        figures = [value for name, value in entry["score"].items() if name != "on"]
        for line, value in zip(told["Score"], figures, strict=False):
            assert line.endswith(f": {value}")
            assert "_" not in line, "a figure without a name that a person could read"


def test_every_official_file_is_listed_with_its_licence_and_where_that_was_found(store):
    found = rows(list_value(store))
    for name, official in OFFICIAL_FILES.items():
        told = facts(found[name])
        assert told["Licence"][0] == official.licence
        assert "keras.io" in told["Licence"][1]
        assert told["Source"] == [official.url]
        assert told["MD5"] == [official.md5]
        assert (found[name]["where"], found[name]["acts"]) == ("Not installed", ["get"])
        assert found[name]["size"] == f"{official.megabytes} MB"


def test_a_row_offers_what_can_be_done_with_its_file(store):
    store.cache.mkdir()
    (store.cache / VGG19).write_bytes(b"downloaded")
    (store.cache / f"{OFFICIAL_FILES['vgg16'].name}.part").write_bytes(bytes(3_000_000))
    (store.folders[0] / OFFICIAL_FILES["xception"].name).write_bytes(bytes(7_000_000))
    (store.folders[0] / "studio_vgg.npz").write_bytes(b"trained at home")
    found = rows(list_value(store))
    assert (found["vgg19"]["where"], found["vgg19"]["acts"]) == ("In Keras's cache", ["remove"])
    assert (found["vgg16"]["where"], found["vgg16"]["acts"]) == ("Partly downloaded", ["rest", "discard"])
    assert found["vgg16"]["size"] == "3 of 59 MB"
    assert (found["xception"]["where"], found["xception"]["acts"]) == ("In the weights folder", [])
    assert found["xception"]["size"] == "7 MB"
    assert (found["studio_vgg"]["where"], found["studio_vgg"]["acts"]) == ("In the weights folder", ["keras"])
    assert "used" in facts(found["studio_vgg"])["Note"][0]


def test_a_bundled_file_that_is_missing_is_said_to_be(studio, tmp_path):
    manifest = json.loads((BUNDLED_FOLDER / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    row = rows(list_value(WeightsStore(cache=tmp_path, bundled=tmp_path)))["studio_vgg"]
    assert (row["where"], row["here"]) == ("Not installed", False)
    assert "restore it" in facts(row)["Note"][0]


def test_a_damaged_manifest_is_one_sentence_and_the_official_files_are_still_there(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    value = list_value(WeightsStore(cache=tmp_path, bundled=tmp_path))
    assert is_one_sentence(value["groups"][0]["note"])
    assert set(rows(value)) == set(OFFICIAL_FILES)


def test_a_bundled_network_is_given_as_a_file_that_keras_opens(tab, studio):
    one = asyncio.run(tab.export_for_keras(about("studio_vgg"))).value["path"]
    assert keras.saving.load_model(one).count_params() > 3_000_000
    both = for_keras(studio, "vae_digits_notes")
    with zipfile.ZipFile(both) as archive:
        assert archive.namelist() == ["vae_digits_notes_encoder.keras", "vae_digits_notes_decoder.keras"]
    written = both.stat().st_mtime_ns
    assert for_keras(studio, "vae_digits_notes").stat().st_mtime_ns == written, "once is enough"


def test_a_network_that_cannot_be_given_is_one_sentence(tab, store):
    (store.folders[0] / "studio_vgg.npz").write_bytes(b"trained at home")
    _, said = warned(lambda: asyncio.run(tab.export_for_keras(about("studio_vgg"))))
    assert is_one_sentence(said)


def test_no_path_of_the_server_is_shown(tab, store, tmp_path):
    store.cache.mkdir()
    (store.cache / VGG19).write_bytes(b"downloaded")
    shown = json.dumps(tab.refresh({}))
    for path in (tmp_path, BUNDLED_FOLDER.parent, Path.home()):
        assert str(path) not in shown


# Actions


def test_a_download_says_how_far_it_is_and_that_it_is_verified(tab, store, published, monkeypatch):
    monkeypatch.setattr("studio.tabs.models.tab.PAUSE", 0)
    first, *middle, last = tab.download(about("vgg19"), PAGE)
    assert first["going"]["share"] is None
    shares = [update["going"]["share"] for update in middle]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert "of 2 MB" in middle[-1]["going"]["text"]
    assert (last["going"], last["about"]) == (None, "vgg19")
    assert "verified" in last["said"]
    assert rows(last)["vgg19"]["acts"] == ["remove"]
    assert store.verified("vgg19").source == "cache"


def test_a_cancelled_download_ends_with_what_has_arrived_and_can_be_gone_on_with(tab, store, published):
    download = tab.download(about("vgg19"), PAGE)
    next(download), next(download)
    assert tab.cancel_download(about("vgg19"), ANOTHER_PAGE) == gr.skip()
    assert tab.cancel_download(about("vgg19"), PAGE)["going"]["text"].startswith("Cancelling")
    (last,) = download
    assert last["going"] is None
    assert rows(last)["vgg19"]["acts"] == ["rest", "discard"]
    arrived = store.downloaded_bytes("vgg19")
    assert 0 < arrived < len(PAYLOAD)
    *_, last = tab.download(about("vgg19"), PAGE)
    assert "verified" in last["said"]
    assert published.asked == ["", f"bytes={arrived}-"]


def test_a_page_that_is_left_gives_its_download_up(tab, store, published):
    download = tab.download(about("vgg19"), PAGE)
    next(download), next(download)
    download.close()
    store.remove("vgg19")
    assert files_in(store.cache) == []
    assert tab.cancel_download(about("vgg19"), PAGE) == gr.skip()


@pytest.mark.parametrize("name", ["studio_vgg", "../../etc/passwd", ""])
def test_what_is_no_official_file_is_neither_fetched_nor_removed(tab, name):
    *_, last = tab.download(about(name), PAGE)
    for value in (last, tab.remove_file(about(name))):
        assert value["going"] is None
        assert is_one_sentence(value["said"])
    assert rows(value)["studio_vgg"]["where"] == "Bundled"


def test_a_removed_file_is_gone_and_no_longer_held_in_memory(tab, studio, store):
    store.cache.mkdir()
    (store.cache / VGG19).write_bytes(b"downloaded")
    studio.workshop.keep("deep_dream", "vgg19", object())
    value = tab.remove_file(about("vgg19"))
    assert rows(value)["vgg19"]["acts"] == ["get"]
    assert files_in(store.cache) == []
    assert ("engines.backbones.backbone:load_backbone", "vgg19") not in studio.workshop._networks
    assert "nothing to remove" in tab.remove_file(about("vgg19"))["said"]


def test_a_dropped_file_is_taken_if_it_is_keras_own_and_refused_with_a_sentence_otherwise(
    tab, store, published, tmp_path
):
    brought = tmp_path / "brought.h5"
    brought.write_bytes(PAYLOAD)
    cleared, value = asyncio.run(tab.import_weights(str(brought)))
    assert cleared is None
    assert rows(value)["vgg19"]["where"] == "In Keras's cache"
    impostor = tmp_path / OFFICIAL_FILES["vgg16"].name
    impostor.write_bytes(PAYLOAD[::-1])
    (cleared, value), sentence = warned(lambda: asyncio.run(tab.import_weights(str(impostor))))
    assert (cleared, value) == (None, gr.skip())
    assert "not the file that Keras publishes" in sentence
    assert store.find("vgg16") is None


def test_coming_back_to_the_tab_does_not_interrupt_what_is_shown_of_a_download(tab, store):
    assert tab.refresh({"going": {"name": "vgg19"}}) == gr.skip()
    assert set(rows(tab.refresh({"going": None}))) == {*TITLES, *OFFICIAL_FILES}


def test_the_choice_of_a_network_is_looked_at_anew_on_coming_to_its_tab(studio, store):
    with unserved_page() as page, gr.Tabs(), gr.Tab("Dream") as shown:
        choice = NetworkPicker(studio, ("studio_vgg", "vgg19"), "dream")
        choice.wire()
    triggers = {
        target for function in page.fns.values() if function.fn == choice.refresh for target in function.targets
    }
    assert triggers == {(shown._id, "select"), (page._id, "load")}
    dropdown, fetch = choice.refresh("vgg19")
    assert "download 80 MB" in dict(map(reversed, dropdown["choices"]))["vgg19"]
    assert fetch["visible"]
    store.cache.mkdir()
    (store.cache / VGG19).write_bytes(b"here")
    dropdown, fetch = choice.refresh("vgg19")
    assert "downloaded" in dict(map(reversed, dropdown["choices"]))["vgg19"]
    assert not fetch["visible"]
