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
    """A parameter or a return value of an endpoint.

    Attributes:
        name: name of the parameter.
        hint: type that JSON can represent.
        help: one-line description.
        default: default value; REQUIRED if there is none.
        limits: further keywords of the JSON schema.
    """

    name: str
    hint: Any
    help: str
    default: Any = REQUIRED
    limits: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def describe(self, component: Any) -> None:
        """Add description and limits to Gradio's schema of the parameter, which by default holds only the type."""
        component.label = self.name
        schema = component.api_info()
        inner = schema["oneOf"][1] if "oneOf" in schema else schema
        inner = inner["items"] if "items" in inner else inner.get("additionalProperties") or inner
        if "enum" in inner:
            inner["type"] = "string"
        inner |= self.limits
        inner.pop("required", None)  # in a file's schema it lists every field that Gradio knows
        schema |= {"description": self.help, "additional_description": self.help}


def _json_type(hint: Any) -> Any:
    """Convert a field's type for JSON: tuples become lists, mappings become objects with values of the same type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return list[arguments[0]]  # type: ignore[valid-type]
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return dict[str, arguments[1]]  # type: ignore[valid-type]
    return hint


def setting_parameters(config_class: type, left_out: Collection[str] = ()) -> list[Parameter]:
    """Create a parameter for each field of a config class.

    Args:
        config_class: a dataclass whose fields are made with `engines.core.configs.setting`.
        left_out: names of fields without a parameter.
    """
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
    """Describe a field's range or choices, to be appended to its help."""
    low, high = (f"{limit:g}" if isinstance(limit, float) else limit for limit in (meta["low"], meta["high"]))
    if meta["choices"]:
        return f" One of {', '.join(meta['choices'])}."
    if low is None:
        return ""
    return f" From {low} to {high}." if high is not None else f" At least {low}."


def file_parameter(name: str, help: str, *, several: bool = False, needed: bool = False) -> Parameter:
    """Create a parameter for a file, or for a list of files."""
    if several:
        return Parameter(name, list[gr.FileData], help, REQUIRED if needed else [])
    return Parameter(name, gr.FileData, help) if needed else Parameter(name, gr.FileData | None, help, None)


def expose(
    page: gr.Blocks, function: Any, name: str, does: str, parameters: list[Parameter], returns: list[Parameter]
) -> None:
    """Expose a function as an endpoint.

    Args:
        page: the page to add it to.
        function: coroutine function or asynchronous generator function of any positional values.
        name: name of the endpoint.
        does: one-sentence summary.
        parameters: parameters, in positional order.
        returns: return values; a tuple is returned or yielded if there are several.
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
    # Waiting calls are coroutines in the run queue and take no thread, so Gradio need not limit them.
    made = gr.api(function, api_name=name, concurrency_limit=None)
    for one, component in zip([*parameters, *returns], [*made["inputs"], *made["outputs"]], strict=True):
        one.describe(page.blocks[component])
