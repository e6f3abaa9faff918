"""Form controls for the fields of a config."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import gradio as gr

C = TypeVar("C")


def _identity(value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True)
class _Control:
    """A control, and how a field's value becomes what it shows and back."""

    component: Any
    show: Callable[[Any], Any]
    read: Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class _Derived:
    """Components that have a use of their own, and how a field follows from their values."""

    components: list[Any]
    read: Callable[..., Any]


class Settings(Generic[C]):
    """Controls for the fields of a config class.

    Args:
        first: the config that the controls show at first; an instance of a dataclass made of `setting`
            fields.
        prefix: what the controls' ids on the page begin with.
    """

    def __init__(self, initial: C, prefix: str):
        self.initial, self._prefix = initial, prefix
        self._fields = {field.name: field for field in dataclasses.fields(initial)}  # type: ignore[arg-type]
        self._controls: dict[str, _Control] = {}
        self._derived: dict[str, _Derived] = {}

    def hint(self, name: str) -> str:
        """A field's one-line help."""
        return self._fields[name].metadata["help"]

    def add(
        self,
        name: str,
        component: Any,
        *,
        show: Callable[[Any], Any] = _identity,
        read: Callable[[Any], Any] = _identity,
    ) -> Any:
        """Make a component the control of a field and return it.

        Args:
            show: the field's value -> what the component shows.
            read: what the component says -> the field's value; may raise ValueError with a sentence.
        """
        self._controls[name] = _Control(component, show, read)
        return component

    def derive(self, name: str, components: Sequence[Any], read: Callable[..., Any]) -> None:
        """Have a field follow from components that presets and saved settings leave alone.

        Args:
            read: the components' values -> the field's value; may raise ValueError with a sentence.
        """
        self._derived[name] = _Derived(list(components), read)

    def slider(self, name: str, label: str, low: float, high: float, step: float) -> gr.Slider:
        """A slider."""
        value = getattr(self.initial, name)
        slider = gr.Slider(
            low, high, value=value, step=step, label=label, info=self.hint(name), elem_id=f"{self._prefix}-{name}"
        )
        return self.add(name, slider)

    def number(self, name: str, label: str) -> gr.Number:
        """A box for a number."""
        value = getattr(self.initial, name)
        box = gr.Number(value, label=label, info=self.hint(name), elem_id=f"{self._prefix}-{name}", min_width=120)
        return self.add(name, box)

    def choice(self, name: str, label: str, titles: dict[str, str], **options: Any) -> gr.Dropdown:
        """A dropdown of the field's choices; `titles` has what people read as keys, the choices as values."""
        dropdown = gr.Dropdown(
            list(titles.items()),
            value=getattr(self.initial, name),
            label=label,
            info=self.hint(name),
            elem_id=f"{self._prefix}-{name}",
            **options,
        )
        return self.add(name, dropdown)

    @property
    def controls(self) -> dict[str, Any]:
        """The control of each field that has one."""
        return {name: control.component for name, control in self._controls.items()}

    @property
    def components(self) -> list[Any]:
        """The controls, in the order of `values`."""
        return [control.component for control in self._controls.values()]

    @property
    def inputs(self) -> list[Any]:
        """All that a config is read from: `components`, then those of derived fields."""
        return [*self.components, *(one for derived in self._derived.values() for one in derived.components)]

    def values(self, config: C) -> list[Any]:
        """What each control says for a config."""
        return [control.show(getattr(config, name)) for name, control in self._controls.items()]

    def updates(self, values: Sequence[Any]) -> list[Any]:
        """Updates that put values into the controls; a slider that does not reach far enough is made to."""
        updates = []
        for component, value in zip(self.components, values, strict=True):
            if isinstance(component, gr.Slider):
                low, high = min(component.minimum, value), max(component.maximum, value)
                updates.append(gr.update(value=value, minimum=low, maximum=high))
            else:
                updates.append(value)
        return updates

    def updates_for(self, config: C) -> dict[Any, Any]:
        """The updates that put a config into the controls, by control."""
        return dict(zip(self.components, self.updates(self.values(config)), strict=True))

    def by_name(self, values: Sequence[Any]) -> dict[str, Any]:
        """What the controls say, by field name."""
        return dict(zip(self._controls, values, strict=True))

    def config(self, values: Sequence[Any]) -> C:
        """The config that the controls say.

        Args:
            values: those of `inputs`; or those of `components` only, where derived fields keep their defaults.

        Raises:
            ValueError: a sentence that says which control says what it cannot mean.
        """
        own, others = values[: len(self._controls)], list(values[len(self._controls) :])
        fields = {name: control.read(value) for (name, control), value in zip(self._controls.items(), own, strict=True)}
        for name, value in fields.items():
            kind = str(self._fields[name].type)
            if value is None and "None" not in kind:
                fields[name] = self._fields[name].default  # an emptied box
            elif kind.startswith("int") and isinstance(value, float) and value.is_integer():
                fields[name] = int(value)  # what a browser sends for a whole number
        for name, derived in self._derived.items() if others else ():
            fields[name] = derived.read(*others[: len(derived.components)])
            del others[: len(derived.components)]
        return type(self.initial)(**fields)
