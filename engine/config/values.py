"""One value against its description: right type, in range, or an error that says what was expected.

Knows nothing of where values come from; callers pass that as words for the message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from engine.errors import ConfigError
from engine.secrets import mask_text

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting may be.

    kind      bool, int, float, str, tuple (of strings) or dict (of strings to numbers within the bounds)
    about     what it does and why its default is what it is
    unit      unit of the value, empty where it has none
    bounds    lowest and highest value, both allowed
    choices   the values allowed; empty allows any a line of text, not empty
    flag      the command-line flag that sets it, if there is one
    optional  it may be unset (None)
    """

    kind: type
    about: str
    unit: str = ""
    bounds: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    flag: str = ""
    optional: bool = False

    @property
    def expected(self) -> str:
        """The allowed values in words."""
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        words = _KIND_IN_WORDS[self.kind]
        if self.bounds is None:
            return words
        low, high = (f"{bound:.10g}" for bound in self.bounds)
        return f"{words} from {low} to {high}" + (f" ({self.unit})" if self.unit else "")


_KIND_IN_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a line of text, not empty",
    tuple: "a list of texts",
    dict: "a table of numbers",
}


def setting(
    default: T,
    about: str,
    unit: str = "",
    bounds: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    flag: str = "",
) -> T:
    """A dataclass field that carries its own documentation and limits (see `Setting`)."""
    kind = float if default is None else type(default)
    description = Setting(kind, about, unit, bounds, choices, flag, optional=default is None)
    metadata = {"setting": description}
    if isinstance(default, dict):
        table: T = field(default_factory=lambda: dict(default), metadata=metadata)  # type: ignore[assignment]  # a copy for each
        return table
    value: T = field(default=default, metadata=metadata)
    return value


def checked(setting: Setting, key: str, value: object, where: str) -> object:
    """`value` as the setting's type. Raises `ConfigError` that says where, which key, expected and found."""
    if value is None and setting.optional:
        return None
    typed = _typed(setting.kind, value)
    if typed is None or not _allowed(setting, typed):
        raise ConfigError(f"{where}: {key} must be {setting.expected}, found {mask_text(repr(value))}")
    return typed


def parsed(setting: Setting, key: str, text: str, where: str) -> object:
    """The same for text: `true`, `12`, `0.5`, `person,car`, `person=0.5,car=0.3`. Raises `ConfigError`."""
    value: object = text
    if setting.kind is bool:
        lowered = text.strip().lower()
        value = True if lowered in _TRUE else False if lowered in _FALSE else text
    elif setting.kind is tuple:
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif setting.kind is dict:
        value = _parsed_table(text)
    elif setting.kind in (int, float):
        try:
            value = setting.kind(text)
        except ValueError:
            value = text
    return checked(setting, key, value, where)


def _parsed_table(text: str) -> object:
    """`name=number,…` as a dictionary; the text itself where it is none."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    try:
        return {name.strip(): float(number) for name, _, number in pairs}
    except ValueError:
        return text


def _typed(kind: type, value: object) -> object | None:
    """The value as `kind`, None if it is of another type. Whole numbers serve as numbers, booleans do not."""
    if kind is tuple:
        is_texts = isinstance(value, list | tuple) and all(isinstance(part, str) and part for part in value)
        return tuple(value) if is_texts and isinstance(value, list | tuple) else None
    if kind is dict:
        return _table_of_numbers(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is kind else None


def _table_of_numbers(value: object) -> dict[str, float] | None:
    if not isinstance(value, dict):
        return None
    numbers = {name: _typed(float, number) for name, number in value.items()}
    if not all(isinstance(name, str) and name and number is not None for name, number in numbers.items()):
        return None
    return {name: number for name, number in numbers.items() if isinstance(number, float)}


def _allowed(setting: Setting, value: object) -> bool:
    if isinstance(value, dict):
        return all(_allowed(setting, number) for number in value.values())
    if setting.choices:
        return value in setting.choices
    if isinstance(value, str):
        return bool(value.strip()) and value.isprintable()
    if setting.bounds is not None and isinstance(value, int | float):
        return setting.bounds[0] <= value <= setting.bounds[1]
    return True
