"""A trained language model with its tokeniser, and its file format."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import keras
import numpy as np

from engines.core.files import UNREADABLE, sha256_of
from engines.core.messages import message
from engines.language_model.networks import NETWORKS, TransformerConfig
from engines.language_model.tokenizers import Tokeniser, from_json
from engines.weights.npz import pack_network, unpack_network
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    from engines.language_model.kv_cache import Decoder

# Bits per stored weight. The book's network is only for comparison; 8 bits cost it 0.02 % of perplexity.
BITS = {"ours": 16, "notes": 8}


@dataclass(frozen=True)
class LanguageModel:
    """A network with the tokeniser that it was trained with.

    Attributes:
        network: an instance of one of `NETWORKS`: tokens, (B, T) integers -> logits, (B, T, vocab_size).
        tokeniser: converts between text and tokens.
        seen: number of tokens that it was trained on.
        weights: SHA-256 of the file; "" if it was not read from one.
    """

    network: Any
    tokeniser: Tokeniser
    seen: int = 0
    weights: str = ""

    def portable(self) -> dict[str, keras.Model]:
        """The network in float32, built from Keras's own layers only, for full windows."""
        from engines.language_model.portable import portable

        return {"": portable(self.network)}

    @functools.cached_property
    def decoder(self) -> Decoder:
        """Decoding functions of the network, created on first use."""
        from engines.language_model.kv_cache import Decoder

        return Decoder(self.network)

    @property
    def config(self) -> TransformerConfig:
        """The shape of the network."""
        return self.network.config


def build_network(config: TransformerConfig, dtype: str = "float32") -> keras.Model:
    """Build a network with new weights under a Keras dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        network = NETWORKS[config.architecture](config)
        network(np.zeros((1, 2), np.int32))
    finally:
        keras.config.set_dtype_policy(before)
    return network


def save_language_model(file: IO[bytes], model: LanguageModel) -> None:
    """Write weights (`BITS` each), config and tokeniser into an open file, as .npz."""
    header = json.dumps({"config": dataclasses.asdict(model.config), "seen": model.seen})
    arrays: dict[str, Any] = {"header": np.array(header)}
    arrays["tokeniser"] = np.frombuffer(model.tokeniser.to_json().encode(), np.uint8)
    np.savez_compressed(file, **(arrays | pack_network("network", model.network, BITS[model.config.architecture])))


def read_language_model(path: Path) -> LanguageModel:
    """Read what `save_language_model` wrote.

    Raises:
        WeightsError: the file is damaged or not a language model.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            tokeniser = from_json(arrays["tokeniser"].tobytes().decode())
            network = build_network(TransformerConfig(**header["config"]))
            unpack_network("network", network, arrays)
        seen = int(header["seen"])
    except (*UNREADABLE, TypeError) as error:
        raise WeightsError(
            message(
                "{file} is damaged or does not contain a language model of this version; use another file.",
                file=path.name,
            )
        ) from error
    return LanguageModel(network, tokeniser, seen, sha256_of(path))


def load_language_model(name: str, store: WeightsStore) -> LanguageModel:
    """Load a shipped model by name ("ours", "notes"), checking the file's hash.

    Raises:
        WeightsError: the file is missing or damaged, or has another hash.
    """
    return read_language_model(store.verified(f"language_model_{name}").path)
