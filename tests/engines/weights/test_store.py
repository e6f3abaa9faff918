"""Weights: found in the right place, refused if damaged, downloaded completely or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from engines.backbones.backbone import load_backbone
from engines.core.files import sha256_of
from engines.weights.keras_applications import OFFICIAL_FILES
from engines.weights.store import WeightsError, WeightsStore
from tests.engines.helpers import files_in, refusal
from tests.engines.servers import FileServer, md5_hex, server

ROOT = Path(__file__).resolve().parents[3]
VGG16 = OFFICIAL_FILES["vgg16"].name
PAYLOAD = np.random.default_rng(0).bytes(1_500_000)


def store(folder: Path, *folders: Path) -> WeightsStore:
    """A store with only the cache and bundle in `folder`."""
    for name in ("cache", "bundle"):
        (folder / name).mkdir(exist_ok=True)
    return WeightsStore(folders=folders, cache=folder / "cache", bundled=folder / "bundle")


def bundle(folder: Path, data: bytes, sha256: str | None = None) -> None:
    """Put a bundled network with its manifest into a store's folder."""
    file = folder / "bundle" / "studio_vgg.npz"
    file.write_bytes(data)
    entry = {"file": file.name, "sha256": sha256 or sha256_of(file)}
    (folder / "bundle" / "manifest.json").write_text(json.dumps({"files": [entry]}))


def weights_file(path: Path, backbone) -> Path:
    arrays = {}
    for name in backbone.layers:
        kernel, bias = backbone.network.get_layer(name).get_weights()
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = kernel.astype(np.float16), bias.astype(np.float16)
    np.savez_compressed(path, **arrays)
    return path


# Where weights are found


def test_a_folder_comes_before_all_else_and_the_first_folder_before_the_second(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    weights = store(tmp_path, first, second)
    places = [tmp_path / "cache" / VGG16, second / VGG16, first / VGG16]
    assert weights.find("vgg16") is None
    found = []
    for place in places:
        place.write_bytes(b"something")
        found.append(weights.find("vgg16"))
    assert [located.path for located in found] == places
    assert [located.source for located in found] == ["cache", "folder", "folder"]


def test_the_bundled_network_is_found_after_the_folders(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    weights = store(tmp_path, folder)
    bundle(tmp_path, b"something")
    assert weights.find("studio_vgg").source == "bundled"
    assert weights.verified("studio_vgg").path == tmp_path / "bundle" / "studio_vgg.npz"
    (folder / "studio_vgg.npz").write_bytes(b"something else")
    assert weights.find("studio_vgg").path == folder / "studio_vgg.npz"
    assert weights.verified("studio_vgg").source == "folder"


def test_weights_that_are_not_there_are_refused_with_what_to_do(tmp_path):
    sentence = refusal(WeightsError, store(tmp_path).verified, "vgg16")
    assert "vgg16" in sentence
    assert "MB" in sentence
    assert "studio_vgg" in refusal(WeightsError, store(tmp_path).verified, "studio_vgg")


@pytest.mark.parametrize("name", ["", "nothing", "../../etc/passwd", "x" * 10_000])
def test_an_unknown_name_is_refused_with_the_names_there_are(tmp_path, name):
    sentence = refusal(WeightsError, load_backbone, name, store(tmp_path))
    assert "studio_vgg, inception_v3" in sentence
    assert len(sentence) < 250


# Damaged files


def test_a_bundled_file_that_the_manifest_does_not_describe_is_refused(tmp_path):
    weights = store(tmp_path)
    bundle(tmp_path, b"something", sha256="0" * 64)
    assert "manifest" in refusal(WeightsError, weights.verified, "studio_vgg")
    bundle(tmp_path, b"something")
    assert weights.verified("studio_vgg").source == "bundled"
    (tmp_path / "bundle" / "studio_vgg.npz").write_bytes(b"somethinG")
    assert "manifest" in refusal(WeightsError, weights.verified, "studio_vgg")


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"files": null}', '{"files": [1]}', '{"files": [{}]}', '{"files": ["a"]}']
)
def test_a_manifest_that_is_missing_or_damaged_is_refused_with_one_sentence(tmp_path, text):
    weights = store(tmp_path)
    bundle(tmp_path, b"something")
    manifest = tmp_path / "bundle" / "manifest.json"
    manifest.unlink() if text is None else manifest.write_text(text)
    assert "manifest.json" in refusal(WeightsError, weights.verified, "studio_vgg")


def test_a_manifest_without_the_file_does_not_vouch_for_it(tmp_path):
    weights = store(tmp_path)
    bundle(tmp_path, b"something")
    (tmp_path / "bundle" / "manifest.json").write_text('{"files": []}')
    refusal(WeightsError, weights.verified, "studio_vgg")


