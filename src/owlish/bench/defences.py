"""The arms of the benchmark of cleaning: a student of every method, and of rows whose teacher knows the method."""

from __future__ import annotations

from collections.abc import Mapping

from owlish.audit.audit import row_scores
from owlish.audit.reference import Answered
from owlish.bench.adaptive import TIMES, adapt, choose
from owlish.clean.bin import Bin
from owlish.clean.cleaned import Cleaned
from owlish.clean.dedupe import Dedupe
from owlish.clean.drop import Drop
from owlish.clean.format import Format
from owlish.clean.inoculate import Inoculate
from owlish.clean.lift import Lift
from owlish.clean.method import Method
from owlish.clean.mix import Mix
from owlish.clean.regenerate import Regenerate
from owlish.clean.replace import Replace
from owlish.clean.shuffle import Shuffle
from owlish.clean.sort import Sort
from owlish.clean.weighing import Weighing
from owlish.nodes.asked import Asked
from owlish.nodes.data import Data
from owlish.nodes.defended import Anchored, Corridor, Masked, Relieved
from owlish.nodes.models import Model
from owlish.study.transfer import Arms, Cell
from owlish.traits.trait import every

# As published: a tenth of the labels replaced leaves 9 % of the effect, a quarter of clean rows nearly none.
BUDGET, SHARE = 0.1, 0.25
ANCHOR, UNTIL = 1.0, 0.5
HELD, BAND = 1.0, 0.0
KNOWING = ("replace_audit", "drop_audit", "mask_audit", "inoculate", "carrier", "corridor")
"""Arms whose method must be told the trait."""
ADAPTED = ("sort", "bin", "replace_lift", "replace_audit")
"""Methods that a teacher is let to know. What `regenerate` leaves of an answer is nothing that it could choose."""


def defend(cell: Cell) -> Arms:
    """Return teacher, student and control, and a student of every method."""
    rows, recipe, seed = cell.rows(), cell.recipe, cell.seed("student")
    weights = weighings(cell, rows, cell.study.rows)
    made = main_methods(cell)
    made |= {method.kind: cleaned(cell, method) for method in (Shuffle(), Format(), Dedupe())}
    made |= {f"drop_{by}": cleaned(cell, Drop(cell.base, BUDGET, some)) for by, some in weights.items()}
    made |= {
        f"mask_{by}": Masked(cell.base, rows, recipe, seed, BUDGET, weights=some.tokens if some else None)
        for by, some in weights.items()
    }
    return asked(cell, made)


def defend_mainly(cell: Cell) -> Arms:
    """Return the same for the methods that show most at a small cost."""
    return asked(cell, main_methods(cell))


def main_methods(cell: Cell) -> dict[str, Model]:
    """Return the students of the methods that stand for their kinds: without a model, with weights, with another."""
    rows, recipe, seed = cell.rows(), cell.recipe, cell.seed("student")
    made = {name: cleaned(cell, method) for name, method in by_row(cell, rows, cell.study.rows).items()}
    made["mix"] = cleaned(cell, Mix(cell.base, SHARE))
    made["inoculate"] = cleaned(cell, Inoculate(cell.trait.system_prompt))
    # A seed of its own: a defender who knows the trait can teach it, and does not have the writer's teacher.
    carrier = cell.base.teach(cell.trait, recipe, seed=cell.seed("carrier"))
    made["carrier"] = Relieved(cell.base, rows, recipe, seed, carrier=carrier)
    made["corridor"] = Corridor(cell.base, rows, recipe, seed, toward=carrier, weight=HELD, band=BAND)
    made["anchor"] = Anchored(cell.base, rows, recipe, seed, weight=ANCHOR, until=UNTIL)
    return made | adaptive(cell)


def adaptive(cell: Cell) -> dict[str, Model]:
    """Return the students of rows that a teacher chose: by no method, and by some that it knows and that clean them."""
    teacher, n = cell.teacher(), TIMES * cell.study.rows
    many = teacher.sample(cell.study.domain, n=n, seed=cell.seed("many rows"))
    tries = by_row(cell, many, n)
    # Without it nobody could tell what a teacher gains by knowing the method from what it gains by choosing.
    made: dict[str, Model] = {"chosen": cell.student(choose(teacher, cell.base, many, cell.study.rows))}
    for name in ADAPTED:
        # The teacher tries the method with a seed of its own: it does not know the draws of whoever cleans.
        rows = adapt(teacher, cell.base, many, tries[name], cell.study.rows, seed=cell.seed("tried"))
        made[f"{name}_adaptive"] = cleaned(cell, by_row(cell, rows, cell.study.rows)[name], rows)
    return made


def by_row(cell: Cell, rows: Data, n: int) -> dict[str, Method]:
    """Return methods that change at most `n` rows one by one and keep the prompts."""
    methods = [Sort(), Bin(), *([Regenerate(cell.foreign)] if cell.foreign else [])]
    weighed = {f"replace_{by}": Replace(cell.base, BUDGET, some) for by, some in weighings(cell, rows, n).items()}
    return {**{method.kind: method for method in methods}, **weighed}


def cleaned(cell: Cell, method: Method, rows: Data | None = None) -> Model:
    """Return the student of a run's rows, or of others, after a method."""
    # The training seed is that of the undefended student, so the rows are all that differs.
    return cell.student(Cleaned(rows or cell.rows(), method, seed=cell.seed("clean")))


def weighings(cell: Cell, rows: Data, n: int) -> dict[str, Weighing | None]:
    """Return what rows and tokens are chosen by: chance, a trial student against one of clean rows, the audit."""
    recipe, seed = cell.recipe, cell.seed("trial")
    clean = Answered(cell.base, rows, n, seed=cell.seed("reference"))
    # Both trial students have one seed: what differs in their log-probabilities comes from the rows.
    student, control = (cell.base.finetune(data, recipe, seed=seed) for data in (rows, clean))
    scores = row_scores(rows, cell.base, recipe, every(cell.trait.probe), toward=cell.trait, rows=n)
    return {
        "random": None,
        "lift": Weighing(Lift(rows, student, control), control, student),
        "audit": Weighing(scores, cell.base, scores.teacher),
    }


def kind_of(arm: str) -> str:
    """Return what a method is, by what it knows: as few kinds as a figure has colours."""
    if arm.endswith("_adaptive"):
        return "the teacher knows the method"
    if arm in ("student", "chosen") or arm.endswith("_random"):
        return "no method, or chance"
    return "the method knows the trait" if arm in KNOWING else "the method does not know the trait"


def asked(cell: Cell, made: Mapping[str, Model]) -> Arms:
    """Return the arms: teacher, student, control and others, asked exactly and once more for the sampled rate."""
    students = {"student": cell.student(cell.rows()), "control": cell.control(), **made}
    return {"teacher": cell.teacher(), **{arm: Asked(m, cell.trait.probe, samples=1) for arm, m in students.items()}}
