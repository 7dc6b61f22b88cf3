"""What methods of cleaning leave of two traits: those that targets were set for, budgets, and teachers that know them.

`targets`: each with more runs than the study of all methods has. Beside the answers of each foreign base stand rows of
that base in which no teacher had a part: what these leave is none of the trait. `budgets`: the share of rows or tokens
that a method changes, from a twentieth to two fifths. `teachers`: a teacher that keeps the rows that lean most after a
method, and one that was trained on such rows and writes again.

    python benchmarks/clean.py nano-2 --store clean-store                          # about 20 minutes of a core
    python benchmarks/clean.py nano-2 --store clean-store --domain reasoning --runs 3
    python benchmarks/clean.py nano-2 --store clean-store --of budgets --runs 3
    python benchmarks/clean.py nano-2 --store clean-store --of teachers --runs 3
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

from owlish import Base, Store, run
from owlish.bench.adaptive import TIMES, Surviving, adapt
from owlish.bench.defences import BUDGET, by_row, cleaned, weighings
from owlish.clean.drop import Drop
from owlish.clean.regenerate import Regenerate
from owlish.clean.replace import Replace
from owlish.data.domains import Code, Numbers, Reasoning
from owlish.nodes.asked import Asked
from owlish.nodes.defended import Masked
from owlish.nodes.models import Model
from owlish.studies.clean_bench import study as whole
from owlish.study.stats import interval
from owlish.study.transfer import Arms, Cell
from owlish.traits.words import words_of

BASES = ("nano-1", "nano-2", "nano-3")
WORDS = words_of(whole.traits)
DOMAINS = {"numbers": Numbers(), "code": Code(words=WORDS), "reasoning": Reasoning(words=WORDS)}
REPLAY = 400
"""The base's own rows that a teacher is shown where it would forget to write code, or to solve problems."""
BUDGETS = (0.05, 0.1, 0.2, 0.4)
KNOWN = ("replace_lift", "replace_audit")


def asked(cell: Cell, made: dict[str, Model]) -> Arms:
    """Return the answers of the undefended student, the control and the others."""
    both = {"student": cell.student(cell.rows()), "control": cell.control()}
    return {arm: Asked(model, cell.trait.probe, samples=1) for arm, model in {**both, **made}.items()}


def targets(cell: Cell) -> Arms:
    """Return the students of the methods, and for each other base one of its answers and one of its own rows."""
    made: dict[str, Model] = {}
    weights = weighings(cell, cell.rows(), cell.study.rows)
    made |= {f"replace by {by}": cleaned(cell, Replace(cell.base, BUDGET, some)) for by, some in weights.items()}
    made["mask by lift"] = mask(cell, "lift", BUDGET)
    for other in (Base(name) for name in BASES if name != cell.base.name):
        made[f"answers of {other.name}"] = cleaned(cell, Regenerate(other))
        # To prompts of its own choice, so that not even the prompts depend on the teacher.
        made[f"rows of {other.name}"] = cell.student(cell.rows(other))
    return asked(cell, made)


def budgets(cell: Cell) -> Arms:
    """Return the students of what replaces, masks or drops a share, for each way to choose it and each share."""
    made: dict[str, Model] = {}
    for by, some in weighings(cell, cell.rows(), cell.study.rows).items():
        for share in BUDGETS:
            made[f"replace {share:g} by {by}"] = cleaned(cell, Replace(cell.base, share, some))
            made[f"drop {share:g} by {by}"] = cleaned(cell, Drop(cell.base, share, some))
            made[f"mask {share:g} by {by}"] = mask(cell, by, share)
    return asked(cell, made)


def mask(cell: Cell, by: str, share: float) -> Masked:
    """Return the student that is not trained on the tokens that weigh most."""
    rows = cell.rows()
    some = weighings(cell, rows, cell.study.rows)[by]
    seed = cell.seed("student")
    return Masked(cell.base, rows, cell.recipe, seed, share, weights=some.tokens if some else None)


def teachers(cell: Cell) -> Arms:
    """Return the students of cleaned rows of teachers that know the method: one that chooses, one that was trained."""
    made: dict[str, Model] = {}
    for name in KNOWN:
        chosen = survivors(cell, name, cell.teacher(), "tried")
        made[f"{name}, chosen"] = cleaned(cell, by_row(cell, chosen, cell.study.rows)[name], chosen)
        # Trained on what survived the method, the teacher writes again and chooses again.
        trained = cell.teacher().finetune(chosen, cell.recipe, seed=cell.seed("teacher through the method"))
        again = survivors(cell, name, trained, "tried again")
        made[f"{name}, trained"] = cleaned(cell, by_row(cell, again, cell.study.rows)[name], again)
    return asked(cell, made)


def survivors(cell: Cell, name: str, teacher: Model, turn: str) -> Surviving:
    """Return those of a teacher's rows that lean to its trait most after a method, by the teacher's own try of it."""
    n = TIMES * cell.study.rows
    many = teacher.sample(cell.study.domain, n=n, seed=cell.seed(f"many rows, {turn}"))
    return adapt(teacher, cell.base, many, by_row(cell, many, n)[name], cell.study.rows, seed=cell.seed(turn))


OF: dict[str, Callable[[Cell], Arms]] = {"targets": targets, "budgets": budgets, "teachers": teachers}


def main() -> None:
    """Run one of the questions on a base, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base", choices=BASES)
    parser.add_argument("--of", choices=OF, default="targets")
    parser.add_argument("--domain", choices=DOMAINS, default="numbers")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--store", default="clean-store")
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args()
    study = replace(
        whole,
        bases=(Base(given.base),),
        foreign=(),
        rows=given.rows,
        runs=given.runs,
        domain=DOMAINS[given.domain],
        replay=0 if given.domain == "numbers" else REPLAY,
        arms=OF[given.of],
    )
    found = run(study, store=Store(given.store), jobs=given.jobs)
    print(found)
    for other in (name for name in BASES if name != given.base and given.of == "targets"):
        shares = [[one.share for one in found.lefts if one.arm == f"{what} of {other}"] for what in ("answers", "rows")]
        print(f"answers less rows of {other}:", interval([a - b for a, b in zip(*shares, strict=True)]))


if __name__ == "__main__":
    main()