def test_a_cached_file_that_is_not_the_official_one_is_refused(tmp_path, monkeypatch):
    weights = store(tmp_path)
    (tmp_path / "cache" / VGG16).write_bytes(PAYLOAD)
    assert "download it again" in refusal(WeightsError, weights.verified, "vgg16")
    publish(monkeypatch, PAYLOAD)
    assert weights.verified("vgg16").source == "cache"


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "bit flipped":
        data[len(data) // 2] ^= 0xFF
    elif how == "header flipped":
        data[0] ^= 0xFF
    elif how == "names flipped":
        data = bytearray(bytes(data).replace(b"block3_conv2/bias", b"block3_conv2/bxxs"))
    elif how == "random":
        data = bytearray(np.random.default_rng(0).bytes(5000))
    elif how == "packing flipped":  # the way that a member is packed, in the directory at the end: none that there is
        data[data.rindex(b"PK\x01\x02") + 10] = 77
    path.write_bytes(data)


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "empty",
        "bit flipped",
        "header flipped",
        "names flipped",
        "random",
        "packing flipped",
    ],
)
def test_a_damaged_file_of_the_bundled_network_is_refused_with_one_sentence(tmp_path, studio_vgg, how):
    file = weights_file(tmp_path / "studio_vgg.npz", studio_vgg)
    assert load_backbone("studio_vgg", WeightsStore(folders=(tmp_path,)), dtype="float32").source == "folder"
    damaged(file, how)
    sentence = refusal(WeightsError, load_backbone, "studio_vgg", WeightsStore(folders=(tmp_path,)))
    assert "studio_vgg.npz" in sentence


def test_a_file_with_code_in_it_is_refused_and_the_code_does_not_run(tmp_path):
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return Path.touch, (ran,)

    np.savez(tmp_path / "studio_vgg.npz", **{"block1_conv1/kernel": np.array([Hostile()], object)})
    refusal(WeightsError, load_backbone, "studio_vgg", WeightsStore(folders=(tmp_path,)))
    assert not ran.exists()


def test_weights_of_other_shapes_are_refused_with_one_sentence(tmp_path, studio_vgg):
    arrays = {}
    for name in studio_vgg.layers:
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = np.zeros((3, 3, 4, 5)), np.zeros(5)
    np.savez(tmp_path / "studio_vgg.npz", **arrays)
    refusal(WeightsError, load_backbone, "studio_vgg", WeightsStore(folders=(tmp_path,)))


