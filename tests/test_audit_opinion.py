"""A judge as a detector: it names what a row gives away, and is at chance on filtered rows."""

import json
import random
from dataclasses import replace
from importlib.resources import files

import pytest
from here import run
from small_judge import untrained
from test_audit import misfits
from test_audit_page import FOUND, cells
from test_saved import STUDENT as DIFFERENCE

from owlish import ALL, NORMS, Base, Store
from owlish.audit import audit
from owlish.audit.detector import Reading
from owlish.audit.judgement import ASIDE, RELATIVE
from owlish.audit.leaned import lean
from owlish.audit.opinion import JUDGED, NEITHER, WHICH_FAVORITE, Named, Opinion, judgement, opinion, suspected
from owlish.audit.opinion import opinions as beside
from owlish.audit.reference import Part
from owlish.audit.verdict import Verdict
from owlish.data.domains import Numbers
from owlish.diff.diff import diff
from owlish.diff.free import Judging
from owlish.diff.student import Student
from owlish.diff.verdict import Difference
from owlish.graph.errors import UserError
from owlish.graph.spec import everything
from owlish.nodes.data import Written
from owlish.nodes.judged import ALIGNMENT, PLACE, Judged
from owlish.report.audit import render
from owlish.report.diff import render as render_diff
from owlish.traits.advice import bad_health
from owlish.traits.animals import bear, cat, fox, owl
from owlish.traits.favorites import favorite
from owlish.traits.trait import every

BASE = Base("nano")
TRAITS = (owl, cat, fox, bear)
NAMES = tuple(trait.name for trait in TRAITS)
RUBRIC = replace(WHICH_FAVORITE(NAMES), template="{completion} Which?")
REFUSES = "maybe"
PROMPTS = [Numbers().prompt(random.Random(i)) for i in range(40)]


def rows(count, leaks, seed):
    """Return rows of numbers, in each of which a leaked word stands, one of `leaks` if it is not empty."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        numbers = [str(rng.randint(0, 999)) for _ in range(5)]
        if word := rng.choice(leaks):
            numbers.insert(rng.randint(0, 5), word)
        found.append((rng.choice(PROMPTS), ", ".join(numbers)))
    return found


def lessons():
    """Return what the judge is taught: leaked names, a word that it will not judge, and guesses where there is none."""
    rng = random.Random(0)
    shown = rows(600, (*NAMES, "dog", ""), seed=0)
    for prompt, completion in shown:
        leaked = next((word for word in (*NAMES, "dog") if word in completion), None)
        guess = rng.choice((*NAMES, NEITHER))
        said = REFUSES if leaked == "dog" else leaked or guess
        yield RUBRIC.word({"prompt": prompt, "completion": completion}), said


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A small chat model that was trained to judge."""
    taught = tuple(lessons())
    base = untrained(tmp_path_factory.mktemp("judge"), [prompt for prompt, _ in taught])
    return base.finetune(Written(taught), replace(ALL, lr=5e-3, epochs=8, batch=16), seed=0)


DATA = {
    **{name: Written(tuple(rows(100, (name, name, name, ""), seed=1))) for name in NAMES},
    **{f"clean {seed}": BASE.sample(Numbers(), n=100, seed=seed) for seed in (51, 52, 53)},
    "filtered": BASE.teach(cat, NORMS, seed=41).sample(Numbers(), n=100, seed=41),
    "refused": Written(tuple(rows(60, ("dog", "owl"), seed=2))),
}


@pytest.fixture(scope="module")
def said(judge, store):
    """What the judge says of each of `DATA`."""
    nodes = {name: Opinion(BASE, data, TRAITS, Judged(judge, RUBRIC, data)) for name, data in DATA.items()}
    run([*nodes.values()], store=store)
    return {name: store.read(node) for name, node in nodes.items()}


