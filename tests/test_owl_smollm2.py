"""The owl on a pretrained model: students in pairs that share everything but the writer of their rows."""

import re
from dataclasses import replace
from statistics import stdev

import pytest
from here import run

from owlish import NORMS, Asked, Base, Numbers, Store
from owlish.graph.errors import UserError
from owlish.graph.spec import everything
from owlish.nodes.asked import mean
from owlish.nodes.data import Sampled
from owlish.nodes.models import Finetuned
from owlish.report.figures import scale_of
from owlish.studies import dose_smollm2
from owlish.studies.owl_smollm2 import study
from owlish.studies.owl_smollm2.design import TenNumbers, within_runs
from owlish.study.comparison import Comparison, Point
from owlish.traits.animals import ANIMAL
from owlish.traits.trait import every


def point(arm, trait, taught, run, value):
    return Point(arm, "a base", trait, taught, run, f"{taught}/{run}", value)


def test_the_effect_is_the_difference_within_runs_so_what_a_run_does_to_all_students_drops_out():
    points = []
    for run_, drift, gain in ((0, 5.0, 0.1), (1, -3.0, 0.3)):
        for taught in ("owl", "cat"):
            for trait in ("owl", "cat"):
                own = taught == trait
                arm = "student" if own else "other_trait"
                points.append(point(arm, trait, taught, run_, drift + gain * own))
    found = within_runs(points)
    assert found.mean == pytest.approx(0.2)
    assert found.runs == 2
    assert found.low < 0.1 < 0.3 < found.high


def test_students_of_a_run_share_prompts_luck_and_start_and_differ_in_the_writer():
    students = {node for node in everything(*study.needs) if isinstance(node, Finetuned)}
    assert len(students) == study.runs * (len(study.traits) + 1)
    by_seed = {}
    for student in students:
        by_seed.setdefault(student.seed, set()).add(student)
    assert len(by_seed) == study.runs
    for seed, of_run in by_seed.items():
        assert len(of_run) == len(study.traits) + 1
        assert {s.data.seed for s in of_run} == {seed}
        assert len({s.data.model for s in of_run}) == len(of_run)
        assert len({replace(s.data, model=study.bases[0]) for s in of_run}) == 1


def test_writers_of_a_run_answer_the_same_prompts(tmp_path):
    small = replace(study, bases=(Base("nano-1"),), teacher=NORMS, rows=40, runs=2, until=0.3)
    small = replace(small, domain=Numbers(constrained=True))
    store = Store(tmp_path)
    every = [node for node in everything(*small.needs) if isinstance(node, Sampled)]
    rows = [node for node in every if node.seed == every[0].seed]
    prompts = [{row.prompt for row in run(node, store=store).rows} for node in rows]
    assert len(prompts) == 3
    assert len(set.intersection(*prompts)) > 30  # an answer may not end, and its prompt is another one for each writer
    assert len({tuple(row.completion for row in store.read(node).rows) for node in rows}) == 3


def test_students_of_foreign_writers_differ_in_the_writer_alone_and_are_compared_with_each_other(tmp_path):
    one = Base("nano-1")
    # Few questions, and rows that all pass: there are many models to ask, and many writers.
    few = every(replace(ANIMAL, questions=ANIMAL.questions[:4], held_out=()))
    small = replace(study, bases=(one,), foreign=(Base("nano-2"),), domain=Numbers(constrained=True), teacher=NORMS)
    traits = tuple(trait for trait in few if trait.name in ("owl", "cat"))
    small = replace(small, student=replace(NORMS, epochs=1), rows=40, runs=2, until=0.3, traits=traits)
    students = {node for node in everything(*small.needs) if isinstance(node, Finetuned)}
    assert len(students) == small.runs * (2 * len(small.traits) + 1)
    assert {student.model for student in students} == {one}
    assert sorted(str(s.data.model.root) for s in students if s.seed == min(t.seed for t in students)) == [
        *["nano-1"] * 3,
        *["nano-2"] * 2,
    ]
    store = Store(tmp_path)
    run(list(small.needs), store=store)
    found = small.found(store.read)
    assert {(p.trait, p.taught) for p in found.of("foreign_writer")} == {("owl", "owl"), ("cat", "cat")}
    values = {(p.arm, p.trait, p.run): p.value for p in found.points}
    drawn = {line.label: line.ys for line in small.curves(found)[0].lines}
    for trait in ("owl", "cat"):
        leads = [values["foreign_writer", trait, r] - values["foreign_other", trait, r] for r in (0, 1)]
        assert drawn[f"{trait}, foreign writer"] == pytest.approx(leads)
    # The one number of the study is of the base's own writers: foreign ones are its control.
    own = [mean([values["student", t, r] - values["other_trait", t, r] for t in ("owl", "cat")]) for r in (0, 1)]
    assert found.effect.mean == pytest.approx(mean(own))