@pytest.mark.parametrize("how", ["random", "empty", "another network", "not weights"])
def test_a_damaged_h5_file_is_refused_with_one_sentence(tmp_path, how):
    file = tmp_path / VGG16
    if how in ("another network", "not weights"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        path = tmp_path / ("model.weights.h5" if how == "not weights" else "model.h5")
        model.save_weights(path) if how == "not weights" else model.save(path)
        path.rename(file)
    else:
        file.write_bytes(b"")
        damaged(file, how)
    sentence = refusal(WeightsError, load_backbone, "vgg16", WeightsStore(folders=(tmp_path,)))
    assert VGG16 in sentence


def test_a_truncated_h5_file_is_refused_with_one_sentence(tmp_path, shared):
    whole = shared / "weights" / OFFICIAL_FILES["vgg19"].name
    if not whole.is_file():
        pytest.skip(f"needs {whole.name}")
    (tmp_path / whole.name).write_bytes(whole.read_bytes()[:3_000_000])
    refusal(WeightsError, load_backbone, "vgg19", WeightsStore(folders=(tmp_path,)))


# Downloads, from a server on this machine


def publish(monkeypatch, data: bytes) -> None:
    """Make `data` the file that Keras publishes for VGG16."""
    official = dataclasses.replace(OFFICIAL_FILES["vgg16"], url="http://127.0.0.1:9/never", md5=md5_hex(data))
    monkeypatch.setitem(OFFICIAL_FILES, "vgg16", official)


def test_a_download_is_written_into_the_cache(tmp_path, monkeypatch):
    publish(monkeypatch, PAYLOAD)
    weights = WeightsStore(cache=tmp_path / "new" / "cache", bundled=tmp_path)
    with server(FileServer(PAYLOAD).answer) as url:
        progress = list(weights.download("vgg16", url=url))
    assert progress[-1] == (len(PAYLOAD), len(PAYLOAD))
    assert files_in(tmp_path / "new" / "cache") == [VGG16]
    assert weights.verified("vgg16").path.read_bytes() == PAYLOAD
    assert weights.downloaded_bytes("vgg16") == 0


def test_an_interrupted_download_says_how_to_go_on_and_how_much_has_arrived(tmp_path, monkeypatch):
    publish(monkeypatch, PAYLOAD)
    weights = store(tmp_path)
    with server(FileServer(PAYLOAD, breaks_after=700_000).answer) as url:
        sentence = refusal(WeightsError, list, weights.download("vgg16", url=url))
    assert "try again" in sentence
    assert VGG16 in sentence
    assert weights.downloaded_bytes("vgg16") == 700_000
    assert weights.find("vgg16") is None
    weights.remove("vgg16")
    assert files_in(tmp_path / "cache") == []


def test_a_download_that_is_another_file_leaves_the_cache_as_it_was(tmp_path, monkeypatch):
    publish(monkeypatch, PAYLOAD)
    weights = store(tmp_path)
    with server(FileServer(PAYLOAD[::-1]).answer) as url:
        sentence = refusal(WeightsError, list, weights.download("vgg16", url=url))
    assert "does not match the file that Keras publishes" in sentence
    assert files_in(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_written_is_one_sentence_without_its_path(tmp_path, monkeypatch):
    publish(monkeypatch, PAYLOAD)
    (tmp_path / "file").write_text("a file where a folder should be")
    weights = WeightsStore(cache=tmp_path / "file" / "cache", bundled=tmp_path)
    (tmp_path / "brought.h5").write_bytes(PAYLOAD)
    with server(FileServer(PAYLOAD).answer) as url:
        downloaded = refusal(WeightsError, list, weights.download("vgg16", url=url))
    brought = refusal(WeightsError, weights.add_file, tmp_path / "brought.h5")
    for sentence in (downloaded, brought):
        assert "cannot be saved" in sentence
        assert str(tmp_path) not in sentence


@pytest.mark.parametrize("name", ["studio_vgg", "nothing"])
def test_what_keras_does_not_publish_cannot_be_downloaded(tmp_path, name):
    assert name in refusal(WeightsError, list, store(tmp_path).download(name))


def test_the_official_addresses_are_those_of_keras():
    for name, official in OFFICIAL_FILES.items():
        assert official.name == f"{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        assert official.url.startswith("https://storage.googleapis.com/tensorflow/keras-applications/")
        assert len(official.md5) == 32


@pytest.mark.parametrize("environment", [{"KERAS_HOME": "elsewhere"}, {"HOME": "at home"}, {"HOME": "nowhere"}])
def test_downloads_go_where_keras_looks_for_them(tmp_path, environment):
    (tmp_path / "at home").mkdir()
    inherited = {name: value for name, value in os.environ.items() if name != "KERAS_HOME"}
    places = {name: str(tmp_path / value) for name, value in environment.items()}
    program = (
        "import engines.weights.store as ours; print(ours.WeightsStore().cache)\n"
        "from keras.src.backend.config import keras_home; print(keras_home())"
    )
    told = subprocess.check_output([sys.executable, "-c", program], env=inherited | places, cwd=ROOT, text=True)
    ours, keras_home = map(Path, told.splitlines())
    assert ours == keras_home / "models"


# Adding and removing files


@pytest.mark.parametrize("called", [VGG16, "from a stick.h5", OFFICIAL_FILES["vgg19"].name])
def test_a_brought_file_is_recognised_by_its_content_and_copied_into_the_cache(tmp_path, monkeypatch, called):
    publish(monkeypatch, PAYLOAD)
    weights = store(tmp_path)
    brought = tmp_path / called
    brought.write_bytes(PAYLOAD)
    (tmp_path / "cache" / f"{VGG16}.part").write_bytes(PAYLOAD[:100])
    assert weights.add_file(brought) == "vgg16"
    assert weights.verified("vgg16").source == "cache"
    assert files_in(tmp_path / "cache") == [VGG16]
    assert brought.is_file()


@pytest.mark.parametrize(
    ("called", "told"),
    [
        (VGG16, "is not the file that Keras publishes under this name"),
        (OFFICIAL_FILES["vgg16"].with_classifier, f"upload {VGG16} instead"),
        ("cats.h5", "not a file that Keras publishes for vgg16, vgg19"),
    ],
)
def test_a_brought_file_of_other_content_is_refused_by_its_name(tmp_path, called, told):
    weights = store(tmp_path)
    (tmp_path / "cache" / VGG16).write_bytes(b"what was there before")
    (tmp_path / called).write_bytes(PAYLOAD)
    assert told in refusal(WeightsError, weights.add_file, tmp_path / called)
    assert files_in(tmp_path / "cache") == [VGG16]
    assert (tmp_path / "cache" / VGG16).read_bytes() == b"what was there before"


def test_only_what_is_in_the_cache_can_be_removed(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    weights = store(tmp_path, folder)
    bundle(tmp_path, b"something")
    (folder / OFFICIAL_FILES["vgg19"].name).write_bytes(b"a person's own")
    (tmp_path / "cache" / VGG16).write_bytes(b"downloaded")
    assert "Bundled" in refusal(WeightsError, weights.remove, "studio_vgg")
    assert "nothing to remove" in refusal(WeightsError, weights.remove, "vgg19")
    weights.remove("vgg16")
    assert files_in(tmp_path / "cache") == []
    assert weights.find("vgg16") is None
    assert weights.find("vgg19").source == "folder"
    assert weights.find("studio_vgg").source == "bundled"


def test_what_is_being_downloaded_cannot_be_removed(tmp_path, monkeypatch):
    publish(monkeypatch, PAYLOAD)
    weights = store(tmp_path)
    with server(FileServer(PAYLOAD).answer) as url:
        download = weights.download("vgg16", url=url)
        next(download)
        assert "being downloaded" in refusal(WeightsError, weights.remove, "vgg16")
        list(download)
    assert weights.verified("vgg16").source == "cache"
