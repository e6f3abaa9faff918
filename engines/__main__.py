"""Run an engine without the page: python -m engines NAME INPUT -o OUTPUT."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from tqdm import tqdm

from engines.films import Film
from engines.jobs import ENGINES, Job, StartedJob, Workshop, job_from_recipe
from engines.options import add_options, changed_options
from engines.parts.pictures import MAX_PIXELS, digest, read_picture
from engines.parts.weights import WeightsStore
from engines.quiet import load_quietly
from engines.recipes import RecipeError, read_recipe, write_png, write_text


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 when the result was written, 130 when it was stopped (the picture so far is written, if
        there is one), 1 after a one-sentence error.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes are no news to a person
    load_quietly()
    options = _parser().parse_args(arguments)
    try:
        job = _job(options)
        folders = (options.weights,) if options.weights else ()
        started = Workshop(WeightsStore(folders=folders)).start(job)
        return _run(started, options.output)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped before there was anything to keep.", file=sys.stderr)
        return 130


# By whether an engine writes.
_OUTPUTS = {False: "a .png file; .mp4 for a film", True: "a .txt file; what made it is written beside it as .json"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines", description=__doc__)
    names = parser.add_subparsers(dest="engine", required=True)
    for name, engine in ENGINES.items():
        if engine.files:
            continue  # trainings have a command line of their own
        one = names.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter)
        if engine.inputs:
            one.add_argument(engine.inputs[0], type=Path, help="the picture to work on")
        for other in engine.inputs[1:]:
            many = other in engine.series
            text = f"more pictures: the {other.replace('_', ' ')}" if many else f"another picture: the {other}"
            option = "--" + other.replace("_", "-")
            one.add_argument(option, type=Path, help=text.replace("_", " "), nargs="+" if many else None)
        one.add_argument("-o", "--output", type=Path, required=True, help=_OUTPUTS[engine.writes])
        one.add_argument("--recipe", type=Path, help="repeat what made this file; options given beside it win")
        one.add_argument("--backbone", help=f"network to use [{engine.network}]")
        folder = os.environ.get("REVERIE_WEIGHTS")
        one.add_argument("--weights", type=Path, default=folder, help="folder of weights [$REVERIE_WEIGHTS]")
        add_options(one, engine.config_class)
    return parser


def _job(options: argparse.Namespace) -> Job:
    engine = ENGINES[options.engine]
    files: dict[str, Path] = {}
    for name in engine.inputs:
        given = getattr(options, name)
        if name in engine.series:
            files |= {f"{name}_{number}": file for number, file in enumerate(given or [], 1)}
        elif given:
            files[name] = given
    inputs = {name: read_picture(file, max_pixels=4 * MAX_PIXELS) for name, file in files.items()}
    changed = changed_options(options, engine.config_class)
    if not options.recipe:
        return Job(
            engine=options.engine,
            config=engine.config_class(**changed),
            inputs=inputs,
            backbone=options.backbone or engine.network,
        )
    if not options.recipe.is_file():
        raise RecipeError(f"There is no file {options.recipe.name}.")
    recipe = read_recipe(options.recipe)
    if recipe is None:
        raise RecipeError(f"There is no recipe in {options.recipe.name}.")
    if recipe.engine != options.engine:
        raise RecipeError(f"{options.recipe.name} was made by {recipe.engine[:40]}, not by {options.engine}.")
    job = job_from_recipe(recipe, inputs)
    for name, expected in recipe.inputs.items():
        if name not in inputs or digest(inputs[name]) != expected:
            print(f"Note: the {name} is not the one that the recipe was made with.", file=sys.stderr)
    if changed or options.backbone:
        # Other settings make another run, in which the recorded changes would come at the wrong moments.
        config = dataclasses.replace(job.config, **changed)
        return Job(engine=job.engine, config=config, inputs=inputs, backbone=options.backbone or job.backbone)
    return job


def _run(started: StartedJob, output: Path) -> int:
    film, stopped = None, False
    wants_film, writes = output.suffix.lower() == ".mp4", ENGINES[started.job.engine].writes
    if writes and output.suffix.lower() != ".txt":
        raise ValueError("The output must be a .txt file.")
    if not writes and output.suffix.lower() not in (".png", ".mp4"):
        raise ValueError("The output must be a .png file, or a .mp4 file for a film.")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        form = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
        with tqdm(unit="step", bar_format=form, disable=None) as bar:  # only in a terminal
            for frame in started:
                bar.total = frame.total
                bar.set_postfix({name: f"{value:.3g}" for name, value in frame.metrics.items()}, refresh=False)
                bar.update(frame.step - bar.n)
                if wants_film and frame.keyframe and frame.image is not None:
                    film = film or Film(output, _film_size(started, frame.image))
                    film.add(frame.image)
    except KeyboardInterrupt:
        stopped = True
    except Exception:
        if film:
            film.discard()
        raise
    finally:
        started.close()
    last = started.last
    if last is None or (last.image is None and not writes) or (wants_film and film is None):
        raise KeyboardInterrupt
    if writes:
        write_text(output, last.text, started.recipe)
    elif film:
        film.finish(started.recipe.to_json())
    elif last.image is not None:
        write_png(output, last.image, started.recipe)
    what = "text" if writes else "picture"
    print(f"{f'Stopped; the {what} so far is' if stopped else 'Written to'} {output}", file=sys.stderr)
    return 130 if stopped else 0


def _film_size(started: StartedJob, image) -> tuple[int, int]:
    """Width and height of a film: a zoom film's pictures are full size; that of one run grows up to its last."""
    if not started.job.inputs or ENGINES[started.job.engine].sheet:
        return image.shape[1], image.shape[0]
    first = next(iter(started.job.inputs.values()))
    longest = max(getattr(started.job.config, "size", 0) or max(first.shape[:2]), max(image.shape[:2]))
    scale = longest / max(first.shape[:2])
    return round(first.shape[1] * scale), round(first.shape[0] * scale)


if __name__ == "__main__":
    sys.exit(main())
