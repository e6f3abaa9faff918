"""Language models against the notes' listing: writing, cache, five temperatures at once, first word, training."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.report import Row, compared, main
from tests.benchmarks.timing import a_page, by_turns, in_processes, median_seconds, show_tab

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

WORDS, LENGTH, TOKENS = 15_000, 100, 200
WIDTH, DENSE = 256, 2048
# Of the text that is read again and again, tokens.
READ = 256
TURNS = 3


def _texts(count: int) -> list[str]:
    """Texts of words that are as frequent as words are, all of the vocabulary among them."""
    rng = np.random.default_rng(0)
    names = np.array([f"w{i}" for i in range(WORDS)])
    likelihoods = 1 / np.arange(2.0, WORDS + 2)
    drawn = rng.choice(names, (count, LENGTH + 1), p=likelihoods / likelihoods.sum())
    return [" ".join(names), *(" ".join(row) for row in drawn)]


def _listing():
    """The listing's model and vectoriser as they are written, with the one undefined mask put right."""
    import keras
    import tensorflow as tf
    from keras import layers

    class PositionalEmbedding(layers.Layer):
        def __init__(self, length, words, width):
            super().__init__()
            self.tokens, self.positions = layers.Embedding(words, width), layers.Embedding(length, width)

        def call(self, inputs):
            return self.tokens(inputs) + self.positions(tf.range(tf.shape(inputs)[-1]))

    class TransformerDecoder(layers.Layer):
        def __init__(self, width, dense, heads):
            super().__init__()
            self.attention_1 = layers.MultiHeadAttention(heads, width)
            self.attention_2 = layers.MultiHeadAttention(heads, width)
            self.dense = keras.Sequential([layers.Dense(dense, activation="relu"), layers.Dense(width)])
            self.norms = [layers.LayerNormalization() for _ in range(3)]

        def call(self, inputs, encoded):
            batch, length = tf.shape(inputs)[0], tf.shape(inputs)[1]
            i, j = tf.range(length)[:, None], tf.range(length)
            mask = tf.tile(tf.cast(i >= j, tf.int32)[None], (batch, 1, 1))
            first = self.norms[0](inputs + self.attention_1(inputs, inputs, key=inputs, attention_mask=mask))
            second = self.norms[1](first + self.attention_2(first, encoded, key=encoded, attention_mask=mask))
            return self.norms[2](second + self.dense(second))

    vectorise = layers.TextVectorization(WORDS, output_mode="int", output_sequence_length=LENGTH)
    vectorise.adapt(_texts(0))
    inputs = keras.Input((None,), dtype="int64")
    x = PositionalEmbedding(LENGTH, WORDS, WIDTH)(inputs)
    outputs = layers.Dense(WORDS, activation="softmax")(TransformerDecoder(WIDTH, DENSE, 2)(x, x))
    model = keras.Model(inputs, outputs)
    model.compile(loss="sparse_categorical_crossentropy", optimizer="rmsprop")
    return model, vectorise


def written_by_the_listing() -> Callable[[], float]:
    """What measures the tokens a second of its callback's loop."""
    model, vectorise = _listing()
    index = dict(enumerate(vectorise.get_vocabulary()))

    def sample_next(predictions, temperature=1.0):
        predictions = np.asarray(predictions).astype("float64")
        predictions = np.exp(np.log(predictions) / temperature)
        return np.argmax(np.random.multinomial(1, predictions / np.sum(predictions), 1))

    def write(count: int) -> None:
        sentence = "w1 w2"
        for i in range(count):
            predictions = model(vectorise([sentence]))
            sentence += " " + index[sample_next(predictions[0, min(i, LENGTH - 1), :])]

    write(5)

    def measure() -> float:
        began = time.perf_counter()
        write(TOKENS)
        return TOKENS / (time.perf_counter() - began)

    return measure


