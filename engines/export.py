"""Export a network for Keras: python -m engines.export NAME -o model.keras."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engines.core.python_version import why_unsupported

if why_unsupported():
    sys.exit(why_unsupported())

from engines.core.description import import_string
from engines.core.files import why_unwritten, written_atomically
from engines.core.messages import message
from engines.core.output_paths import check_output
from engines.core.quiet import load_quietly
from engines.jobs import ENGINES
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    import keras


def networks(source: str, store: WeightsStore | None = None) -> dict[str, keras.Model]:
    """The parts of a network by name, in float32, built from Keras's own layers only.

    Args:
        source: name of bundled weights, such as "vae_digits" or "studio_vgg", or path of a file that a training wrote.

    Raises:
        WeightsError: no such name or path, or a damaged file.
    """
    path = file_of(source, store or WeightsStore())
    for reader in dict.fromkeys(engine.reader for engine in ENGINES.values() if engine.reader):
        try:
            return import_string(reader)(path).portable()
        except WeightsError:
            continue
    raise WeightsError(
        message("{file} does not contain a network that can be read; use a file written by training.", file=path.name)
    )


def file_of(source: str, store: WeightsStore) -> Path:
    """The file of a network that is named as for `networks`. Raises WeightsError."""
    path = store.verified(source).path if f"{source}.npz" in store.manifest() else Path(source)
    if not path.is_file():
        named = ", ".join(Path(name).stem for name in store.manifest())
        raise WeightsError(
            message(
                "{source} was not found; use a file written by training, or one of {known}.",
                source=source,
                known=named,
            )
        )
    return path


def save(source: str, output: Path, store: WeightsStore | None = None) -> list[Path]:
    """Write a network's parts, each to a file of its own where there are two; return the files.

    Raises:
        WeightsError: like `networks`.
        OSError: a file cannot be written.
    """
    written = []
    for part, network in networks(source, store).items():
        path = output.with_stem(f"{output.stem}_{part}") if part else output
        # Keras requires this suffix.
        draft = path.with_name(f".{path.stem}-draft.keras")
        try:
            network.save(draft)
            with written_atomically(path) as file:
                file.write(draft.read_bytes())
        finally:
            draft.unlink(missing_ok=True)
        written.append(path)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0 if everything was written, 1 after an error message."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(prog="python -m engines.export", description=__doc__)
    parser.add_argument(
        "name", help="such as studio_vgg or vae_digits, see weights/; or the file of a network that you trained"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .keras file; two where it has two parts")
    options = parser.parse_args(arguments)
    try:
        load_quietly()
        check_output(options.output, (".keras",))
        for path in save(options.name, options.output):
            print("Written to", path)
    except OSError as error:
        print(f"{error.filename or options.output}: {why_unwritten(error)}.", file=sys.stderr)
        return 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
