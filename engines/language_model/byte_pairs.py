"""Learn a byte-pair vocabulary, in a process of its own where that takes long.

What learns is compiled code that runs to its end once it has begun. Run as a script, this file is that process: it
reads the size of the vocabulary and then texts from its standard input, each a line of JSON, and writes what it has
learnt.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import tokenizers

# Bytes. What it takes to learn from a run of letters grows with the square of its length, and no token need be longer.
LONGEST_RUN = 256


def pairs_learnt(texts: Iterable[str], vocab_size: int) -> str:
    """A tokeniser that suits the texts best, as the `tokenizers` library writes it.

    Args:
        vocab_size: of how many tokens at most; of 256, one for each byte, at least.
    """
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=max(vocab_size, len(alphabet)), initial_alphabet=alphabet, show_progress=False
    )
    # Only what it learns from is cut so: to cut a text up takes a long run well.
    cut = tokenizers.pre_tokenizers.FixedLength(length=LONGEST_RUN)
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([level, cut])
    bpe.train_from_iterator(texts, trainer)
    bpe.pre_tokenizer = level
    return bpe.to_str()


def learnt_elsewhere(texts: Iterable[str], vocab_size: int) -> str:
    """`pairs_learnt` in a process of its own, which is killed when nobody waits for the work that this is a part of.

    Raises:
        ValueError: it came to nothing, as for want of memory.
    """
    from engines.core.messages import message
    from engines.core.preparation import check, killed_if_abandoned

    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    # Without -P modules beside this file would hide others.
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    with subprocess.Popen(command, **quiet) as process, killed_if_abandoned(process):  # type: ignore[call-overload]
        # A process that is gone is noticed by what comes from it.
        with contextlib.suppress(OSError):
            for line in itertools.chain([vocab_size], texts):
                process.stdin.write(json.dumps(line).encode() + b"\n")
        found, _ = process.communicate()
    check()
    if process.returncode or not found:
        raise ValueError(message("A vocabulary could not be learnt from so much text here; use a part of it."))
    return found.decode()


def main() -> None:
    """Learn from what comes in, and write what was learnt."""
    vocab_size = json.loads(sys.stdin.buffer.readline())
    learnt = pairs_learnt(map(json.loads, sys.stdin.buffer), vocab_size)
    sys.stdout.buffer.write(learnt.encode())


if __name__ == "__main__":
    main()
