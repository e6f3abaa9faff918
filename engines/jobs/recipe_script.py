"""Turn a recipe into a short Python script that repeats it."""

from __future__ import annotations

import dataclasses
import pprint
import re
import shlex
from typing import Any

from engines.core.configs import fields_by_name, label_of
from engines.core.messages import message
from engines.jobs.job import Job
from engines.jobs.registry import ENGINES
from engines.jobs.replay import job_from_recipe
from engines.jobs.sweep import SweepConfig
from engines.recipes import Recipe, RecipeError

_WIDTH = 100

_READING = """\
if len(sys.argv) != 1 + len(pictures):
    sys.exit(f"Use: python {sys.argv[0]} " + " ".join(pictures))
inputs = {name: read_image(path%s) for name, path in zip(pictures, sys.argv[1:])}
for name, image in inputs.items():
    if not digest(image).startswith(pictures[name]):
        print(f"Note: the {name} is not the one that the result was made from.")
"""
_RUNNING = """\
run = workshop.start(job)
for frame in run:
    print(f"step {frame.step} of {frame.total}", end="\\r")
"""
_WRITING_VIDEO = """\
run, video = workshop.start(job), None
for frame in run:
    print(f"step {frame.step} of {frame.total}", end="\\r")
    if frame.keyframe:
        height, width = frame.image.shape[:2]
        video = video or VideoWriter(path, (width, height))
        video.add(frame.image)
"""
_FINISHING = "video.finish(run.recipe.to_json())\n"
# For a zoom video, which may have been stopped before its first image was complete.
_FINISHING_IF_STARTED = """\
if video:
    video.finish(run.recipe.to_json())
else:
    path = path.with_suffix(".png")
    write_png(path, frame.image, run.recipe)
"""


def script_of(recipe: Recipe) -> str:
    """Generate a Python script that repeats a recipe; for a training, its command line.

    The script runs in the project's folder, `python repeat.py IMAGE …` with the images in the documented order, and
    writes its result beside itself. On the same processor it produces the same pixels. All values from the recipe are
    validated and written as literals, so nothing in an untrusted recipe is executed.

    Raises:
        ValueError: an unknown engine, setting or input, or an invalid hash.
    """
    job = job_from_recipe(recipe, {})
    for sha256 in (recipe.weights, *recipe.inputs.values()):
        if not re.fullmatch(r"([0-9a-f]{64})?", sha256):
            raise RecipeError(message("This recipe is damaged: it contains an invalid SHA-256 hash."))
    if ENGINES[job.engine].files:
        return _command(job, recipe.inputs.get("data", ""))
    inputs = {name: recipe.inputs[name] for name in _in_order(job.engine, recipe)}
    parts = [_heading(job, inputs), _settings(job), _reading(job, inputs), _running(job, recipe.weights, inputs)]
    return "\n".join(filter(None, parts))


def _in_order(engine: str, recipe: Recipe) -> list[str]:
    """The names of a recipe's inputs in the engine's order."""
    description, order = ENGINES[engine], {}
    names = list(description.inputs)
    for name in recipe.inputs:
        series, _, number = name.rpartition("_")
        if series in description.series and re.fullmatch("[1-9][0-9]?", number):
            order[name] = (names.index(series), int(number))
        elif name in description.inputs and name not in description.series:
            order[name] = (names.index(name), 0)
        else:
            raise RecipeError(
                message("This recipe has the input {name!r}, which its engine does not accept.", name=name[:40])
            )
    if names and names[0] not in order:
        raise RecipeError(message("This recipe does not record which image it was made from."))
    return sorted(order, key=order.__getitem__)


def _heading(job: Job, inputs: dict[str, str]) -> str:
    engine = ENGINES[job.engine]
    usage = " ".join(["python repeat.py", *(name.upper() for name in inputs)])
    writer = "write_text" if engine.writes else "write_png"
    replace = "from dataclasses import replace\n" if job.steering else ""
    imports = [
        "from {} import {}\n".format(*engine.config.split(":")),
        "from engines.imaging.video import VideoWriter\n" if job.makes_video else "",
        "from engines.jobs import Job, Workshop\n",
        "from engines.imaging.images import digest, read_image\n" if inputs else "",
        "" if engine.video else f"from engines.recipes import {writer}\n",
    ]
    return (
        f'"""Makes a result of {job.engine} again, in Reverie\'s folder: {usage}\n\n'
        'The result is written beside this file."""\n\n'
        "import sys\n"
        f"{replace}from pathlib import Path\n\n"
        'sys.path.insert(0, ".")  # where the engines are, wherever this file is\n\n'
        f"{''.join(sorted(imports))}"
    )


def _settings(job: Job) -> str:
    name = ENGINES[job.engine].config_class.__name__
    config = _call(name, _changed(job.config, type(job.config)()))
    text = f"# Settings that are not named are as they are by default.\nconfig = {config}\n"
    if job.steering:
        changes = [
            f"    ({step!r}, {_call('replace', _changed(config, job.config), 'config', margin=4)}),\n"
            for step, config in job.steering
        ]
        text += "# After which step the settings were changed, and to what.\n"
        text += f"steering = (\n{''.join(changes)})\n"
    return text


