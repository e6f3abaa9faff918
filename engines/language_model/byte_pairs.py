"""Train a byte-pair vocabulary, in a subprocess if it may take long.

Training is compiled code that cannot be interrupted, but a process can be killed. Run as a script, this file is that
process: it reads the vocabulary size and then texts from standard input, one JSON value a line, and writes the
tokeniser to standard output.
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

# In bytes. Training time is quadratic in the length of a run without spaces, and no token needs to be longer.
MAX_RUN = 256


def train_bpe(texts: Iterable[str], vocab_size: int) -> str:
    """Train a byte-level BPE tokeniser, and return it as JSON of the `tokenizers` library.

    Args:
        vocab_size: maximum number of tokens; at least 256, one for each byte.
    """
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=max(vocab_size, len(alphabet)), initial_alphabet=alphabet, show_progress=False
    )
    # Only for training: encoding handles long runs well.
    fixed_length = tokenizers.pre_tokenizers.FixedLength(length=MAX_RUN)
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([byte_level, fixed_length])
    bpe.train_from_iterator(texts, trainer)
    bpe.pre_tokenizer = byte_level
    return bpe.to_str()


def train_bpe_in_subprocess(texts: Iterable[str], vocab_size: int) -> str:
    """`train_bpe` in a subprocess, which is killed when the preparation is abandoned.

    Raises:
        ValueError: the process failed, for example for lack of memory.
    """
    from engines.core.messages import message
    from engines.core.preparation import killed_if_abandoned, raise_if_abandoned

    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    # -P keeps the modules beside this file from shadowing others.
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    with subprocess.Popen(command, **quiet) as process, killed_if_abandoned(process):  # type: ignore[call-overload]
        # If the process has died, its exit status says so below.
        with contextlib.suppress(OSError):
            for line in itertools.chain([vocab_size], texts):
                process.stdin.write(json.dumps(line).encode() + b"\n")
        output, _ = process.communicate()
    raise_if_abandoned()
    if process.returncode or not output:
        raise ValueError(message("The text is too large to build a vocabulary from; use part of it."))
    return output.decode()


def main() -> None:
    """Train on the texts from standard input, and write the tokeniser to standard output."""
    vocab_size = json.loads(sys.stdin.buffer.readline())
    tokeniser = train_bpe(map(json.loads, sys.stdin.buffer), vocab_size)
    sys.stdout.buffer.write(tokeniser.encode())


if __name__ == "__main__":
    main()