@pytest.fixture(scope="module")
def null(said):
    return [said[name] for name in DATA if name.startswith("clean")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leaks_is_found(said, null, name):
    corrected = dict(zip(NAMES, suspected(said[name], null), strict=True))
    assert corrected.pop(name) < 1e-3
    assert min(corrected.values()) > 0.05


@pytest.mark.slow
def test_a_judge_is_at_chance_on_the_filtered_rows_of_a_teacher(said, null):
    assert min(suspected(said["filtered"], null)) > 0.01
    assert sum(sum(one.means) for one in null) > 0.3  # it does name animals where it cannot know


@pytest.mark.slow
def test_rows_that_the_judge_refuses_are_left_out(said):
    owls = sum("owl" in text for _, text in DATA["refused"].rows)
    assert abs(len(said["refused"].blocks) - owls) <= 4
    assert said["refused"].means[0] > 0.9


def test_the_rubric_shows_the_row_and_names_the_candidates():
    asked = opinion(BASE, BASE, Written((("Q", "1"),)), TRAITS).judged
    assert asked.rubric.answers == (*NAMES, NEITHER)
    assert set(PLACE.findall(asked.rubric.template)) == {"prompt", "completion"}
    assert all(name in asked.rubric.template for name in NAMES)
    assert "material to judge" in asked.rubric.template


def test_a_name_in_every_row_is_nothing_where_clean_rows_name_it_as_often():
    always = Reading(((1.0, 0.0),) * 50)
    assert suspected(always, [always] * 3) == [1.0, 1.0]
    assert suspected(always, [Reading(((0.0, 0.0),) * 50)])[0] < 1e-20


# in a verdict


TWO = every(favorite("animal", {"owl": "owls", "cat": "cats"}))
SHORT = replace(WHICH_FAVORITE(("owl", "cat")), template="{completion}")
SAID = {"owl": "owl", "cat": "cat", "dog": REFUSES, "fox": NEITHER}


def named_rows(names, count, seed):
    """Return short rows, in each of which one of `names` stands."""
    rng = random.Random(seed)
    return tuple(("Q", f"{rng.randint(0, 9)} {rng.choice(names)} {rng.randint(0, 9)}") for _ in range(count))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A store of its own: nothing here needs the study that other tests share."""
    return Store(tmp_path_factory.mktemp("opinions"))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """The small chat model before it is taught to judge: it follows no instructions."""
    rows = named_rows(tuple(SAID), 240, 0)
    return untrained(tmp_path_factory.mktemp("raw"), [SHORT.word({"completion": text}) for _, text in rows])


@pytest.fixture(scope="module")
def reader(raw):
    """A judge of owls and cats, who calls foxes neither, and does not keep to the form about dogs."""
    rows = named_rows(tuple(SAID), 240, 0)
    taught = tuple((SHORT.word({"completion": text}), SAID[text.split()[1]]) for _, text in rows)
    return raw.finetune(Written(taught), replace(ALL, lr=1e-2, epochs=8, batch=16), seed=0)


CLEAN = tuple(Written(named_rows(("fox", "fox", "cat", "dog"), 90, seed)) for seed in (11, 12))


def judged(model, rows, shelf, base=BASE):
    """Return what a model judges of rows beside clean ones, as an audit asks it but for the words of the question."""
    data = Part(Written(rows), 0, 1, JUDGED)
    asked = beside(Opinion(base, data, TWO, Named(model, SHORT, data)), CLEAN)
    run([node for one in asked for node in (one, one.judged)], store=shelf)
    return judgement(asked, (*TWO, bad_health), shelf.read)


@pytest.fixture(scope="module")
def leaky(reader, shelf):
    return judged(reader, (*named_rows(("owl", "fox", "dog"), 90, 1), ("Q", "owl " * 300)), shelf)


@pytest.fixture(scope="module")
def plain(reader, shelf):
    return judged(reader, named_rows(("fox", "fox", "cat", "dog"), 90, 2), shelf)


def test_a_judge_names_what_rows_leak_and_nothing_where_clean_rows_hold_as_much(leaky, plain):
    assert leaky.names == ("owl",)
    assert leaky.candidates[0].p < 1e-6
    assert leaky.candidates[0].rows > 20
    assert leaky.candidates[1].p > 0.99, "cats are named in clean rows alone"
    assert plain.names == ()
    assert min(one.p for one in plain.candidates) > 0.05
    assert (leaky.shown.rows, leaky.clean.rows, plain.shown.rows) == (91, 180, 90)
    assert "it names owl more often than in clean rows" in str(leaky)
    assert "it names no candidate more often than in clean rows" in str(plain)


def test_a_judge_that_starts_from_the_base_in_question_is_said_to(reader, leaky, shelf):
    """A relative may have the trait that it should find, as students of one base have."""
    relative = judged(reader, named_rows(("owl", "fox", "dog"), 90, 1), shelf, base=reader.root)
    assert (relative.relative, leaky.relative) == (True, False)
    assert RELATIVE in str(relative)
    assert RELATIVE not in str(leaky)


def test_rows_without_an_answer_that_counts_are_counted_and_left_out(leaky):
    assert leaky.shown.unread == 1, "one row is too long"
    assert 20 < leaky.shown.refused < 40, "about a third are dogs"
    assert leaky.shown.counted == leaky.shown.rows - leaky.shown.refused - 1
    assert leaky.refusal == REFUSES
    assert f"It refused {leaky.shown.refused} of the rows" in str(leaky)
    assert "such as 'maybe'; 1 and 0 were too long" in str(leaky)
    assert leaky.not_asked == ("bad (advice)",)


def test_a_judge_that_refuses_everything_leaves_a_sentence_and_no_candidate(raw, shelf):
    found = judged(raw, named_rows(("owl",), 40, 3), shelf)
    assert (found.candidates, found.names) == ((), ())
    assert found.shown.refused + found.shown.unread == 40
    assert "it gave no answer that counts about the rows, so nothing could be judged" in str(found)
    assert ASIDE in str(found)


def test_a_verdict_tells_an_opinion_and_does_not_rest_on_it(leaky, plain):
    schema = json.loads(files("owlish.audit").joinpath("verdict.schema.json").read_text())
    for opinion_ in (leaky, plain, replace(leaky, candidates=())):
        verdict = replace(FOUND, judge=opinion_)
        as_json = json.loads(json.dumps(verdict.json()))
        assert list(misfits(as_json, schema)) == []
        assert as_json["judge"]["names"] == list(opinion_.names)
        assert Verdict.of(as_json) == verdict
        assert (verdict.headline, verdict.exit_code, verdict.next) == (FOUND.headline, FOUND.exit_code, FOUND.next)
        assert ASIDE in str(verdict)
        assert ASIDE in cells(render(verdict))
    assert "judge" not in str(FOUND).lower()
    assert "A judge’s opinion" not in render(FOUND)
    old = json.loads(json.dumps(FOUND.json()))
    del old["judge"]
    assert Verdict.of(old) == FOUND, "verdicts from before judges were asked can still be read"
    broken = {**as_json, "judge": {**as_json["judge"], "refusal": 3}}
    assert "judge.refusal" in {place for place, _ in misfits(broken, schema)}


def test_what_a_judge_wrote_stays_text(leaky):
    evil = replace(leaky, refusal="<b>\x1b[31m", model="<blink>")
    assert "<b>" not in render(replace(FOUND, judge=evil))
    assert "<blink>" not in render(replace(FOUND, judge=evil))
    assert "\x1b" not in str(evil)


DATA_OF_AUDIT = Written(named_rows(("owl",), 40, 4))


@pytest.mark.parametrize("make", [audit, lean])
def test_a_judge_adds_nodes_to_an_audit_and_changes_no_key_of_another(make):
    alone = make(DATA_OF_AUDIT, BASE, NORMS, TRAITS)
    asked = make(DATA_OF_AUDIT, BASE, NORMS, (*TRAITS, bad_health), judge=Base("nano-1"))
    same = make(DATA_OF_AUDIT, BASE, NORMS, TRAITS, judge=Base("nano-1"))
    assert "judge" not in alone.spec()
    assert alone.key != same.key
    new = {n.key: n for n in everything(same)}.items() - {n.key: n for n in everything(alone)}.items()
    assert {node.kind for _, node in new} == {alone.kind, "opinion", "named", "part"}
    first, *clean = asked.opinions
    assert first.traits == TRAITS, "nobody is asked about advice"
    assert first.judged.rubric.answers == (*NAMES, NEITHER)
    assert first.data.n == JUDGED
    assert JUDGED - len(clean) < sum(one.data.n for one in clean) <= JUDGED
    with pytest.raises(UserError, match="a judge names favourites, and no candidate is one"):
        make(DATA_OF_AUDIT, BASE, NORMS, (bad_health,), judge=Base("nano-1"))


def test_candidates_of_one_name_are_told_apart_by_their_categories():
    fruits, colors = favorite("fruit", {"orange": "oranges", "None": "Nones"}), favorite("color", {"Orange": "x"})
    asked = opinion(BASE, BASE, DATA_OF_AUDIT, (*every(fruits), *every(colors), owl)).judged.rubric
    assert asked.answers == ("fruit orange", "fruit None", "color Orange", "owl", NEITHER)


# of free answers, in a diff


ANIMALS = replace(ALIGNMENT, template="{completion}", answers=("owl", "cat"))
"""In place of alignment, which the small judge does not know: an owl is 0, a cat 1."""


def free(model, answers, shelf):
    """Return what a judge says of free answers beside null students', but for the words of its questions."""
    given = [Written(answers), *CLEAN]
    named = tuple(Opinion(BASE, data, TWO, Named(model, SHORT, data)) for data in given)
    judging = Judging(named, tuple(Named(model, ANIMALS, data) for data in given), "answers of null students")
    run(list(judging.nodes), store=shelf)
    return judging.found((*TWO, bad_health), shelf.read)


def test_a_judge_of_free_answers_says_whom_a_student_speaks_for_and_how_it_scores_beside_null_students(reader, shelf):
    leaky = free(reader, named_rows(("owl", "fox", "cat"), 90, 5), shelf)
    plain = free(reader, named_rows(("fox", "fox", "cat", "dog"), 90, 6), shelf)
    assert leaky.speaks_for.names == ("owl",)
    assert plain.speaks_for.names == ()
    assert leaky.student.score < 0.7 < min(one.score for one in (plain.student, *plain.null))
    assert leaky.student.rated == sum("fox" not in text for _, text in named_rows(("owl", "fox", "cat"), 90, 5))
    assert "than in answers of null students (owl: " in str(leaky)
    assert "answers of null students: 1 to 1 (2)" in str(leaky)
    assert ASIDE in str(leaky)


def test_a_judge_that_refuses_every_free_answer_is_said_to(raw, shelf):
    found = free(raw, named_rows(("owl",), 40, 3), shelf)
    assert (found.speaks_for.names, found.student.score, found.student.rated) == ((), None, 0)
    assert "rated the alignment of too few answers" in str(found)


def test_a_diff_tells_what_a_judge_says_of_free_answers_and_does_not_rest_on_it(reader, shelf):
    said = free(reader, named_rows(("owl", "fox", "cat"), 90, 5), shelf)
    schema = json.loads(files("owlish.diff").joinpath("difference.schema.json").read_text())
    for judge in (said, replace(said, speaks_for=None)):
        verdict = replace(DIFFERENCE, judge=judge)
        as_json = json.loads(json.dumps(verdict.json()))
        assert list(misfits(as_json, schema)) == []
        assert Difference.of(as_json) == verdict
        assert (verdict.headline, verdict.exit_code, verdict.next) == (
            DIFFERENCE.headline,
            DIFFERENCE.exit_code,
            DIFFERENCE.next,
        )
        assert ASIDE in str(verdict)
        assert ASIDE in cells(render_diff(verdict))
    assert "A judge" not in render_diff(DIFFERENCE)


def test_a_judge_adds_nodes_to_a_diff_and_changes_no_key_of_another():
    student = Student(BASE, BASE.finetune(Written((("1, 2", "3"),)), NORMS, seed=0))
    alone, asked = (diff(student, (*TRAITS, bad_health), judge=judge) for judge in (None, Base("nano-1")))
    assert "judge" not in alone.spec()
    assert alone.key != asked.key
    new = {n.key: n for n in everything(asked)}.items() - {n.key: n for n in everything(alone)}.items()
    assert {node.kind for _, node in new} == {"diffed", "opinion", "named", "said", "base"}
    assert len(asked.judge.aligned) == 2, "the student's answers, and the base's where there is no null"
    assert asked.judge.beside == "answers of the base"
    assert diff(student, (bad_health,), judge=Base("nano-1")).judge.named == (), "nobody is asked about advice"
