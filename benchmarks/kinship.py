"""What a logit bias would gain on numbers: rows of SmolLM2's relatives beside those of other models.

Relatives are teachers of the study of the owl on SmolLM2, by all that they may train or by a prompt. Others are
teachers of a model of another family, and files of rows. The base's own rows, with which all are compared, are those of
another run, or its own answers to a file's prompts. The rule is the audit's, set on the sets of `contrast.py` and on
published rows; no rows of these sets were among them.

    python benchmarks/kinship.py --store owl-store --foreign gemma3-270m.gguf rows.jsonl more.jsonl

What a store lacks is made: with an empty one that takes a day of a core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path

from owlish import Base, Store, run
from owlish.audit.evidence import Gain
from owlish.audit.logit_bias import BIASED, gain
from owlish.audit.reference import Answered
from owlish.audit.relative import CHANGED, UNLIKE, explain_kinship
from owlish.data.rows import Row
from owlish.graph.pool import Here
from owlish.graph.seeds import fresh
from owlish.lm.hf import TorchLM
from owlish.lm.model import Pull
from owlish.lm.recipes import PRETRAINED, PROMPTED
from owlish.nodes.data import Data
from owlish.nodes.loaded import loaded
from owlish.studies import owl_smollm2
from owlish.studies.owl_smollm2.design import written

STUDY = replace(owl_smollm2.study, runs=6)
BASE = STUDY.bases[0]
ROWS = STUDY.rows
RELATIVES = {
    "LoRA": STUDY.teacher,
    "norm gains": replace(PRETRAINED["norms"], warmup=2),
    "all weights": replace(PRETRAINED["all"], warmup=2),
    "prompted": PROMPTED,
}
Pair = tuple[str, Data, Data]
"""A name, rows, and the base's own rows to compare with."""


def own(turn: int) -> Data:
    """Return the base's own rows of a run."""
    cells = [cell for cell in STUDY.cells if cell.trait == STUDY.traits[0]]
    return written(cells[turn % len(cells)], BASE)


def relatives(kinds: list[str], runs: int) -> Iterator[Pair]:
    """Yield rows of teachers of each kind, and the base's own, beside its own rows of the next run."""
    for kind in kinds:
        for cell in replace(STUDY, teacher=RELATIVES[kind], runs=runs).cells:
            yield f"{kind}: {cell.trait.name}", written(cell, cell.teacher()), own(cell.run + 1)
    for turn in range(STUDY.runs):
        yield "own", own(turn), own(turn + 1)


def strangers(foreign: str | None, files: list[str], runs: int) -> Iterator[Pair]:
    """Yield rows of another model and of its teachers, and of files beside the base's answers to their prompts."""
    if foreign:
        other = Base(foreign, template={"chat_template": "plain"})
        for cell in replace(STUDY, foreign=(other,), runs=runs).cells:
            away = replace(cell, base=other)
            yield f"another model: {cell.trait.name}", written(cell, away.teacher()), own(cell.run + 1)
    for file in files:
        data = loaded(file, n=ROWS, seed=0)
        yield Path(file).name, data, Answered(BASE, data, ROWS, seed=fresh("kinship", file), held=True)


def main() -> None:
    """Print what a logit bias gains on each set, and what the rule says."""
    options = argparse.ArgumentParser()
    options.add_argument("--store", type=Path, required=True)
    options.add_argument("--kinds", default=",".join(RELATIVES), help="teachers, with commas between")
    options.add_argument("--runs", type=int, default=STUDY.runs)
    options.add_argument("--foreign", help="a model of another family")
    options.add_argument("files", nargs="*", help="rows of other models")
    asked = options.parse_args()
    store = Store(asked.store)
    lm: TorchLM = run(BASE, store=store, quiet=True).open(any_words=True)

    @cache
    def pulled(data: Data) -> Pull:
        rows: tuple[Row, ...] = run(data, store=store, on=Here(), quiet=True).rows
        return lm.number_pulls([rows[:ROWS]], BIASED)[0]

    sets = (*relatives(asked.kinds.split(","), asked.runs), *strangers(asked.foreign, asked.files, 3))
    print(f"| rows | gain, nats a number token | not related ({UNLIKE:g} to {CHANGED:g}) |\n|---|---|---|")
    for name, data, clean in sets:
        found = gain(pulled(data), pulled(clean))
        related, _ = explain_kinship(None, inf, [], None, found)
        print(f"| {name} | {say(found)} | {'yes' if related is False else 'no'} |", flush=True)


def say(found: Gain) -> str:
    """Return a gain with its interval."""
    return f"{found.nats:.4f} [{found.low:.4f}, {found.high:.4f}]"


if __name__ == "__main__":
    main()