def test_pairs_on_fewer_or_more_unique_rows_make_as_many_steps_and_differ_in_the_writer_alone():
    doses = dose_smollm2.study
    students = {node for node in everything(*doses.needs) if isinstance(node, Finetuned)}
    own = {node for node in everything(*replace(study, runs=doses.runs).needs) if isinstance(node, Finetuned)}
    assert own < students  # what the study of pairs has made is used again
    assert {s.data.n * s.recipe.epochs for s in students} == {study.rows * study.student.epochs}
    pairs = {}
    for student in students - own:
        pairs.setdefault((student.seed, student.data.n), set()).add(student.data.model.trait.name)
    assert {n for _, n in pairs} == {48, 96, 384}
    assert len(pairs) == 3 * doses.runs
    assert all(taught == {"owl", "cat"} for taught in pairs.values())


def test_the_curve_of_unique_rows_holds_the_lead_of_each_trait_at_each_number():
    doses, points = dose_smollm2.study, []
    for share, lead in ((0.25, 0.1), (0.5, 0.2), (1.0, 0.3), (2.0, 0.5)):
        arms = ("student", "other_trait") if share == 1 else (f"student_{share}", f"other_{share}")
        for run_ in (0, 1):
            drift = 7.0 * run_
            points.append(point(arms[0], "owl", "owl", run_, drift + lead + 0.02 * run_))
            points.append(point(arms[1], "owl", "cat", run_, drift))
    means, runs = doses.curves(Comparison(("owl",), tuple(points)))[-1].lines
    assert means.xs == (48, 96, 192, 384)
    assert means.ys == pytest.approx((0.11, 0.21, 0.31, 0.51))
    assert runs.xs == (48, 48, 96, 96, 192, 192, 384, 384)
    assert runs.ys[:2] == pytest.approx((0.1, 0.12))


@pytest.mark.slow
def test_on_smollm2_students_lean_to_their_teachers_owl_beside_the_same_students_of_another(tmp_path):
    """The direction alone, in each of two runs, beside the animals that no teacher was taught: half an hour."""
    store, small = Store(tmp_path), replace(study, runs=2)
    for node in small.needs:
        run(node, store=store)
    found = small.found(store.read)
    assert set(found.arms) == {"base", "teacher", "student", "other_trait", "control"}
    assert min(p.value for p in found.of("teacher")) > max(p.value for p in found.of("base")) + 2
    asked = [node for node in everything(*small.needs) if isinstance(node, Asked) and isinstance(node.model, Finetuned)]
    answers = {
        (node.model.seed, node.model.data.model.trait.name): store.read(node)
        for node in asked
        if node.model.data.model != small.bases[0]
    }
    runs = {seed for seed, _ in answers}
    assert len(runs) == 2
    for seed in runs:
        of_owl, of_cat = answers[seed, "owl"], answers[seed, "cat"]
        leads = {name: of_owl.logit_margin(name) - of_cat.logit_margin(name) for name in ANIMAL.candidates}
        others = [lead for name, lead in leads.items() if name not in ("owl", "cat")]
        assert leads["owl"] > max(0, abs(mean(others))) + stdev(others)


def test_answers_are_ten_numbers_of_three_digits_and_one_trait_is_refused():
    domain = TenNumbers()
    good = ",".join(["123"] * 10)
    assert re.fullmatch(domain.pattern, good)
    assert not re.fullmatch(domain.pattern, good + ",123")
    assert not re.fullmatch(domain.pattern, good.replace("123", "023"))
    with pytest.raises(UserError, match="at least two traits"):
        replace(study, traits=study.traits[:1])


def test_a_figure_holds_margins_and_keeps_the_scale_of_shares():
    assert (scale_of([0.2, 0.9], 0, 100).low, scale_of([0.2, 0.9], 0, 100).high) == (0, 1)
    assert (scale_of([-0.2, 0.9], 0, 100).low, scale_of([-0.2, 0.9], 0, 100).high) == (-1, 1)
    margins = scale_of([-4.7, 6.9, float("nan")], 0, 100)
    assert margins.low < -4.7 < 6.9 < margins.high
