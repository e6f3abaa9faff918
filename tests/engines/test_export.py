"""Exported networks: the same numbers in Keras without this project."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from engines.backbones import studio_vgg
from engines.dcgan import networks as dcgan
from engines.export import main, networks
from engines.language_model import portable as language
from engines.language_model.networks import NETWORKS, TransformerConfig
from engines.nn.portable import portable
from engines.vae import networks as vae
from engines.weights.store import WeightsStore

SMALL = {"vocab_size": 50, "block_size": 12, "embed_dim": 16, "num_layers": 2, "num_heads": 2, "dense_dim": 24}


@pytest.fixture(autouse=True)
def in_float32() -> Iterator[None]:
    """Compute in float32, as results are compared to five digits."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy(policy)


def with_random_weights(network: keras.Model) -> keras.Model:
    """Randomise statistics and gains too, which are initialised to ones and zeros."""
    rng = np.random.default_rng(0)
    for variable in network.variables:
        if variable.dtype.startswith("float") and len(variable.shape):
            around = 1 if "variance" in variable.path or "gamma" in variable.path else 0
            values = rng.normal(around, 0.1, variable.shape)
            variable.assign(np.abs(values) if around else values)
    return network


def numbers(network: keras.Model, inputs: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(output) for output in keras.tree.flatten(network(inputs, training=False))]


def made() -> Iterator[tuple[str, keras.Model, keras.Model, np.ndarray]]:
    """A network of each kind: its name, the original, the exported one, and an input for both."""
    rng = np.random.default_rng(1)
    for name, architecture in vae.ARCHITECTURES.items():
        for network, shape in (
            (architecture.build_encoder(), architecture.shape),
            (architecture.build_decoder(), (architecture.latent_dim,)),
        ):
            network = with_random_weights(network)
            yield f"vae_{name}_{network.name}", network, portable(network), rng.random((2, *shape)).astype(np.float32)
    for name, pair in dcgan.ARCHITECTURES.items():
        for network, shape in ((pair.build_generator(), (pair.latent_dim,)), (pair.build_discriminator(), pair.shape)):
            network = with_random_weights(network)
            yield f"dcgan_{name}_{network.name}", network, portable(network), rng.random((2, *shape)).astype(np.float32)
    for name, kind in NETWORKS.items():
        network = kind(TransformerConfig(architecture=name, **SMALL))
        network.build((1, SMALL["block_size"]))
        network = with_random_weights(network)
        tokens = rng.integers(0, SMALL["vocab_size"], (2, SMALL["block_size"]))
        yield f"language_model_{name}", network, language.portable(network), tokens
    network = studio_vgg.build_branches()
    yield "studio_vgg", network, portable(network), rng.uniform(-1, 1, (1, 32, 48, 3)).astype(np.float32)


def test_what_is_written_computes_the_same_where_the_project_is_not_there(tmp_path):
    for name, network, written, inputs in made():
        expected = numbers(network, inputs)
        assert all(values.std() > 1e-4 for values in expected), name
        for one, other in zip(expected, numbers(written, inputs), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5, err_msg=name)
        written.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", inputs, *expected)
    code = """
import sys
from pathlib import Path
import keras, numpy as np
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    inputs, *expected = np.load(path.with_suffix(".npz")).values()
    found = keras.tree.flatten(keras.saving.load_model(path)(inputs, training=False))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5, err_msg=path.name)
    print(path.stem)
assert "engines" not in sys.modules
"""
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 13


def test_the_command_writes_a_bundled_network_and_one_that_a_person_trained(tmp_path, capsys):
    assert main(["vae_digits_notes", "-o", str(tmp_path / "digits.keras")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits_decoder.keras", "digits_encoder.keras"]
    assert "digits_encoder.keras" in capsys.readouterr().out
    file = WeightsStore().verified("vae_digits_notes").path
    assert set(networks(str(file))) == {"encoder", "decoder"}
    loaded = keras.saving.load_model(tmp_path / "digits_decoder.keras")
    places = np.zeros((1, 2), np.float32)
    np.testing.assert_allclose(loaded(places), networks(str(file))["decoder"](places), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "output", "said"),
    [
        ("no_such_network", "model.keras", "use a file written by training"),
        ("vae_digits_notes", "model.h5", "must be a .keras file"),
        (__file__, "model.keras", "does not contain a network"),
    ],
)
def test_what_cannot_be_written_is_refused_with_one_sentence(tmp_path, capsys, name, output, said):
    assert main([name, "-o", str(tmp_path / output)]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_every_bundled_network_can_be_named():
    for name in WeightsStore().manifest():
        found = networks(Path(name).stem)
        assert all(network.dtype_policy.name == "float32" for network in found.values())
        assert all(type(layer).__module__.startswith("keras.") for one in found.values() for layer in one.layers)
