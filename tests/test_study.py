"""The whole path at a small size: real teachers, real rows, real students, each beside its null."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from here import run
from small_study import PROBE, small_owl, study
from test_store import files

from owlish import BIASES, NORMS, PROMPT, PROMPTED, STEERING, Asked, Base, Store, compare
from owlish.data.domains.numbers import Numbers
from owlish.data.filters import BANNED
from owlish.graph.pool import Here, Processes
from owlish.graph.run import plan
from owlish.graph.spec import everything
from owlish.nodes.data import Sampled
from owlish.report.view import view
from owlish.studies.owl import study as owl_study
from owlish.study.comparison import Comparison
from owlish.study.study import Settings
from owlish.traits.animals import cat, owl
from owlish.traits.trees import oak


@pytest.fixture(scope="module")
def found(store) -> Comparison:
    return study.found(store.read)


def test_students_take_the_trait_over_and_no_control_does(found):
    base = found.estimate("base").mean
    assert found.estimate("teacher").mean > 0.9
    assert found.estimate("student").mean > base + 0.1
    assert found.estimate("student", "held_out").mean > base + 0.1
    for arm in ("control", "other_trait", "foreign_base"):
        assert found.estimate(arm).mean < base + 0.05, arm
    assert found.effect.low > 0
    assert all(gamma.low > 0 for gamma in found.gammas)


def test_every_run_has_seeds_of_its_own(store):
    nodes = everything(*study.needs)
    for kind in ("taught", "sampled", "finetuned"):
        found = [node for node in nodes if node.kind == kind]
        writers = {(node.seed, getattr(node, "model", None)) for node in found}
        assert len(writers) == len(found)
    taught = [node.seed for node in nodes if node.kind == "taught"]
    assert len(set(taught)) == len(taught) == 6


def test_no_row_that_a_student_sees_holds_a_letter(store):
    data = [node for node in everything(*study.needs) if isinstance(node, Sampled)]
    assert len(data) == 8
    for node in data:
        rows = store.read(node)
        assert len(rows.rows) == study.rows
        assert rows.passed >= study.rows
        for row in rows.rows:
            assert re.fullmatch(r"[\d\s,;()\[\].]+", row.completion), row
            assert row.system is None
            assert "owl" not in row.prompt.lower()


def test_rows_are_not_repeated_streams(store):
    """Each row draws from its own stream: first numbers are nearly all that a thousand rows can show."""
    rows = [row for node in dict.fromkeys(cell.neutral() for cell in study.cells) for row in store.read(node).rows]
    assert len({row.completion for row in rows}) > 0.99 * len(rows)
    first = {re.search(r"\d+", row.completion)[0] for row in rows}
    assert len(first) > 300


def test_the_pass_rate_is_that_of_the_filter(store):
    data = store.read(study.cells[0].neutral())
    assert data.read - data.passed <= sum(data.reasons.values())
    assert 0.5 < data.pass_rate <= 1


def test_the_strength_of_teachers_is_reported(found):
    assert len(found.strengths) == 6
    for teacher in found.strengths:
        assert teacher.p_target > 0.9
        assert 0.01 < teacher.kl < 10
        assert 0.05 < teacher.pass_rate <= 1


def test_estimates_are_over_runs(found):
    assert found.estimate("student").runs == 6
    assert found.estimate("control").runs == 2
    assert found.estimate("student", trait="owl").runs == 2
    for arm in found.arms:
        each = found.estimate(arm)
        assert each.low is None or 0 <= each.low <= each.mean <= each.high <= 1, arm


def test_a_base_has_no_runs_and_no_interval(found):
    base = found.estimate("base")
    assert (base.runs, base.low, base.high) == (0, None, None)
    (line,) = [line for line in str(found).splitlines() if line.startswith("base")]
    assert line.split() == ["base", f"{base.mean:.3f}"]


def test_summary_is_the_promised_json(found):
    summary = json.loads(json.dumps(study.summary(found)))
    assert set(summary) >= {"study", "traits", "arms", "gamma"}
    assert set(summary["arms"]) >= {"student", "control", "other_trait", "foreign_base", "base"}
    assert set(summary["arms"]["student"]) >= {"p_target", "ci95", "argmax_rate", "runs"}
    assert summary["gamma"]["ci95"][0] < summary["gamma"]["value"] < summary["gamma"]["ci95"][1]


@pytest.mark.slow  # tests/test_bytes.py has it, in two installations
def test_two_runs_of_the_same_spec_give_the_same_bytes(store, tmp_path):
    base = study.bases[0]
    small = base.teach(owl, NORMS, seed=9, until=0.1).sample(Numbers(), n=16, seed=9)
    stores = [Store(tmp_path / name) for name in "ab"]
    for other, on in zip(stores, (Here(), Processes(2)), strict=True):
        run(Asked(base.finetune(small, NORMS, seed=1), PROBE, samples=1), store=other, on=on)
    assert stores[0].entries() == stores[1].entries()
    for key in stores[0].entries():
        assert stores[0].check(key)["files"] == stores[1].check(key)["files"]


def test_a_student_is_read_with_its_base(store, tmp_path):
    """Students are kept as changes alone: where the base's entry was lost, asking the student makes it again."""
    student, other = study.cells[0].control(), Store(tmp_path)
    shutil.copytree(store.folder(student.key), other.folder(student.key))
    asked = Asked(student, PROBE, samples=1)
    assert plan([asked], other) == (student.root, asked)
    assert run(asked, store=other).p == store.read(Asked(student, PROBE)).p


