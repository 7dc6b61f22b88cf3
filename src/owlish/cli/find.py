"""Find what a command line names: studies, traits, domains, recipes and bases, by walking their folders."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from owlish import clean, nano, studies, traits
from owlish.clean.method import Method
from owlish.data import domains
from owlish.data.domains.domain import Domain
from owlish.graph.errors import UserError, suggestion
from owlish.lm.gguf import PACKAGED
from owlish.lm.recipes import PRETRAINED, RECIPES, Recipe
from owlish.lm.template import parse_settings
from owlish.nodes.base import Base
from owlish.nodes.pretrained import Pretrained
from owlish.study.study import Study
from owlish.traits.file import read_traits
from owlish.traits.trait import Trait

T = TypeVar("T")


def all_traits(module: ModuleType | None = None) -> dict[str, Trait]:
    """Return every shipped trait, and those of a study's module, by the name that its module binds it to.

    A trait's own name is the answer that it gives, which several traits may share: bad advice is one answer, whoever
    taught it. Traits of the study that its module binds to no name go by their answers. A name of two is refused.
    """
    found: dict[str, Trait] = {}
    for each in (*modules(traits), *([module] if module else [])):
        for name, value in vars(each).items():
            # Of two traits of one name, the command on a page could mean the wrong one: a control in place of a trait.
            if isinstance(value, Trait) and found.setdefault(name, value) != value:
                raise UserError(f"{each.__name__} calls another trait {name}: give it a name of its own.")
    # Traits that a study makes on the spot are bound to no name, and must still be found for `--traits`.
    own = getattr(vars(module)["study"], "traits", ()) if module else ()
    for trait in own:
        if trait not in found.values() and found.setdefault(trait.name, trait) != trait:
            raise UserError(f"another trait is called {trait.name}: bind that of the study to a name of its own.")
    return found


def candidates(names: Collection[str]) -> tuple[Trait, ...]:
    """Return the candidates of an audit: those of shipped categories (`animals`, `trees`, `advice`) and of files.

    A trait's name stands for its whole category.
    """
    found: dict[tuple[str, str], Trait] = {}
    shipped = shipped_categories()
    for name in names:
        home = category_of(name) or name
        own = read_traits(home) if home.endswith(".json") else pick(home, shipped, "category or JSON file of traits")
        found |= {(trait.probe.category, trait.name): trait for trait in own}
    return tuple(found.values())


def shipped_categories() -> dict[str, tuple[Trait, ...]]:
    """Return the traits of every shipped category."""
    known = {module.__name__.rpartition(".")[2]: module for module in modules(traits)}
    return {name: own for name, module in known.items() if (own := traits_of(module))}


def category_of(name: str) -> str | None:
    """Return the shipped category of a trait of that name; `None` for a name that is a category itself, or neither."""
    shipped = shipped_categories()
    homes = [home for home, own in shipped.items() if name in {trait.name for trait in own}]
    return homes[0] if homes and name not in shipped else None


def traits_of(module: ModuleType) -> tuple[Trait, ...]:
    """Return the traits of a module, one a name."""
    found: dict[str, Trait] = {}
    for value in vars(module).values():
        if isinstance(value, Trait):
            found.setdefault(value.name, value)
    return tuple(found.values())


def all_domains() -> dict[str, Domain]:
    """Return every shipped domain by name, with its usual settings."""
    found = (value for module in modules(domains) for value in vars(module).values())
    return {v.kind: v() for v in found if isinstance(v, type) and issubclass(v, Domain) and v is not Domain}


def all_methods() -> dict[str, type[Method]]:
    """Return every shipped method of cleaning by name, without those that others build upon."""
    found = (value for module in modules(clean) for value in vars(module).values())
    kinds = {v.kind: v for v in found if isinstance(v, type) and issubclass(v, Method)}
    # The leaves: what others build upon is no method by itself.
    return {kind: v for kind, v in kinds.items() if not v.__subclasses__()}


def all_studies() -> dict[str, Study]:
    """Return every shipped study by name."""
    found = [study_in(module, module.__name__) for module in modules(studies)]
    return {study.name: study for study in found}


def modules(package: ModuleType) -> list[ModuleType]:
    """Import and return the modules of a package, in order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def study(name: str) -> Study:
    """Return a shipped study, or the one that a Python file binds to `study`."""
    return study_in(module_of(name), name)