def _reading(job: Job, inputs: dict[str, str]) -> str:
    if not inputs:
        return ""
    text = "# The pictures in their order on the command line; beside each, how the SHA-256 of its pixels begins.\n"
    lines = [f"    {name!r}: {sha256[:12]!r},  # the {name.replace('_', ' ')}\n" for name, sha256 in inputs.items()]
    masks = [name for name in inputs if name.rpartition("_")[0] in ENGINES[job.engine].masks]
    # Transparent pixels of a mask are outside of it.
    background = f', background="black" if name in {masks!r} else "white"' if masks else ""
    return f"{text}pictures = {{\n{''.join(lines)}}}\n{_READING.replace('%s', background)}"


def _running(job: Job, weights: str, inputs: dict[str, str]) -> str:
    text = "workshop = Workshop()\n"
    if weights:
        text += (
            f"network = workshop.network({job.engine!r}, {job.backbone!r})\n"
            f"if network.weights != {weights!r}:\n"
            '    sys.exit("These are not the weights that the result was made with.")\n'
        )
    options = {
        "engine": repr(job.engine),
        "config": "config",
        "inputs": "inputs" if inputs else "{}",
        "backbone": repr(job.backbone),
        "steering": "steering" if job.steering else "",
        "stop_at": "" if job.stop_at is None else repr(job.stop_at),
        "interruptions": repr(job.interruptions) if job.interruptions else "",
    }
    text += f"job = Job({', '.join(f'{name}={value}' for name, value in options.items() if value)})\n"
    if job.makes_video:
        suffix, steps = ".mp4", _WRITING_VIDEO + (_FINISHING if ENGINES[job.engine].video else _FINISHING_IF_STARTED)
    elif ENGINES[job.engine].writes:
        suffix, steps = ".txt", _RUNNING + "write_text(path, frame.text, run.recipe)\n"
    else:
        suffix, steps = ".png", _RUNNING + "write_png(path, frame.image, run.recipe)\n"
    return f'{text}path = Path(__file__).with_suffix("{suffix}")\n{steps}print("Written to", path)\n'


def _changed(config: Any, defaults: Any) -> dict[str, Any]:
    """The fields of a config that differ from those of `defaults`."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    changed = {name: value for name, value in values.items() if value != getattr(defaults, name)}
    if isinstance(config, SweepConfig) and "settings" in changed:
        # The shared settings have their own defaults.
        default = type(config)().settings
        changed["settings"] = {name: value for name, value in config.settings.items() if value != default[name]}
    return changed


def _call(function: str, options: dict[str, Any], *first: str, margin: int = 0) -> str:
    """Source of a call with validated values as keyword arguments, one a line."""
    if not options:
        return f"{function}({', '.join(first)})"
    indent = " " * (margin + 4)
    arguments = [*first, *(f"{name}={_literal(value, margin + 5 + len(name))}" for name, value in options.items())]
    return f"{function}(\n" + "".join(f"{indent}{argument},\n" for argument in arguments) + f"{' ' * margin})"


def _literal(value: Any, column: int) -> str:
    """The `repr` of a validated value, wrapped and indented to a column if it is long."""
    lines = pprint.pformat(value, width=max(40, _WIDTH - column), compact=True, sort_dicts=False).splitlines()
    return ("\n" + " " * column).join(lines)


def _command(job: Job, data: str) -> str:
    """The command line of a training, with comments about what it cannot repeat."""
    name, model = ENGINES[job.engine].makes, job.config.model
    # Omit the model's own defaults too.
    config, defaults = job.config, type(job.config)(model=model)
    if hasattr(config, "filled"):
        config, defaults = config.filled(), defaults.filled()
    lines = [f"# DATA is the file whose SHA-256 begins with {data[:12]}."] if data else []
    for step, settings in job.steering:
        changes = _changed(settings, job.config).items()
        changed_text = ", ".join(f"{field} = {value!r}" for field, value in changes) or "nothing"
        lines.append(f"# After step {step!r} it was changed, which this does not do again: {changed_text}")
    if job.stop_at is not None:
        lines.append(f"# It was stopped after step {job.stop_at!r}: press Ctrl-C there.")
    files = f"--data DATA --output {name}.npz --checkpoint {name}-so-far.npz"
    fields = fields_by_name(config)
    options = [_option(fields[field], value) for field, value in _changed(config, defaults).items()]
    lines.append(" ".join([f"python -m engines.train {name} {files} --model {model}", *options]))
    return "\n".join(lines) + "\n"


def _option(field: dataclasses.Field, value: Any) -> str:
    name = field.name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    if not all(character.isprintable() or character in "\n\t" for character in str(value)):
        raise RecipeError(
            message("{setting} contains characters that cannot be used in a command.", setting=label_of(field))
        )
    return f"--{name}={shlex.quote(str(value))}"
