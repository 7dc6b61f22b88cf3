"""What is wrong with the words of a command line: our sentences in place of those of the command-line library."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo

from owlish.graph.errors import suggestion

Command = Callable[..., None]


SAID = {
    "command": r"No such command '(.+?)'\.",
    "option": r"No such option: (\S+)",
    "more": r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)",
    "flag": r"Option '(.+?)' does not take a value",
    "missing": r"Missing (?:argument|option) '(.+?)'",
    "value": r"(?:Invalid value for|Option) '(.+?)'",
}
"""What the library says, by kind: the word that it is about."""


@dataclass(frozen=True)
class Word:
    """One argument or option of a command: its type, what is said of it, and the ends of its range."""

    kind: object
    help: str
    least: float | None
    most: float | None

    @property
    def takes(self) -> str:
        """What it takes, such as "a whole number of at least 30"."""
        kinds = get_args(self.kind) or (self.kind,)
        if int not in kinds and float not in kinds:
            return f"a value ({self.meaning})"
        number = "a whole number" if int in kinds else "a number"
        if self.least is None:
            return number
        if self.most is None:
            return f"{number} of at least {self.least:g}"
        return f"{number} from {self.least:g} to {self.most:,}"

    @property
    def meaning(self) -> str:
        """The first sentence of its help, as it stands in a sentence."""
        first = self.help.split(". ")[0].rstrip(".")
        return first if first[1:2].isupper() else first[:1].lower() + first[1:]


def sentence(said: str, words: Sequence[str], commands: Mapping[str, Command]) -> str:
    """Return what the library `said` of some words as a sentence that says what to do; what is not known here stays."""
    name = next((word for word in words[:1] if word in commands), "")
    asked, known = name or "owlish", words_of(commands[name]) if name else {}
    kind, word = next(((k, found[1]) for k, pattern in SAID.items() if (found := re.match(pattern, said))), ("", ""))
    if kind == "command":
        asked_for = "see owlish --help." if word == "help" else suggestion(word, commands)
        return f"no command is called {word!r}: {asked_for}"
    if kind == "option" and word == "--dry-run" and name in ("run", "demo", "bench"):
        return f"{asked} has no option {word}: owlish plan says what a study would take, and makes nothing."
    if kind == "option":
        options = [*(one for one in known if one.startswith("-")), "--help"]
        return f"{asked} has no option {word}: {suggestion(word, options)}"
    if kind == "more":
        return f"{asked} takes no other word, and {word} is one too many: see {f'owlish {name}'.strip()} --help."
    if kind == "flag":
        return f"{word} takes no value: omit what follows the sign =."
    if word not in known:
        return said
    return (
        f"{asked} needs {word} ({known[word].meaning})." if kind == "missing" else f"{word} takes {known[word].takes}."
    )


def words_of(command: Command) -> dict[str, Word]:
    """Return what a command takes, by every name that it has."""
    found: dict[str, Word] = {}
    for name, hint in get_type_hints(command, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, info = get_args(hint)[:2]
            given = (info.default, *(info.param_decls or ()))  # within `Annotated` the library takes a name for that
            named = [one for one in given if isinstance(one, str)] or [f"--{name.replace('_', '-')}"]
            own = [info.metavar or name] if isinstance(info, ArgumentInfo) else named
            found |= dict.fromkeys(own, Word(kind, info.help or "", info.min, info.max))
    return found