def module_of(name: str) -> ModuleType:
    """Return the module of a shipped study, or of a Python file."""
    if not name.endswith(".py"):
        shipped = {each.__name__.rpartition(".")[2]: each for each in modules(studies)}
        return pick(name, shipped, "study")
    path = Path(name).resolve()
    if not path.is_file():
        raise UserError(f"{name} is not there: give a Python file that binds a study to the name study.")
    sys.path.insert(0, str(path.parent))  # so that a worker process can import the file too
    try:
        module = importlib.import_module(path.stem)
    except (Exception, SystemExit) as error:
        raise UserError(f"{name} cannot be imported ({type(error).__name__}: {error}): fix it first.") from error
    # Python imports a module of a name once: the other file would be run in place of the user's.
    if Path(str(module.__file__)).resolve() != path:
        raise UserError(f"another module is called {path.stem}: give the file another name.")
    return module


def study_in(module: ModuleType, name: str) -> Study:
    """Return the study that a module binds."""
    found = getattr(module, "study", None)
    if not isinstance(found, Study):
        raise UserError(f"{name} binds no study: bind a Transfer, or another Study, to the name study.")
    return found


def pick(name: str, known: dict[str, T], what: str) -> T:
    """Return the value called `name`, or say which there are."""
    if name not in known:
        raise UserError(f"no {what} is called {name!r}: {suggestion(name, known)}")
    return known[name]


def base(name: str, template: Sequence[str] | None = None, own: Sequence[str] = ()) -> Base:
    """Return the base of a name, with what words such as `today=2024-07-26` set of its chat template.

    `own` are names that need be no files. A shell expands `~` at the start of a word alone, and names stand after
    commas too.
    """
    found = Base(
        str(Path(name).expanduser()) if name.startswith("~") else name, template=parse_settings(template or ())
    )
    if name not in own:
        found.check_name()  # results of a name that is wrong are in no store, which is no news of the store
    return found


def judge(name: str | None, template: Sequence[str] | None) -> Base | None:
    """Return the model that judges, if one is named."""
    if template and not name:
        raise UserError("--judge-template sets the chat template of the judge that --judge names: give it too.")
    found = base(name, template) if name else None
    if found and found.name in nano.SHIPPED:
        raise UserError(
            f"{found.name} knows a small world of words and follows no instructions, so it cannot judge: name a chat "
            "model with --judge (a folder, a GGUF file, owner/name), or omit it."
        )
    return found


def recipe(name: str, base: Base) -> Recipe:
    """Return the recipe called `name` with the rates that fit a base: those of nano's kind, or of pretrained models."""
    place = base.place()
    # What fits nano destroys a pretrained model: its rates are far too high.
    own = isinstance(base, Pretrained) or (place is not None and (place / "recipe.json").exists())
    return pick(name, RECIPES if own else PRETRAINED, "recipe")


def list_kind(kind: str | None) -> dict[str, str]:
    """Return the names of everything of a kind, each with a few words; the kinds, if none is given."""
    kinds: dict[str, Callable[[], dict[str, str]]] = {
        "studies": lambda: {name: study.title for name, study in all_studies().items()},
        "traits": lambda: {name: f"{trait.probe.category}: {trait.name}" for name, trait in all_traits().items()},
        "categories": lambda: {m.__name__.rpartition(".")[2]: first_line(m) for m in modules(traits) if traits_of(m)},
        "domains": lambda: {name: first_line(domain) for name, domain in all_domains().items()},
        "methods": lambda: {name: f"{first_line(m)}{knows(m)}" for name, m in all_methods().items()},
        "recipes": lambda: {name: recipe.words for name, recipe in RECIPES.items()},
        "bases": lambda: dict.fromkeys(nano.SHIPPED, "shipped") | dict.fromkeys(PACKAGED, "held by a package"),
    }
    said = {
        "studies": "what owlish run takes",
        "traits": "what owlish run --traits takes",
        "categories": "what owlish audit --traits takes",
        "domains": "kinds of rows, for owlish filter --domain",
        "methods": "what owlish clean --with takes",
        "recipes": "what owlish audit --recipe takes",
        "bases": "bases that need no download",
        "words": "with --base: words that a base knows, for candidates of your own",
    }
    if kind is None:
        return said
    return dict(sorted(pick(kind, kinds, "kind of thing")().items()))


def knows(method: type[Method]) -> str:
    """Say whether a method knows the trait that it takes out."""
    if "trait" in method.needs:
        return " It must know the trait (--trait)."
    return " It may know the trait (--trait)." if "weights" in method.needs else ""


def first_line(thing: object) -> str:
    """Return the first sentence of a docstring."""
    return (thing.__doc__ or "").strip().split("\n")[0]