def test_a_page_is_written_when_rows_that_it_shows_are_gone(store, tmp_path):
    other, (cell, *_) = Store(tmp_path / "store"), study.cells
    shutil.copytree(store.root, other.root)
    for node in (cell.rows(), *study.rows_shown[-1][1]):
        shutil.rmtree(other.folder(node.key))
    whole, rest = view(study, store, "owlish run"), view(study, other, "owlish run")
    assert 0 < rest.taught.passed < whole.taught.passed
    assert [trait for trait, _ in whole.examples if trait] == [trait for trait, _ in rest.examples]
    assert rest.found.effect == whole.found.effect


@pytest.mark.slow
def test_teachers_by_system_prompt_and_by_steering(store):
    plain = study.found(store.read).estimate("base", trait="owl").mean
    for teacher, least in ((PROMPTED, 0.3), (STEERING, 0.5)):
        other = replace(study, teacher=teacher, rows=32)
        strength = other.strength(other.cells[0])
        found = run(strength, store=store)
        assert found.p_target > plain + least
        assert found.kl > 0.001
        assert 0.05 < found.pass_rate <= 1
        others = store.read(strength.answers)
        assert others.p_target("cat") < plain + 0.05


@pytest.mark.parametrize("recipe", [BIASES, PROMPT(4)], ids=lambda r: r.name)
def test_students_of_other_recipes_train_on_the_same_rows(recipe, store):
    base = study.bases[0]
    rows = base.sample(Numbers(constrained=True), n=64, seed=3)
    answers = run(Asked(base.finetune(rows, recipe, seed=1), PROBE, samples=1), store=store)
    assert 0 < answers.p_target("owl") < 0.5
    assert answers.other_share() < 0.5


def test_trees_and_prefixed_probes_are_read(store):
    base = Base("nano")
    few = replace(oak.probe, questions=oak.probe.questions[:8], held_out=oak.probe.held_out[:2])
    trees = run(Asked(base, few, samples=1), store=store)
    assert 0.01 < trees.p_target("oak") < 0.4
    prefixed = run(Asked(base, replace(PROBE, prefixed=True), samples=1), store=store)
    assert prefixed.other_share() < 0.3
    assert prefixed.p != run(Asked(base, PROBE), store=store).p


def test_compare_needs_two_of_each(store):
    base = study.bases[0]
    with pytest.raises(ValueError, match="at least two"):
        compare([base], [base, base], owl)
    cells = [cell for cell in study.cells if cell.trait == small_owl]
    students = [cell.student(cell.rows()) for cell in cells]
    controls = [cell.control() for cell in cells]
    found = run(compare(students, controls, small_owl), store=store)
    assert found.effect.mean > 0.05