def written_by_us() -> Callable[[], float]:
    """What measures the tokens a second of ours on the listing's network."""
    from engines.language_model import SamplingConfig, generate
    from engines.language_model.model import LanguageModel, build_network
    from engines.language_model.networks import TransformerConfig
    from engines.language_model.tokenizers import Words

    tokeniser = Words.train(_texts(0), WORDS)
    shape = TransformerConfig(
        architecture="notes",
        vocab_size=WORDS,
        block_size=LENGTH,
        embed_dim=WIDTH,
        num_layers=1,
        num_heads=2,
        dense_dim=DENSE,
    )
    model = LanguageModel(build_network(shape), tokeniser)
    config = SamplingConfig(tokens=TOKENS, temperature=1.0, ends=False)
    return lambda: TOKENS / median_seconds(lambda: list(generate("w1 w2", config, model)), 1)


def against_the_listing(name: str, listing: Callable, ours: Callable, target: float) -> Row:
    """Tokens a second of ours against the listing's; each a function that prepares and returns what measures."""
    with in_processes({"listing": (listing,), "ours": (ours,)}) as contenders:
        said = by_turns(contenders, TURNS)
    return compared(name, said["ours"], said["listing"], target, "tokens/s", more_is_better=True)


def generation() -> Row:
    """200 tokens of the notes' network."""
    return against_the_listing("generation", written_by_the_listing, written_by_us, 15.0)


def _shipped():
    from engines.language_model.model import load_language_model
    from engines.weights.store import WeightsStore

    return load_language_model("ours", WeightsStore())


def cache() -> Row:
    """256 tokens of ours with the cache, and with the whole text read again for each."""
    model = _shipped()
    tokens = [0, *np.random.default_rng(0).integers(1, model.tokeniser.vocab_size, READ - 1).tolist()]

    def with_cache() -> None:
        reading = model.decoder.begin([tokens[:1]])
        for end in range(2, len(tokens) + 1):
            reading.next([tokens[:end]])

    def without() -> None:
        for end in range(1, len(tokens) + 1):
            model.decoder.begin([tokens[:end]])

    with_cache(), without()
    work = {"with": with_cache, "without": without}
    taken = by_turns({name: lambda one=one: READ / seconds_of(one) for name, one in work.items()}, TURNS)
    return compared("cache", taken["with"], taken["without"], 4.0, "tokens/s", more_is_better=True)


def seconds_of(work: Callable[[], object]) -> float:
    """The seconds of some work, done once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def five_temperatures() -> Row:
    """Five texts at once against one."""
    from engines.language_model import SamplingConfig, generate
    from engines.language_model.config import TEMPERATURES

    model = _shipped()
    configs = {
        "alone": SamplingConfig(tokens=TOKENS, ends=False),
        "at once": SamplingConfig(tokens=TOKENS, ends=False, temperatures=TEMPERATURES),
    }
    writing = {
        name: lambda c=c: median_seconds(lambda: list(generate("This movie", c, model)), 1)
        for name, c in configs.items()
    }
    taken = by_turns(writing, TURNS)
    return compared("five_temperatures", taken["at once"], [2 * one for one in taken["alone"]], 1.0, "s")


# Presses Write and resolves with the milliseconds until there is a word.
PRESS = """
const done = arguments[0], rows = document.querySelector('#text-canvas .rows'), before = performance.now();
const observer = new MutationObserver(() => {
  if (!rows.querySelector('.word')) return;
  observer.disconnect();
  requestAnimationFrame(() => done(performance.now() - before));
});
observer.observe(rows, { childList: true, subtree: true });
rows.replaceChildren();
document.querySelector('#text-go').click();
"""


def first_word(browser: Any, presses: int = 12, rest: float = 20.0) -> Row:
    """From the press of Write to the first word on the page, in milliseconds.

    Args:
        presses: the first two do not count.
        rest: seconds that the server has to warm itself up.
    """
    time.sleep(rest)
    taken = []
    for _ in range(presses):
        show_tab(browser, "Words", "#text-go")
        taken.append(browser.execute_async_script(PRESS))
        browser.execute_script("document.querySelector('#text-stop').click()")
        time.sleep(rest / 20)
    median = float(np.median(taken[2:]))
    return Row("first_word", median, 300.0, 300.0 / median, 1.0, "ms, median")


# As the listing has it.
BATCH = 256


def trained_by_the_listing() -> Callable[[], float]:
    """What measures the tokens a second of the listing's `fit`."""
    import tensorflow as tf

    model, vectorise = _listing()
    texts = tf.data.Dataset.from_tensor_slices(_texts(2 * BATCH)[1:]).batch(BATCH)

    def pairs(batch):
        rows = vectorise(batch)
        return rows[:, :-1], rows[:, 1:]

    data = texts.map(pairs, num_parallel_calls=4)
    model.fit(data.take(1), verbose=0)

    def measure() -> float:
        began = time.perf_counter()
        model.fit(data, verbose=0)
        return 2 * BATCH * (LENGTH - 1) / (time.perf_counter() - began)

    return measure


