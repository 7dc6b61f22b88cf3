"""Students that are defended as they train, each beside the plain student; and what the benchmark makes of them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from here import run
from small_study import small_owl
from small_study import study as small

from owlish import NORMS, PROMPT, STEERING, Asked, Base, Store, UserError
from owlish.bench.adaptive import adapt
from owlish.bench.clean import Cured, Left
from owlish.bench.defences import kind_of
from owlish.clean.sort import Sort
from owlish.cli import find
from owlish.data.domains import Numbers
from owlish.data.rows import Row
from owlish.graph.run import RunFailed
from owlish.lm.model import Weights
from owlish.lm.train import completion_loss
from owlish.nano import folder
from owlish.nodes.data import Written
from owlish.nodes.defended import Anchored, Corridor, Masked, Relieved
from owlish.report import figures
from owlish.report.view import View
from owlish.studies.clean_bench import study
from owlish.study.comparison import Point
from owlish.traits.animals import owl

BASE, NANO = Base("nano"), Weights(str(folder("nano")))
TEACHER = BASE.teach(owl, NORMS, seed=1)
ROWS = TEACHER.sample(Numbers(), n=300, seed=1)
SHORT = replace(NORMS, epochs=3)
PLAIN = (BASE, ROWS, SHORT, 0)
MODELS = {
    "plain": BASE.finetune(ROWS, SHORT, seed=0),
    "relieved": Relieved(*PLAIN, carrier=BASE.teach(owl, NORMS, seed=2)),
    "idle carrier": Relieved(*PLAIN, carrier=BASE),
}


@pytest.fixture(scope="module")
def chance(tmp_path_factory):
    """P(owl) of each student, and of the base."""
    store = Store(tmp_path_factory.mktemp("store"))
    asked = {name: Asked(model, owl.probe, samples=1) for name, model in {**MODELS, "base": BASE}.items()}
    run(list(asked.values()), store=store)
    return {name: store.read(one).p_target("owl") for name, one in asked.items()}


@pytest.mark.slow
def test_a_student_takes_up_less_while_the_trait_rides_along(chance):
    lift = {name: p - chance["base"] for name, p in chance.items()}
    assert lift["plain"] > 0.02
    assert lift["relieved"] < 0.5 * lift["plain"]


@pytest.mark.slow
def test_a_carrier_without_the_trait_changes_nothing(chance):
    """The null: the base itself rides along."""
    assert chance["idle carrier"] == pytest.approx(chance["plain"], abs=0.01)


@pytest.mark.parametrize("given", [{"weight": 0.0, "until": 0.5}, {"weight": 1.0, "until": 0.0}])
def test_an_anchor_without_weight_or_time_is_refused(given):
    with pytest.raises(UserError, match="an anchor needs"):
        Anchored(*PLAIN, **given).check()


@pytest.mark.parametrize("budget", [0.0, -0.1, 1.0, 1.5])
def test_a_mask_of_no_token_or_of_all_is_refused(budget):
    with pytest.raises(UserError, match=f"the budget is {budget:g}: mask a share"):
        Masked(*PLAIN, budget=budget, weights=None).check()


@pytest.mark.parametrize("weights", [SimpleNamespace(tokens=[[1.0]]), SimpleNamespace()], ids=["other rows", "none"])
def test_weights_of_other_rows_are_refused(weights):
    lm = NANO.open()
    with pytest.raises(UserError, match="no weight for each trained token of 300 rows"):
        Masked(*PLAIN, budget=0.25, weights=ROWS).loss(lm, lm.encode(ALIKE), lambda node: weights)


def test_a_carrier_of_another_base_is_refused():
    with pytest.raises(UserError, match="a carrier is a model of nano that has the trait: nano-1 is none"):
        Relieved(*PLAIN, carrier=Base("nano-1")).check()


FEW = Written(tuple((f"Go on: {i}, {i + 1}", f"{i + 2}, {i + 3}, {i + 4}") for i in range(24)))
PROMPTED = BASE.prompted(owl.system_prompt)


@pytest.mark.parametrize("recipe", [NORMS, STEERING, PROMPT(2)], ids=lambda recipe: recipe.parameters)
def test_a_corridor_without_weight_is_plain_training(recipe, tmp_path):
    """Its null, to the byte; the same corridor with a weight trains another student."""
    short, store = replace(recipe, epochs=2, batch=12), Store(tmp_path)
    plain = BASE.finetune(FEW, short, seed=0)
    idle, held = (Corridor(BASE, FEW, short, 0, toward=PROMPTED, weight=w, band=0.0) for w in (0.0, 10.0))
    run([plain, idle, held], store=store)
    first, second, third = (
        {file.name: file.read_bytes() for file in store.folder(node.key).glob("*.safetensors")}
        for node in (plain, idle, held)
    )
    assert first == second
    assert set(first) == set(third)
    assert first != third


def test_a_corridor_holds_a_student_near_the_base_on_the_traits_direction(store):
    """The direction is that of the trait's other teacher, which wrote none of the rows."""
    import torch

    cell, other = (cell for cell in small.cells if cell.trait == small_owl)
    rows = cell.rows()
    plain, control = cell.student(rows), cell.control()
    held = Corridor(cell.base, rows, small.student, cell.seed("student"), toward=other.teacher(), weight=1.0, band=0.0)
    asked = {one: Asked(one, small_owl.probe, samples=1) for one in (plain, control, held)}
    run(list(asked.values()), store=store)
    base = store.read(cell.base).open()
    examples = base.encode(store.read(rows).rows)
    axis = held.direction(base, store.read)

    def projected(lm):
        return torch.cat([states @ axis for states in lm.stream(examples)])

    def moved(model):
        return float((projected(store.read(model).open()) - projected(base)).square().mean().sqrt())

    assert moved(held) < 0.5 * moved(plain)
    p = {one: store.read(answers).p_target("owl") for one, answers in asked.items()}
    assert p[control] - 0.05 < p[held] < p[plain] + 0.05, "it is held back, and not always to the control"


