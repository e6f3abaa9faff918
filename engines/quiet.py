"""What a command line begins with: TensorFlow loaded without the notes that it writes to standard error meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# As TensorFlow and the library that it logs with write them: of the levels of information and warnings.
_NOTE = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl|\d{4}-\d\d-\d\d [\d:.]+: [IW] ")


def load_quietly() -> None:
    """Load what Keras computes with."""
    if "keras" not in sys.modules:
        with _without_notes():
            import keras  # noqa: F401


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Hold back what is written to standard error inside of the block, and pass on everything else.

    Compiled code writes past `sys.stderr`, and no setting of TensorFlow's silences what it logs while it is loaded.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _NOTE.match(line):
                    os.write(2, line)