def trained_by_us() -> Callable[[], float]:
    """What measures the tokens a second of our loop, as `python -m engines.train` takes it, on the same network and
    batch."""
    import tensorflow as tf

    from engines.language_model.config import LanguageTrainingConfig
    from engines.language_model.networks import TransformerConfig
    from engines.language_model.training import TrainState, make_train_step
    from engines.nn.data_parallel import use_one_thread_per_op

    use_one_thread_per_op()
    config = LanguageTrainingConfig(model="notes").filled()
    shape = TransformerConfig(
        architecture="notes",
        vocab_size=WORDS,
        block_size=LENGTH,
        embed_dim=WIDTH,
        num_layers=1,
        num_heads=2,
        dense_dim=DENSE,
    )
    step = make_train_step(TrainState(config, shape), BATCH)
    tokens = tf.constant(np.random.default_rng(0).integers(0, WORDS, (BATCH, LENGTH)).astype(np.int32))
    weights = tf.ones((BATCH, LENGTH - 1))
    taken = BATCH * (LENGTH - 1)
    return lambda: taken / median_seconds(lambda: float(step(tokens, weights, tf.constant(1.0))), 2)


def training() -> Row:
    """The notes' network in our loop against the listing's `fit`."""
    return against_the_listing("training", trained_by_the_listing, trained_by_us, 1.5)


# A training step of our network: windows of a batch.
WINDOWS = 16


def trained_with_muon(keras_muon: bool, shape: dict[str, int] | None = None) -> Callable[[], float]:
    """What measures the seconds of a training step of our network, with Keras's Muon or with ours.

    Args:
        shape: changes to the architecture of the bundled model.
    """
    import keras
    import tensorflow as tf

    from engines.language_model.config import LanguageTrainingConfig
    from engines.language_model.training import TrainState, architecture_of, make_train_step
    from engines.nn.data_parallel import use_one_thread_per_op

    use_one_thread_per_op()
    config = LanguageTrainingConfig(**(shape or {})).filled()
    architecture = architecture_of(config, config.vocab_size or 0)
    state = TrainState(config, architecture)
    if keras_muon:
        optimizer = keras.optimizers.Muon(state.rate, exclude_layers=["embedding", "positions", "last"], rms_rate=None)
        optimizer.build(state.weights)
        state.apply = lambda gradients, factor: optimizer.apply(gradients, state.weights)  # type: ignore[method-assign]
    step = make_train_step(state, WINDOWS)
    length = architecture.block_size
    tokens = np.random.default_rng(0).integers(0, architecture.vocab_size, (WINDOWS, length + 1)).astype(np.int32)
    arguments = tf.constant(tokens), tf.ones((WINDOWS, length)), tf.constant(1.0)
    return lambda: median_seconds(lambda: float(step(*arguments)), 3)


def muon(turns: int = TURNS, shape: dict[str, int] | None = None) -> Row:
    """A training step of our network with our Muon against Keras's."""
    contenders = {"keras": (trained_with_muon, (True, shape)), "ours": (trained_with_muon, (False, shape))}
    with in_processes(contenders) as prepared:
        said = by_turns(prepared, turns)
    return compared("muon", said["ours"], said["keras"], 1.15, "s a step")


def measure() -> list[Row]:
    """All rows."""
    rows = [generation(), cache(), five_temperatures(), training(), muon()]
    with a_page() as browser:
        return [*rows, first_word(browser)]


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0])
