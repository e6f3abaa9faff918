"""Endpoint parameters: config fields, files and JSON values."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One value that an endpoint takes or gives.

    Attributes:
        name: as it is passed.
        hint: what it may be, as a type that JSON has.
        help: what it is, in one line.
        default: what it is where it is not passed; NEEDED where it must be.
        limits: what else its JSON schema says.
    """

    name: str
    hint: Any
    help: str
    default: Any = REQUIRED
    limits: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def describe(self, component: Any) -> None:
        """Have Gradio's component for it tell all this too: of itself it knows but the type."""
        component.label = self.name
        schema = component.api_info()
        inner = schema["oneOf"][1] if "oneOf" in schema else schema
        inner = inner["items"] if "items" in inner else inner.get("additionalProperties") or inner
        if "enum" in inner:
            inner["type"] = "string"
        inner |= self.limits
        inner.pop("required", None)  # of a file's schema: all of what Gradio knows of it
        schema |= {"description": self.help, "additional_description": self.help}


def _json_type(hint: Any) -> Any:
    """A field's type as one that JSON has: tuples become lists, mappings objects with numbers."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return list[arguments[0]]  # type: ignore[valid-type]
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return dict[str, arguments[1]]  # type: ignore[valid-type]
    return hint


def setting_parameters(config_class: type, left_out: Collection[str] = ()) -> list[Parameter]:
    """A parameter for each field of a config class made of `engines.core.configs.setting`."""
    hints = typing.get_type_hints(config_class)
    parameters = []
    for field in dataclasses.fields(config_class):
        if field.name in left_out:
            continue
        meta, hint = field.metadata, _json_type(hints[field.name])
        if meta["choices"]:
            choices: Any = Literal.__getitem__(meta["choices"])
            hint = choices | None if type(None) in typing.get_args(hint) else choices
        default = field.default if field.default is not dataclasses.MISSING else {}
        limits = {"minimum": meta["low"], "maximum": meta["high"]}
        parameters.append(
            Parameter(
                field.name,
                hint,
                meta["help"] + _limits_text(meta),
                list(default) if isinstance(default, tuple) else default,
                {name: limit for name, limit in limits.items() if limit is not None},
            )
        )
    return parameters


def _limits_text(meta: Mapping[str, Any]) -> str:
    """A field's range or choices in words, after its help."""
    low, high = (f"{limit:g}" if isinstance(limit, float) else limit for limit in (meta["low"], meta["high"]))
    if meta["choices"]:
        return f" One of {', '.join(meta['choices'])}."
    if low is None:
        return ""
    return f" From {low} to {high}." if high is not None else f" At least {low}."


def file_parameter(name: str, help: str, *, several: bool = False, needed: bool = False) -> Parameter:
    """A parameter that is a file, or a list of files."""
    if several:
        return Parameter(name, list[gr.FileData], help, REQUIRED if needed else [])
    return Parameter(name, gr.FileData, help) if needed else Parameter(name, gr.FileData | None, help, None)


def expose(
    page: gr.Blocks, function: Any, name: str, does: str, parameters: list[Parameter], returns: list[Parameter]
) -> None:
    """Make a function that takes any values an endpoint of a page.

    Args:
        function: a coroutine function or an asynchronous generator function.
        does: what it does, in a sentence.
        parameters: in the order in which it takes them.
        returns: what it returns or yields: a tuple where there are several.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    answer: Any = tuple.__class_getitem__(tuple(one.hint for one in returns)) if len(returns) > 1 else returns[0].hint
    function.__name__ = function.__qualname__ = name
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(one.name, kind, default=one.default, annotation=one.hint) for one in parameters],
        return_annotation=answer,
    )
    function.__annotations__ = {one.name: one.hint for one in parameters} | {"return": answer}
    help = [f"    {one.name}: {one.help}" for one in parameters]
    function.__doc__ = "\n".join([does, "", "Args:", *help, "Returns:", *(f"    {one.help}" for one in returns)])
    # Whoever waits here waits for a lane, and takes no thread: Gradio's queue need not hold anybody back.
    made = gr.api(function, api_name=name, concurrency_limit=None)
    for one, component in zip([*parameters, *returns], [*made["inputs"], *made["outputs"]], strict=True):
        one.describe(page.blocks[component])