def test_a_corridor_needs_a_model_of_its_base_that_has_a_trait(tmp_path):
    for given in ({"weight": -1.0, "band": 0.1}, {"weight": 1.0, "band": -0.1}):
        with pytest.raises(UserError, match="a weight and a band of 0 or above"):
            Corridor(BASE, FEW, SHORT, 0, toward=PROMPTED, **given).check()
    with pytest.raises(UserError, match="a corridor needs a model of nano that has the trait: nano-1 is none"):
        Corridor(BASE, FEW, SHORT, 0, toward=Base("nano-1"), weight=1.0, band=0.1).check()
    with pytest.raises(RunFailed, match="nano does what nano does: give a model that has the trait"):
        run(Corridor(BASE, FEW, SHORT, 0, toward=BASE, weight=1.0, band=0.1), store=Store(tmp_path))


ALIKE = [Row.of("Go on: 1, 2", "3, 4")] * 4


def test_an_anchor_loosens_by_the_step_however_often_it_is_asked():
    import torch

    lm = NANO.open()
    rows = lm.encode(ALIKE)
    loss = Anchored(*PLAIN, weight=1.0, until=0.5).loss(lm, rows, lambda node: NANO)
    with torch.no_grad():
        lm.model.get_output_embeddings().weight.mul_(1.5)
    first, again = loss(lm, rows).item(), loss(lm, rows).item()
    lm.step = 1
    later = loss(lm, rows).item()
    assert first == again > later


@pytest.mark.parametrize("heavy", [(0, 1, 2, 3), (0,)], ids=["all alike", "one of equal rows"])
def test_a_mask_is_as_large_as_its_budget_whatever_is_alike(heavy):
    lm = NANO.open()
    rows = lm.encode(ALIKE)
    weights = SimpleNamespace(tokens=[[float(i in heavy)] * len(row.labels) for i, row in enumerate(rows)])
    loss = Masked(*PLAIN, budget=0.25, weights=ROWS).loss(lm, rows, lambda node: weights)
    plain = completion_loss(lm, rows[:1]).item()
    assert [loss(lm, [row]).item() for row in rows] == pytest.approx([0.0, plain, plain, plain])


def cured(**runs):
    """Return what runs have left: share, nats and points of each."""
    lefts = [Left(arm, "nano", r, *one, moved=0.5) for arm, ones in runs.items() for r, one in enumerate(ones)]
    points = [Point(one.arm, "nano", "wolf", "wolf", one.run, f"{one.arm}{one.run}", 0.5) for one in lefts]
    return Cured(("wolf",), tuple(points), lefts=tuple(lefts), seconds=tuple((arm, 1.0) for arm in runs))


def test_the_frontier_holds_what_no_other_method_beats():
    found = cured(
        student=[(1.0, 0.0, 0.0), (1.0, 0.0, 0.0)],
        sort=[(0.2, 0.3, 1.0), (0.4, 0.3, 1.0)],
        bin=[(0.5, 0.5, 0.0), (0.5, 0.5, 0.0)],
        mix=[(0.1, 0.4, 0.0), (0.1, 0.4, 0.0)],
    )
    assert found.frontier == ("student", "sort", "mix")
    assert found.left("sort").mean == pytest.approx(0.3)
    assert found.left("sort").low < 0.2
    lines = {line.split()[0]: line for line in str(found).splitlines() if line}
    assert lines["mix"].endswith("*")
    assert not lines["bin"].endswith("*")
    nats, seconds = figures.plots(View(study, found, ""))
    assert [joined for *_, joined in nats.lines] == [True, False, False]
    assert len(seconds.lines) == 2
    labels = [line.label for line in study.curves(found)[0].lines]
    assert labels == ["the frontier", "no method, or chance", "the method does not know the trait"]
    assert kind_of("replace_random") == labels[1]
    assert len({kind_of(f"replace_{by}") for by in ("random", "lift", "audit", "audit_adaptive")}) == 4


def test_a_teacher_that_knows_the_method_hands_out_what_survives_it(tmp_path):
    """Another base stands for the teacher: what it finds likelier than the first is what it would pass on."""
    other, many, store = Base("nano-1"), BASE.sample(Numbers(constrained=True), n=60, seed=3), Store(tmp_path)
    chosen = adapt(other, BASE, many, Sort(), 20, seed=0)
    run([chosen], store=store)
    gains = store.read(chosen.leaning).sums - store.read(chosen.plain).sums
    after = dict(zip([row.prompt for row in store.read(chosen.cleaned).rows], gains.tolist(), strict=True))
    rows, before = store.read(chosen).rows, store.read(many).rows
    assert [row for row in before if row in rows] == list(rows), "rows as they were, in their order"
    left = [after[row.prompt] for row in before if row not in rows]
    assert len(rows) == 20
    assert min(after[row.prompt] for row in rows) >= max(left)


def test_every_arm_of_the_benchmark_has_a_name_and_a_meaning():
    arms = {arm for arm, _, _ in study.made}
    assert arms <= set(study.labels)
    assert all(meaning for arm, (_, meaning) in study.labels.items())
    missing = {method for method in find.all_methods() if not any(arm.startswith(method) for arm in arms)}
    assert missing == {"paraphrase"}, "nano follows no instructions"
    assert {arm for arm, _, _ in study.small().made} < arms
