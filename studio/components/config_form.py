"""Form controls for the fields of a config."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import gradio as gr

from engines.core.configs import fields_by_name, label_of
from engines.core.messages import Message

C = TypeVar("C")


def _identity(value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True)
class _Control:
    """A component, and how to convert a field's value to and from the component's."""

    component: Any
    show: Callable[[Any], Any]
    read: Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class _Derived:
    """Components from whose values a field is computed."""

    components: list[Any]
    read: Callable[..., Any]


class Settings(Generic[C]):
    """Form controls for the fields of a config class.

    Args:
        initial: config that the controls show at first; an instance of a dataclass whose fields are made with
            `setting`.
        prefix: prefix of the controls' element ids.

    Attributes:
        earlier_names: earlier name of a field -> its name, for settings that were saved with it.
    """

    earlier_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self, initial: C, prefix: str):
        self.initial, self._prefix = initial, prefix
        self._fields = fields_by_name(initial)
        self._controls: dict[str, _Control] = {}
        self._derived: dict[str, _Derived] = {}

    def label(self, name: str) -> Message:
        """Return a field's name for people."""
        return label_of(self._fields[name])

    def hint(self, name: str) -> str:
        """Return a field's one-line help."""
        return self._fields[name].metadata["help"]

    def add(
        self,
        name: str,
        component: Any,
        *,
        show: Callable[[Any], Any] = _identity,
        read: Callable[[Any], Any] = _identity,
    ) -> Any:
        """Register a component as the control of a field and return it.

        Args:
            name: the field's name.
            show: converts the field's value to the component's.
            read: converts the component's value to the field's; may raise ValueError with a message for the user.
        """
        self._controls[name] = _Control(component, show, read)
        return component

    def derive(self, name: str, components: Sequence[Any], read: Callable[..., Any]) -> None:
        """Compute a field from components that presets and saved settings do not change.

        Args:
            name: the field's name.
            components: components that belong to other parts of the tab.
            read: converts their values, passed as positional arguments, to the field's value; may raise ValueError with
                a message for the user.
        """
        self._derived[name] = _Derived(list(components), read)

    def slider(self, name: str, low: float, high: float, step: float, *, hint: bool = True) -> gr.Slider:
        """Create a slider for a field and return it; `hint=False` where the label says it all."""
        slider = gr.Slider(
            low,
            high,
            value=getattr(self.initial, name),
            step=step,
            label=self.label(name),
            info=self.hint(name) if hint else None,
            elem_id=f"{self._prefix}-{name}",
        )
        return self.add(name, slider)

    def number(self, name: str) -> gr.Number:
        """Create a number box for a field and return it."""
        box = gr.Number(
            getattr(self.initial, name),
            label=self.label(name),
            info=self.hint(name),
            elem_id=f"{self._prefix}-{name}",
            min_width=120,
        )
        return self.add(name, box)

    def choice(self, name: str, titles: dict[str, str], **options: Any) -> gr.Dropdown:
        """Create a dropdown for a field and return it.

        Args:
            titles: display title -> value, for each of the field's choices.
            options: passed to `gr.Dropdown`.
        """
        dropdown = gr.Dropdown(
            list(titles.items()),
            value=getattr(self.initial, name),
            label=self.label(name),
            info=self.hint(name),
            elem_id=f"{self._prefix}-{name}",
            **options,
        )
        return self.add(name, dropdown)

    @property
    def controls(self) -> dict[str, Any]:
        """Map each field that has a control to its component."""
        return {name: control.component for name, control in self._controls.items()}

    @property
    def components(self) -> list[Any]:
        """List the controls' components, in the order of `values`."""
        return [control.component for control in self._controls.values()]

    @property
    def inputs(self) -> list[Any]:
        """List every component that `config` reads: `components`, then those of derived fields."""
        return [*self.components, *(one for derived in self._derived.values() for one in derived.components)]

    def values(self, config: C) -> list[Any]:
        """Return the components' values that show a config."""
        return [control.show(getattr(config, name)) for name, control in self._controls.items()]

    def updates(self, values: Sequence[Any]) -> list[Any]:
        """Return updates that put values into the controls; a slider's range is widened to fit its value."""
        updates = []
        for component, value in zip(self.components, values, strict=True):
            if isinstance(component, gr.Slider):
                low, high = min(component.minimum, value), max(component.maximum, value)
                updates.append(gr.update(value=value, minimum=low, maximum=high))
            else:
                updates.append(value)
        return updates

    def updates_for(self, config: C) -> dict[Any, Any]:
        """Return updates that show a config, by component."""
        return dict(zip(self.components, self.updates(self.values(config)), strict=True))

    def by_name(self, values: Sequence[Any]) -> dict[str, Any]:
        """Map field names to the components' values."""
        return dict(zip(self._controls, values, strict=True))

    def config(self, values: Sequence[Any]) -> C:
        """Build a config from the components' values.

        Args:
            values: values of `inputs`, or of `components` only; derived fields then keep their defaults.

        Raises:
            ValueError: a value that cannot be parsed or that the config does not allow; the message names the field.
        """
        own, others = values[: len(self._controls)], list(values[len(self._controls) :])
        fields = {name: control.read(value) for (name, control), value in zip(self._controls.items(), own, strict=True)}
        for name, value in fields.items():
            kind = str(self._fields[name].type)
            if value is None and "None" not in kind:
                fields[name] = self._fields[name].default  # an emptied box
            elif kind.startswith("int") and isinstance(value, float) and value.is_integer():
                fields[name] = int(value)  # browsers send whole numbers as floats
        for name, derived in self._derived.items() if others else ():
            fields[name] = derived.read(*others[: len(derived.components)])
            del others[: len(derived.components)]
        return type(self.initial)(**fields)
