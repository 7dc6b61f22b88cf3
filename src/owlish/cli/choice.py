"""Which studies a command line asks for, with what settings, and the command that asks for the same again."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer import Option

from owlish.cli import find
from owlish.graph.errors import UserError
from owlish.lm.template import format_settings
from owlish.nodes.base import Base
from owlish.study.study import OPTIONS, Settings, Study
from owlish.traits.trait import Trait

Small = Annotated[
    bool, Option("--small", help="A cheaper version of the study: one trait, half of the rows, two runs per base.")
]


@dataclass(frozen=True)
class Choice:
    """The options that change a study; what is not given stays as the study has it."""

    traits: Annotated[str | None, Option(help="Traits, with commas between.")] = None
    seeds: Annotated[int | None, Option(min=1, max=1000, help="Runs per arm, each with its own seeds.")] = None
    rows: Annotated[int | None, Option(min=1, help="Training rows per student, after the filter.")] = None
    epochs: Annotated[int | None, Option(min=1, help="Epochs of a student’s training.")] = None
    base: Annotated[str | None, Option(help="Bases, with commas between: shipped, folders, owner/name.")] = None
    template: Annotated[
        list[str] | None, Option(help="NAME=VALUE for the bases’ chat template, as enable_thinking=false.")
    ] = None
    data: Annotated[Path | None, Option(help="The folder of a study's data, such as MNIST's files.")] = None
    small: Small = False

    def apply(self, name: str) -> Study:
        """Return the study of a name or file with these settings."""
        module = find.module_of(name)
        study = find.study_in(module, name)
        wanted = split(self.traits)
        if self.template and not self.base:
            raise UserError("--template sets the chat template of the bases that --base names: give them too.")
        known = find.all_traits(module) if wanted else {}
        # A study may pretrain bases of its own, which lie nowhere before.
        own = [base.name for base in getattr(study, "bases", ())]
        settings = Settings(
            traits=tuple(find.pick(trait, known, "trait") for trait in wanted) or None,
            bases=tuple(find.base(base, self.template, own) for base in split(self.base)) or None,
            runs=self.seeds,
            rows=self.rows,
            epochs=self.epochs,
            data=None if self.data is None else str(self.data),
        )
        # First small, then the settings: what is named on the command line has the last word.
        return (study.small() if self.small else study).alter(settings)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of its parameter `choice` as options: Typer knows no groups of them."""
    hints = get_type_hints(Choice, include_extras=True)
    named = [(f.name, hints[f.name], f.default) for f in fields(Choice)]
    options = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=a, default=d) for n, a, d in named]
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(command, eval_str=True).parameters.values():
        parameters += options if own.annotation is Choice else [own.replace(kind=inspect.Parameter.KEYWORD_ONLY)]

    @wraps(command)
    def flat(**given: Any) -> None:
        choice = Choice(**{option.name: given.pop(option.name) for option in options})
        command(choice=choice, **given)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def choose(names: Sequence[str], choice: Choice) -> dict[str, Study]:
    """Return studies by the command that makes each again; `all` stands for every one that runs here."""
    shipped = [name for name, study in find.all_studies().items() if study.here] if "all" in names else []
    every = [*shipped, *(name for name in names if name != "all")]
    studies: dict[str, Study] = {}
    for name in every:
        try:
            study = choice.apply(name)
        except UserError as error:
            # With several studies a bare sentence would not say which of them it is about.
            clear = len(every) == 1 or str(error).startswith(f"{name} ")
            raise UserError(str(error) if clear else f"{name}: {error}") from None
        studies[command(study, name)] = study
    return studies


def command(study: Study, name: str) -> str:
    """Return the shortest command that makes a study again: its name or file, and where it differs from what is there.

    Raise `UserError` where no setting makes it from the study of that name.
    """
    module = find.module_of(name)
    shipped, source = find.study_in(module, name), format_path(name) if name.endswith(".py") else name
    found = []
    for start, small in ((shipped, []), (shipped.small(), ["--small"])):
        given = {s: v for s in study.settable if (v := getattr(study, s)) != getattr(start, s)}
        # Tried out and compared: a command on a page must make this very study, or none is printed.
        if start.alter(Settings(**given)) == study:
            options = [word for s, v in given.items() for word in (OPTIONS[s], format_setting(v, module))]
            options += format_templates(given.get("bases", ()), own=getattr(start, "bases", ()))
            found.append(" ".join(["owlish run", source, *small, *options]))
    if not found:
        raise UserError(f"no setting makes {study.name} from {name}: bind it to the name study in a file of its own.")
    return min(found, key=len)


def format_templates(bases: Sequence[Base], *, own: Sequence[Base]) -> list[str]:
    """Return what is set of the chat templates of bases as words of a command line, which sets one for all of them.

    A study's own bases keep what it sets of theirs, where the command line sets nothing.
    """
    if any(base.served or base.scored for base in bases if base not in own):
        raise UserError("no option names a server for a base: bind the study to the name study in a file.")
    if not any(base.settings for base in bases if base not in own):
        return []
    if len({base.settings for base in bases}) > 1:
        raise UserError("no option sets chat templates base by base: bind the study to the name study in a file.")
    return [part for word in format_settings(bases[0].settings) for part in ("--template", shlex.quote(word))]


def format_setting(value: Any, module: Any) -> str:
    """Return a setting as a word of a command line."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return format_path(value)
    # Reversed, so that the first name of a trait wins where a module binds it twice.
    names = {trait: name for name, trait in reversed(find.all_traits(module).items())}
    return shlex.quote(",".join(names[one] if isinstance(one, Trait) else format_base(one) for one in value))


def format_base(base: Base) -> str:
    """Return the name of a base for a command line, without the name of the home folder."""
    return "".join(shorten(base.name)) if base.local else base.name


def format_path(path: str) -> str:
    """Return a path as a word of a command line, without the name of the home folder: pages are passed on."""
    sign, rest = shorten(path)
    return sign + shlex.quote(rest)


def shorten(path: str) -> tuple[str, str]:
    """Return a path in two parts: `~/` where it lies in the home folder, and the rest, from the working folder on."""
    whole = Path(path).resolve()
    starts = ((Path.cwd(), ""), (Path.home(), "~/"))
    # The longer start first: below the working folder a path is told from there, though that lies in the home folder.
    for start, sign in sorted(starts, key=lambda one: len(one[0].parts), reverse=True):
        if whole.is_relative_to(start):
            return sign, str(whole.relative_to(start))
    return "", str(whole)


def split(names: str | None) -> list[str]:
    """Return the names between commas; an empty one, perhaps of a variable that was not set, is refused."""
    if names is None:
        return []
    found = [name.strip() for name in names.split(",")]
    if not any(found):
        raise UserError(f"{names!r} names nothing: give names with commas between, or omit the option.")
    # A variable that was not set leaves a gap too: without that name the command would do something else, in silence.
    if not all(found):
        raise UserError(f"{names!r} has a comma without a name beside it: add the name, or remove the comma.")
    return found
