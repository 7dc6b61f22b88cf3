"""Commands about what is installed: lists, new bases, health."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from owlish.cli import find
from owlish.cli.options import STORE, AsJson, StorePlace, TemplateWords
from owlish.cli.output import Lost
from owlish.cli.running import check_page, words
from owlish.graph.errors import UserError
from owlish.graph.store import store_at
from owlish.graph.tabled import on_one_line


def list_(
    kind: Annotated[str | None, typer.Argument(help="What to list. Default: what can be listed.")] = None,
    base: Annotated[str | None, typer.Option(help="The base whose words to list.")] = None,
    store: StorePlace = STORE,
    as_json: AsJson = False,
) -> None:
    """List what is shipped, or the words that a base has a token of its own for."""
    if kind == "words" and base is None:
        raise UserError("whose words? Name a base, as in owlish list words --base nano.")
    if kind != "words" and base is not None:
        raise UserError("--base names a base whose words to list: write owlish list words, or omit it.")
    found = words(find.base(base), store_at(store)) if base is not None else find.list_kind(kind)
    wide = max(map(len, found), default=0) + 2
    print(json.dumps([*found]) if as_json else "\n".join(f"{n:<{wide}}{said}".rstrip() for n, said in found.items()))


def pretrain(
    name: Annotated[str, typer.Argument(help="The base to train: nano.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    seed: Annotated[int, typer.Option(min=0, help="The seed of weights and data.")],
    data_seed: Annotated[int | None, typer.Option(min=0, help="The seed of the data, if it differs.")] = None,
    width: Annotated[int, typer.Option(min=8, help="The width of the model, a multiple of 8.")] = 64,
) -> None:
    """Train a base from scratch: another initialisation, another data order, or another width."""
    if name != "nano":
        raise UserError(f"no base called {name!r} can be trained from scratch: nano can.")
    if width % 8:
        raise UserError(f"the width is {width}: give a multiple of 8.")
    if output.exists():
        raise UserError(f"{output} is there already: give a folder that is not.")
    check_page(output)
    from owlish.graph.progress import counting
    from owlish.nano.pretrain import pretrain as train

    begun = time.monotonic()
    # Under another name until it is whole: half a base must not be found by the name that was asked for.
    scratch = output.with_name(f".{output.name}.partial")
    try:
        train(scratch, seed=seed, data_seed=data_seed, width=width, tick=counting("steps"))
    except KeyboardInterrupt:
        raise Lost from None
    scratch.rename(output)
    shown = on_one_line(output)
    print(f"{shown} holds a base, trained in {time.monotonic() - begun:.0f} s. Use it with --base {shown}.")


def doctor(
    base: Annotated[str | None, typer.Option(help="A base to try the known traps of chat models on.")] = None,
    template: TemplateWords = None,
    store: StorePlace = STORE,
    as_json: AsJson = False,
) -> None:
    """Check what this installation needs, or a base: its prompts, loss mask, end of turn, seeds."""
    if template and base is None:
        raise UserError("--template sets the chat template of the base that --base names: give it too.")
    from owlish.cli.doctor import checks, checks_of

    found = checks() if base is None else checks_of(find.base(base, template), store_at(store))
    plain = {name: {"ok": ok, "says": says} for name, ok, says in found}
    lines = [f"{'ok' if ok else 'FAIL':<5} {name}: {says}" for name, ok, says in found]
    print(json.dumps(plain) if as_json else "\n".join(lines))
    raise typer.Exit(0 if all(ok for _, ok, _ in found) else 2)
