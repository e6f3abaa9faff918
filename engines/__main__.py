"""Run an engine without the page: python -m engines NAME INPUT -o OUTPUT."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engines.core.python_version import why_unsupported

# Before importing packages that may be missing.
if why_unsupported():
    sys.exit(why_unsupported())

from tqdm import tqdm

from engines.core.configs import for_programs
from engines.core.files import why_unwritten
from engines.core.options import add_options, changed_options
from engines.core.output_paths import OutputError, check_output
from engines.core.quiet import load_quietly
from engines.imaging.images import MAX_PIXELS, digest, load_image
from engines.imaging.metadata import NO_DETAILS
from engines.imaging.video import VideoWriter
from engines.jobs import ENGINES, Job, JobExecution, Workshop, job_from_recipe
from engines.recipes import RecipeError, read_recipe, write_png, write_text


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 if the result was written, 130 if the run was stopped (the result so far is written, if there
        is one), 1 after an error message.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hide TensorFlow's start-up messages
    try:
        load_quietly()
        options = _parser().parse_args(arguments)
        _check_output(options)
        job = _job(options)
        started = Workshop.of([options.weights] if options.weights else []).start(job)
        return _run(started, options.output)
    except OSError as error:
        print(f"{error.filename or options.output}: {why_unwritten(error)}.", file=sys.stderr)
        return 1
    except ValueError as error:
        print(for_programs(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped before there was a result.", file=sys.stderr)
        return 130


# Keyed by `Engine.writes`.
_OUTPUTS = {False: "a .png file; .mp4 for a video", True: "a .txt file; its recipe is written beside it as .json"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines", description=__doc__)
    names = parser.add_subparsers(dest="engine", required=True)
    for name, engine in ENGINES.items():
        if engine.files:
            continue  # trainings have a command line of their own
        one = names.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter)
        first, *others = engine.inputs or [""]
        if first:
            one.add_argument(first, type=Path, help="the input image")
        for other in others:
            is_series = other in engine.series
            text = f"more images: the {other.replace('_', ' ')}" if is_series else f"another image: the {other}"
            option = "--" + other.replace("_", "-")
            one.add_argument(option, type=Path, help=text.replace("_", " "), nargs="+" if is_series else None)
        one.add_argument("-o", "--output", type=Path, required=True, help=_OUTPUTS[engine.writes])
        one.add_argument("--recipe", type=Path, help="repeat the recipe in this file; other options override it")
        one.add_argument("--backbone", help=f"network to use [{engine.network}]")
        folder = os.environ.get("REVERIE_WEIGHTS")
        one.add_argument("--weights", type=Path, default=folder, help="folder of weights [$REVERIE_WEIGHTS]")
        add_options(one, engine.config_class)
    return parser


def _files(options: argparse.Namespace) -> dict[str, Path]:
    """Image files by input name."""
    engine = ENGINES[options.engine]
    files: dict[str, Path] = {}
    for name in engine.inputs:
        value = getattr(options, name)
        if name in engine.series:
            files |= {f"{name}_{number}": file for number, file in enumerate(value or [], 1)}
        elif value:
            files[name] = value
    return files


def _check_output(options: argparse.Namespace) -> None:
    """Check that the output can be written later.

    Raises:
        OutputError: like `check_output`, or the recipe would overwrite a file that is not a recipe.
    """
    writes, output = ENGINES[options.engine].writes, options.output
    read = [*_files(options).values(), *([options.recipe] if options.recipe else [])]
    check_output(output, (".txt",) if writes else (".png", ".mp4"), read)
    if writes:
        sidecar = output.with_suffix(".json")
        check_output(sidecar, (".json",), read)
        if sidecar.is_file() and not _has_recipe(sidecar):
            raise OutputError(f"{sidecar} is another file, which the recipe would replace; give the text another name.")


def _has_recipe(path: Path) -> bool:
    try:
        return read_recipe(path) is not None
    except RecipeError:
        return False


def _job(options: argparse.Namespace) -> Job:
    engine = ENGINES[options.engine]
    files = _files(options)
    images = {
        name: load_image(file, max_pixels=MAX_PIXELS, background=engine.background(name.rpartition("_")[0]))
        for name, file in files.items()
    }
    inputs = {name: image.pixels for name, image in images.items()}
    first = images.get(engine.first_input)
    shared: dict[str, Any] = {
        "details": first.details if first else NO_DETAILS,
        "notices": tuple(f"{files[name].name}: {notice}" for name, image in images.items() for notice in image.notices),
    }
    changed = changed_options(options, engine.config_class)
    if not options.recipe:
        return Job(
            engine=options.engine,
            config=engine.config_class(**changed),
            inputs=inputs,
            backbone=options.backbone or engine.network,
            **shared,
        )
    if not options.recipe.is_file():
        raise RecipeError(f"There is no file {options.recipe.name}.")
    recipe = read_recipe(options.recipe)
    if recipe is None:
        raise RecipeError(f"There is no recipe in {options.recipe.name}.")
    if recipe.engine != options.engine:
        raise RecipeError(f"{options.recipe.name} was made by {recipe.engine[:40]}, not by {options.engine}.")
    job = dataclasses.replace(job_from_recipe(recipe, inputs), **shared)
    for name, expected in recipe.inputs.items():
        if name not in inputs or digest(inputs[name]) != expected:
            print(f"Note: the {name} is not the one that the recipe was made with.", file=sys.stderr)
    if changed or options.backbone:
        # The recorded steering does not fit a run with other settings.
        config = dataclasses.replace(job.config, **changed)
        backbone = options.backbone or job.backbone
        return Job(engine=job.engine, config=config, inputs=inputs, backbone=backbone, **shared)
    return job


def _run(started: JobExecution, output: Path) -> int:
    video, stopped = None, False
    wants_video, writes = output.suffix.lower() == ".mp4", ENGINES[started.job.engine].writes
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        bar_format = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
        with tqdm(unit="step", bar_format=bar_format, disable=None) as bar:  # only in a terminal
            for frame in started:
                bar.total = frame.total
                bar.set_postfix({name: f"{value:.3g}" for name, value in frame.metrics.items()}, refresh=False)
                bar.update(frame.step - bar.n)
                if wants_video and frame.keyframe and frame.image is not None:
                    video = video or VideoWriter(output, _video_size(started, frame.image))
                    video.add(frame.image)
    except KeyboardInterrupt:
        stopped = True
    except OSError as error:
        return _write_to_temporary(started, video, output, error)
    except Exception:
        if video:
            video.discard()
        raise
    finally:
        started.close()
    last = started.last
    if last is None or (last.image is None and not writes) or (wants_video and video is None):
        raise KeyboardInterrupt
    try:
        _write(started, video, output)
    except OSError as error:
        return _write_to_temporary(started, video, output, error)
    _print_notices(started.notices)
    what = "text" if writes else "image"
    print(f"{f'Stopped; the {what} so far is' if stopped else 'Written to'} {output}", file=sys.stderr)
    return 130 if stopped else 0


def _print_notices(notices: Iterable[str]) -> None:
    for sentence in notices:
        print(f"Note: {sentence}", file=sys.stderr)


def _write(started: JobExecution, video: VideoWriter | None, output: Path) -> None:
    """Write the result: a video, a text or an image."""
    last = started.last
    assert last is not None
    if video:
        video.finish(started.recipe.to_json())
    elif ENGINES[started.job.engine].writes:
        write_text(output, last.text, started.recipe)
    elif last.image is not None:
        details = NO_DETAILS if started.job.makes_sheet else started.job.details
        write_png(output, last.image, started.recipe, details)


def _write_to_temporary(started: JobExecution, video: VideoWriter | None, output: Path, error: OSError) -> int:
    """Write a result to the temporary folder because its output failed; for a video, only the last image.

    Raises:
        OSError: there is no result, or it cannot be written there either.
    """
    if video:
        video.discard()
    last = started.last
    if last is None or (last.image is None and not ENGINES[started.job.engine].writes):
        raise error
    is_video = output.suffix.lower() == ".mp4"
    rescued = Path(tempfile.mkdtemp(prefix="reverie-")) / f"result{'.png' if is_video else output.suffix}"
    _write(started, None, rescued)
    what = "its last image, whose recipe makes it again," if is_video else "it"
    print(f"{output} could not be written: {why_unwritten(error)}; {what} is in {rescued}.", file=sys.stderr)
    _print_notices(started.notices)
    return 1


def _video_size(started: JobExecution, image) -> tuple[int, int]:
    """Width and height of a video: the size of its largest image, as the images of a run may grow."""
    if not started.job.inputs or ENGINES[started.job.engine].sheet:
        return image.shape[1], image.shape[0]
    first = next(iter(started.job.inputs.values()))
    longest = max(getattr(started.job.config, "size", 0) or max(first.shape[:2]), max(image.shape[:2]))
    scale = longest / max(first.shape[:2])
    return round(first.shape[1] * scale), round(first.shape[0] * scale)


if __name__ == "__main__":
    sys.exit(main())
