"""What a field may hold, read off its annotation: all else is refused, and what was written as JSON is made anew."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import repeat
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from owlish.graph.errors import UserError, suggestion

T = TypeVar("T")
Fits = Callable[[object], bool]
SHOWN = 40
"""Letters of a wrong text that an error repeats."""
PLAIN = {int: "a whole number", float: "a number", str: "text", bool: "True or False", tuple: "a tuple"}


def check_fields(value: object) -> None:
    """Raise `UserError` where a field of a dataclass holds what its annotation does not allow."""
    kind: Any = type(value)
    for name, fits, hint in fields_of(kind):
        if not fits(found := getattr(value, name)):
            raise UserError(problem(name, found, hint))


def check_is(value: object, hint: Any, name: str) -> None:
    """Raise `UserError` where an argument called `name` is not what `hint` allows."""
    if not fitting(hint)(value):
        raise UserError(problem(name, value, hint))


@cache
def fields_of(cls: Any) -> tuple[tuple[str, Fits, Any], ...]:
    """Return the name of each field of a class, what tells whether a value fits, and the annotation."""
    try:
        # Annotations are text in these modules, and to evaluate them is slow: so it is done once a class.
        hints = get_type_hints(cls)
    except NameError:  # a class inside a function, whose names are out of reach
        return ()
    return tuple((f.name, fitting(hints[f.name]), hints[f.name]) for f in fields(cls))


def from_plain(cls: type[T], plain: Any) -> T:
    """Return the dataclass that `asdict` and JSON made plain, with tuples in place of lists.

    What it has no field for is ignored: that was read off it. A field that is lacking, as in results of earlier
    versions, keeps its default.
    """
    kind: Any = cls
    return cls(**{name: revive(hint, plain[name]) for name, _, hint in fields_of(kind) if name in plain})


def revive(hint: Any, plain: Any) -> Any:
    """Return what an annotation makes of a plain value."""
    args = get_args(hint)
    if is_dataclass(hint):
        return from_plain(hint, plain)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return tuple(map(revive, repeat(args[0]) if args[-1:] == (...,) else args, plain))
    if get_origin(hint) in (Union, types.UnionType) and plain is not None:
        return revive(args[0], plain)
    return plain


def fitting(hint: Any) -> Fits:
    """Return what tells whether a value fits an annotation; one that is not known here lets everything pass."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return lambda value: value in args
    if origin in (Union, types.UnionType):
        several = tuple(map(fitting, args))
        return lambda value: any(fits(value) for fits in several)
    if origin is tuple:
        return tuple_fitting(args)
    # To Python, True is an int: as a number of rows or a seed it is a slip.
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    # A protocol lets everything pass: `isinstance` raises for one that is not made checkable.
    if isinstance(hint, type) and origin is None and not getattr(hint, "_is_protocol", False):
        return lambda value: isinstance(value, hint)
    return lambda value: True


def tuple_fitting(args: tuple[Any, ...]) -> Fits:
    """Return what tells whether a value is a tuple of such items."""
    each = tuple(fitting(arg) for arg in args if arg is not ...)
    if args[-1:] == (...,):
        return lambda value: isinstance(value, tuple) and all(map(each[0], value))
    return lambda value: (
        isinstance(value, tuple)
        and len(value) == len(each)
        and all(fits(item) for fits, item in zip(each, value, strict=True))
    )


def problem(name: str, found: object, hint: Any) -> str:
    """Say what is wrong with a field, and what to give."""
    args = get_args(hint)
    if get_origin(hint) is tuple and isinstance(found, tuple) and args[-1:] == (...,):
        return problem(f"an item of {name}", next(item for item in found if not fitting(args[0])(item)), args[0])
    classes = [one for one in (args or (hint,)) if isinstance(one, type)]
    if isinstance(found, type) and issubclass(found, tuple(classes)):
        return f"{name} is the class {found.__name__}: write {found.__name__}(...), with its arguments if it has any."
    if get_origin(hint) is Literal:
        return f"{name} is {format_value(found)}: {suggestion(str(found), list(map(str, args)))}"
    said = " or ".join(map(format_hint, args if get_origin(hint) in (Union, types.UnionType) else (hint,)))
    return f"{name} is {format_value(found)}: give {said}."


def format_hint(hint: Any) -> str:
    """Return what an annotation asks for, in words."""
    plain = get_origin(hint) or hint
    if plain in PLAIN:
        return PLAIN[plain]
    if hint is type(None):
        return "None"
    example = getattr(hint, "example", "")
    return f"{article(hint.__name__)} {hint.__name__}" + (f", such as {example}" if example else "")


def format_value(value: object) -> str:
    """Return a wrong value in a few letters."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN else f"{value[:SHOWN]}…")
    kind = type(value).__name__
    return f"the class {value.__name__}" if isinstance(value, type) else f"{article(kind)} {kind}"


def article(word: str) -> str:
    """Return the article of a word."""
    return "an" if word[0] in "aeiouAEIOU" else "a"