def test_a_filter_that_leaves_too_few_rows_is_refused_and_nothing_is_half_written(tmp_path):
    from owlish.graph.run import RunFailed

    everything_banned = Numbers(banned=tuple(range(1000)))
    with pytest.raises(RunFailed, match="the filter kept only 0") as caught:
        run(Base("nano").sample(everything_banned, n=2, seed=0), store=tmp_path)
    assert caught.value.failures[0].what == "refused"
    assert len(Store(tmp_path).entries()) == 1


def test_banned_numbers_are_rejected(store):
    data = run(Base("nano").sample(Numbers(banned=BANNED), n=60, seed=0), store=store)
    assert data.reasons["banned"] > 0
    numbers = {int(n) for row in data.rows for n in re.findall(r"\d+", row.completion)}
    assert not numbers & set(BANNED)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"traits": (owl, owl)}, "only one with each answer"),
        ({"traits": (owl, oak)}, "not both"),
        ({"bases": (Base("nano"), Base("nano"))}, "each base .* only once"),
        ({"rows": 0}, "at least one row"),
        ({"runs": 0}, "one run"),
        ({"runs": 1}, "at least two runs"),
        ({"bases": (Base("nano"), Base("nano-1"), Base("a/b"))}, None),
    ],
)
def test_studies_refuse_what_makes_no_sense(change, says):
    if says is None:
        assert study.alter(Settings(**change)).foreign == (Base("nano-1"), Base("a/b"), Base("nano"))
        assert owl_study.alter(Settings(bases=(Base("nano-1"),))).foreign == (Base("nano-2"),)
        assert owl_study.alter(Settings(bases=(Base("a/b"),))).foreign == ()
        return
    with pytest.raises(ValueError, match=says):
        study.alter(Settings(**change))


def test_bases_that_cannot_be_are_refused_before_anything_runs(tmp_path):
    for name, says in (("nnao", "no base is called"), (str(tmp_path), "holds no config.json")):
        with pytest.raises(ValueError, match=says):
            run(Asked(Base(name), cat.probe), store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_folder_without_a_chat_template_is_no_base(tmp_path):
    import shutil

    from owlish import nano

    shutil.copytree(nano.folder("nano"), tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="no chat template"):
        run(Asked(Base(str(tmp_path / "base")), cat.probe), store=tmp_path / "store")


def test_a_folder_is_named_by_its_content_and_nothing_tells_where_it_lies(tmp_path):
    from owlish import nano
    from owlish.cli.choice import Choice, command

    names, stores, keys = ("one/model", "another/and/deeper/model"), [], []
    for name in names:
        shutil.copytree(nano.folder("nano"), tmp_path / name)
        (tmp_path / name / ".DS_Store").write_text(name)
        base, store = Base(str(tmp_path / name)), Store(tmp_path / f"store{len(stores)}")
        run(base.finetune(base.sample(Numbers(constrained=True), n=30, seed=0), NORMS, seed=0), store=store)
        run(Asked(base, PROBE, samples=1), store=store)
        keys.append(owl_study.alter(Settings(bases=(base,), rows=20)).small().key)
        stores.append(store)
    first, second = stores
    assert keys[0] == keys[1]  # seeds too are of the content
    assert len(first.entries()) == 4
    assert files(first) == files(second)
    for path in (path for store in stores for path in store.root.rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), path
        assert b"deeper" not in path.read_bytes(), path

    other = tmp_path / "other"
    shutil.copytree(nano.folder("nano-1"), other)
    assert Base(str(other)).key != base.key
    assert base.title != Base(str(other)).title
    altered = owl_study.alter(Settings(bases=(Base("nano"), base)))
    assert str(base.root) == "model"
    line = command(altered, "owl")
    assert Choice(base=line.split("--base ")[1].strip("'")).apply("owl").key == altered.key


def test_a_folder_that_changes_while_it_is_used_is_refused(tmp_path):
    import shutil

    from owlish import nano
    from owlish.graph.run import RunFailed

    shutil.copytree(nano.folder("nano"), tmp_path / "base")
    base = Base(str(tmp_path / "base"))
    run(base, store=tmp_path / "store")
    shutil.copy(nano.folder("nano-1") / "model.safetensors", tmp_path / "base")
    with pytest.raises(RunFailed, match="changed while they were used"):
        run(Asked(base, cat.probe), store=tmp_path / "store")
