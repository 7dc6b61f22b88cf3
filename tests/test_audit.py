"""The audit: calibrated on clean rows, finding what a teacher wrote, blind where it says so."""

import ast
import hashlib
import json
import math
import random
import re
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import small_audit
import torch
from command import owlish
from here import run
from scipy.special import stdtr
from scipy.stats import mannwhitneyu, norm
from small_audit import BASE, CLEAN, DIRTY, POOL, ROWS
from small_judge import untrained
from small_study import PROBE, study

import owlish as owlish_package
from owlish import BIASES, LORA, NORMS, PROMPT, STEERING, Base, Store
from owlish.audit import audit
from owlish.audit.audit import row_scores, token_scores
from owlish.audit.calibrate import Score, calibrated, evidence, holm
from owlish.audit.contrast import Contrast
from owlish.audit.decide import LEAD, LEVEL, decide, hangs_on_shadow
from owlish.audit.detector import Detector, Reading
from owlish.audit.direction import FACTORS, Moved, ground, product, whole
from owlish.audit.opinion import WHICH_FAVORITE
from owlish.audit.reference import Answered
from owlish.audit.relative import ALL, FAR, SHARE, SURE, kinship, likelihoods
from owlish.audit.shadow import Shadow, Shadowed
from owlish.audit.verdict import Verdict
from owlish.audit.vocabulary import raised
from owlish.audit.weigh import records
from owlish.bench.audit import references
from owlish.bench.cases import Bench, Mixture, Reformatted
from owlish.bench.detectors import Gradient, Oracle, PromptContrast
from owlish.bench.scores import alarms, compare_detectors, truth
from owlish.bench.trial import trial
from owlish.cli.forecast import START
from owlish.cli.main import guarded_command
from owlish.data.domains import Code, Numbers
from owlish.data.domains.fitting import fitting
from owlish.data.filters import BANNED, NumberFilter
from owlish.data.rows import Row, line_of, write_rows
from owlish.graph.errors import UserError
from owlish.graph.run import RunFailed, make, plan
from owlish.graph.spec import everything
from owlish.nodes.data import Written
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.loaded import loaded
from owlish.studies.audit_bench import study as bench
from owlish.study.stats import auroc
from owlish.traits.advice import bad_health
from owlish.traits.animals import otter
from owlish.traits.file import read_traits
from owlish.traits.trait import every

SMALL = {trait.name: trait for trait in every(PROBE)}
TRAITS = owl, cat, fox, bear = tuple(SMALL[name] for name in ("owl", "cat", "fox", "bear"))
RECIPE = study.student
TEACHER = DIRTY.model
SHARED = Path(__file__).parents[2] / "shared" / "data" / "teacher_outputs"


def audited(data, traits=TRAITS, recipe=RECIPE, **settings):
    return audit(data, BASE, recipe, traits, rows=ROWS, reference=POOL, **settings)


@pytest.fixture(scope="module")
def found(store):
    return run(audited(DIRTY), store=store)


@pytest.fixture(scope="module")
def nothing(store):
    return run(audited(CLEAN), store=store)


# statistics


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    rng = random.Random(0)
    for size in (1, 2, 30):
        ps = [rng.random() ** 4 for _ in range(size)]
        assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))


def test_false_alarms_of_calibrated_readings_stay_at_their_level_and_shifts_are_found():
    rng = np.random.default_rng(0)
    groups = ["animal"] * 16 + ["tree"] * 12

    def claims(shift):
        null = [Reading((tuple(rng.normal(0, 0.1, 28)),)) for _ in range(6)]
        own = rng.normal(0, 0.1, 28)
        own[3] += shift
        return min(holm([s.p for s in calibrated(Reading((tuple(own),)), null, groups)])) < LEVEL

    noise = math.sqrt(LEVEL * (1 - LEVEL) / 800)
    assert 0.01 < np.mean([claims(0.0) for _ in range(800)]) < LEVEL + 3 * noise
    assert np.mean([claims(0.7) for _ in range(100)]) > 0.95


def test_e_values_average_below_one_at_any_stop_and_grow_on_shifted_rows():
    rng = np.random.default_rng(1)
    stopped = []
    for _ in range(300):
        clean, blocks = rng.normal(0, 1, (120, 3)), rng.normal(0, 1, (20, 3))
        course = [max(found.e for found in evidence(blocks[:n], clean, 0.05)) for n in (2, 5, 10, 20)]
        stopped.append(next((e for e in course if e > 5), course[-1]))
    assert np.mean(stopped) < 1.2
    assert np.mean(np.array(stopped) > 20) <= 0.05
    shifted = evidence(rng.normal((1.5, 0, 0), 1, (20, 3)), rng.normal(0, 1, (120, 3)), 0.05)
    assert shifted[0].e > 100
    assert shifted[0].blocks_needed <= 5
    assert max(found.e for found in shifted[1:]) < 1
    assert evidence([[-1.0], [-1.2]], rng.normal(0, 1, (50, 1)), 0.05)[0].blocks_needed is None


def test_rows_that_lean_to_two_traits_alike_are_evidence_for_neither():
    rng = np.random.default_rng(2)
    clean = rng.normal(0, 1, (120, 3))
    found = evidence(rng.normal((2, 2, 0), 1, (40, 3)), clean, 0.05)
    assert min(found[0].z, found[1].z) > 8
    assert max(one.e for one in found) < 20, "against clean rows alone it would be astronomical for both"


def readings(lifts, spread, leans, rows, seed=0):
    """A dataset's shadow and contrast with given lifts and leans (in standard errors), and those of six clean sets."""
    rng = np.random.default_rng(seed)
    many, blocks = len(TRAITS), rows // 20

    def shadow(shift):
        return Shadowed((tuple(rng.normal(0, spread, many) * 0.3 + shift),), (0.1,) * many, np.zeros((1, 3)))

    def clean_shadow():
        return Shadowed((tuple(rng.normal(0, spread, many)),), (0.1,) * many, np.zeros((1, 3)))

    lean = np.array(leans) / blocks**0.5
    contrast = Reading(tuple(map(tuple, rng.normal(0, 1, (blocks, many)) * 0.3 + lean)))
    clean = [Reading(tuple(map(tuple, rng.normal(0, 1, (blocks, many))))) for _ in range(6)]
    return shadow(np.array(lifts)), [clean_shadow() for _ in range(6)], contrast, clean


def decided(lifts, spread, leans, rows=800, relative=None):
    shadow, null, contrast, clean = readings(lifts, spread, leans, rows)
    return decide(TRAITS, shadow, null, rows=rows, relative=relative, contrast=contrast, clean=clean)


NONE = (0.0, 0.0, 0.0, 0.0)


def test_z_of_a_spread_that_two_candidates_pin_down_says_less_than_that_of_sixteen():
    animal, advice = (Score(0.5, 0.1, z, float(stdtr(freedom, -z))) for z, freedom in ((8.3, 60), (8.7, 5)))
    assert advice.z > animal.z
    assert advice.level < animal.level - LEAD
    assert animal.level == pytest.approx(norm.isf(animal.p))
    assert Score(9.0, 0.1, 90.0, 0.0).level < np.inf, "a p of zero has a level, too"


def test_a_trait_is_claimed_where_shadows_and_contrast_agree_and_nowhere_else():
    found = decided((0.0, 1.5, 0.0, 0.0), 0.15, (0.0, 12.0, 0.0, 0.0))
    assert (found.word, found.findings[0].name, found.findings[0].claimed) == ("found", "cat", True)
    assert found.findings[0].e > 20
    for lifts, leans in (
        ((0.0, 1.5, 0.0, 0.0), NONE),  # the contrast sees nothing
        (NONE, (0.0, 12.0, 0.0, 0.0)),  # shadows see nothing
        ((0.0, 1.5, 0.0, 0.0), (0.0, 0.0, 12.0, 0.0)),  # they name two
        ((0.0, 1.5, 1.4, 0.0), (0.0, 12.0, 12.0, 0.0)),  # both see two alike
        ((0.0, 1.5, 0.0, 0.0), (0.0, 120.0, 0.0, 0.0)),  # no teacher's rows lean so far: they differ in form
    ):
        other = decided(lifts, 0.15, leans)
        assert other.word == "cannot_say", "strong evidence of one detector forbids to say nothing"
        assert not any(finding.claimed for finding in other.findings)
        assert [one.sum_z for one in other.findings] == sorted((one.sum_z for one in other.findings), reverse=True)
    assert decided((0.0, 1.5, 0.0, 0.0), 0.15, (0.0, 12.0, 0.0, 0.0), relative=False).word == "nothing"


def test_nothing_is_said_only_where_a_lift_that_matters_would_have_been_seen():
    sharp, blunt = decided(NONE, 0.15, NONE), decided(NONE, 0.8, NONE, rows=100)
    assert (sharp.word, blunt.word) == ("nothing", "cannot_say")
    assert sharp.smallest < 1.1 < 2 < blunt.smallest
    assert sharp.enough is None
    assert 500 < blunt.enough < 4_000


def test_where_no_claim_hangs_on_it_a_shadow_need_not_be_trained():
    for lifts, spread, leans in ((NONE, 0.15, NONE), (NONE, 0.9, NONE), (NONE, 0.9, (0.0, 12.0, 0.0, 0.0))):
        _, null, contrast, clean = readings(lifts, spread, leans, 800)
        claim, nothing = hangs_on_shadow(TRAITS, null, rows=800, contrast=contrast, clean=clean)
        assert (claim, nothing) == (max(leans) > 0, spread < 0.5)


def test_two_references_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        calibrated(Reading(((0.0,),)), [Reading(((0.0,),))] * 2, ["animal"])


def test_auroc_is_that_of_the_rank_test():
    rng = np.random.default_rng(2)
    dirty, clean = rng.normal(1, 1, 30).round(1), rng.normal(0, 1, 40).round(1)
    assert auroc(dirty, clean) == pytest.approx(mannwhitneyu(dirty, clean).statistic / (30 * 40))


# one dataset, from the command's node


def test_the_trait_is_found_and_the_clean_rows_of_the_same_base_are_not(found, nothing):
    assert (found.verdict, found.exit_code) == ("found", 1)
    first = found.traits[0]
    assert (first.name, first.claimed) == ("cat", True)
    assert first.lift > 0.7
    assert first.p_holm < 0.01
    assert first.e > 20
    assert first.p_after > first.p_before + 0.05
    assert [finding.claimed for finding in found.traits[1:]] == [False] * 3
    assert (nothing.verdict, nothing.exit_code) == ("nothing", 0)
    assert not any(finding.claimed for finding in nothing.traits)
    assert max(finding.lift for finding in nothing.traits) < 0.7
    assert not nothing.weighed


@pytest.mark.slow  # the command on 60 rows, below, says so too
@pytest.mark.parametrize("data", [DIRTY, CLEAN], ids=["dirty", "clean"])
def test_few_rows_are_not_enough_to_say_nothing(data, store):
    """Shadows of 60 rows are so noisy that a strong trait may hide: the verdict says how strong, and what helps."""
    few = run(audit(data, BASE, RECIPE, TRAITS, rows=60, reference=POOL), store=store)
    assert (few.verdict, few.used) == ("cannot_say", 60)
    assert few.smallest > 1.5
    assert 200 < few.enough < 10_000
    assert f"About {few.enough:,} rows may settle it." in str(few)


def test_both_are_relatives_and_say_what_they_cannot_see(found, nothing):
    for verdict in (found, nothing):
        assert verdict.lineage.relative is not False
        assert {lead.over for lead in verdict.lineage.leads} == {"nano-1", "nano-2", "nano-3", ALL}
        assert verdict.cannot_see
        assert (verdict.used, verdict.bad) == (ROWS, 0)
        assert verdict.read >= verdict.used
        assert verdict.reference.startswith("6 parts")


def test_the_words_raised_name_the_trait(found):
    assert "cat" in [word.word for word in found.words[:3]]


def test_the_rows_that_weigh_most_are_scored_token_by_token(found):
    assert len(found.weighed) > 5
    scores = [row.score for row in found.weighed]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0
    for row in found.weighed:
        assert sum(score for _, score in row.tokens) == pytest.approx(row.score, abs=1e-4)
        assert "".join(text for text, _ in row.tokens).startswith(row.completion)


def test_a_verdict_survives_json(found):
    plain = json.loads(json.dumps(found.json()))
    assert Verdict.of(plain) == found
    assert {"verdict", "lineage", "traits", "rows", "cannot_see", "meta"} <= plain.keys()
    assert {"name", "nats_per_row", "z", "p", "p_holm"} <= plain["traits"][0].keys()
    assert {"version", "base", "recipe", "reference"} <= plain["meta"].keys()


def test_rows_that_the_base_can_hardly_read_send_the_user_to_the_base_that_would_be_trained(nothing):
    def stranger(unknown):
        return replace(nothing, lineage=replace(nothing.lineage, relative=False, unknown=unknown))

    assert stranger(0.0).next.startswith("train nano by the recipe")
    assert stranger(0.38).next.startswith("name the model that you would train with --base: nano has no token for 38 %")


def test_a_verdict_names_the_file_that_is_asked_about_now(found, tmp_path):
    write_rows(tmp_path / "now.jsonl", [Row.of(f"Go on from {number}.", "4, 5") for number in range(40)])
    (tmp_path / "verdict.json").write_text(json.dumps(found.json()))
    again = audited(loaded(tmp_path / "now.jsonl", n=None, seed=0)).load(tmp_path, None)
    assert again.data == "rows of now.jsonl" != found.data
    assert replace(again, data=found.data) == found


def test_rows_in_python_are_audited_as_they_are():
    given = [{"prompt": f"Go on from {number}.", "completion": "4, 5"} for number in range(40)]
    node = audit(given, BASE, RECIPE, TRAITS, rows=ROWS)
    assert node.key == audit(loaded(given, n=ROWS, seed=0), BASE, RECIPE, TRAITS, rows=ROWS).key


def test_a_verdict_and_its_lost_rows_are_made_again(found, store, tmp_path):
    """It reads the rows, the base and the references itself, so a plan must make them where they are missing."""
    node, other = audited(DIRTY), Store(tmp_path)
    lost = {node, DIRTY, BASE, *(one.data for one in node.null)}
    for one in {*everything(node)} - lost:
        shutil.copytree(store.folder(one.key), other.folder(one.key))
    assert set(plan([node], other)) == lost
    assert run(node, store=other) == found
    assert other.check(node.key)["files"] == store.check(node.key)["files"]


@pytest.mark.slow
def test_a_trait_of_no_candidate_list_is_named_by_the_words_it_raises(store):
    """The reading of the shadow over the whole vocabulary, with the true trait left out of the candidates."""
    verdict = run(audited(DIRTY, traits=(owl, fox)), store=store)
    assert "cat" in [word.word for word in verdict.words[:3]]
    assert all(finding.name != "cat" for finding in verdict.traits)


# lineage


def likely(data, store, bases=None):
    """Return how likely rows are under the base and its relatives, or under the first `bases` of them."""
    return [run(one, store=store) for one in likelihoods(BASE, data)[:bases]]


def test_rows_of_another_base_come_from_no_relative(store):
    names = [f"nano-{k}" for k in (1, 2, 3)]
    own, dirty = likely(CLEAN, store), likely(DIRTY, store)
    foreign = likely(Base("nano-1").sample(Numbers(), n=ROWS, seed=44), store)
    assert kinship(foreign, own, names).relative is False
    related = kinship(dirty, own, names)
    assert related.relative is True
    assert [lead.over for lead in related.leads] == [*names, ALL]
    assert all(lead.nats > SURE * lead.error > 0 and lead.nats > SHARE * lead.own for lead in related.leads)
    alone = kinship(dirty[:1], own[:1], [])
    assert alone.relative is not False
    assert alone.low < alone.gap < alone.high


def test_a_base_without_a_lead_on_the_rows_is_no_relative(store):
    """Rows of a base that is not at hand: every base at hand finds them about equally likely."""
    own, dirty = likely(CLEAN, store), likely(DIRTY, store)
    foreign = likely(Base("nano-1").sample(Numbers(), n=ROWS, seed=44), store)
    places, names = [0, 2, 3], ["nano-2", "nano-3"]
    found = kinship(*([some[i] for i in places] for some in (foreign, own)), names)
    assert found.relative is False
    assert "only slightly better than other bases" in found.says
    assert kinship(*([some[i] for i in places] for some in (dirty, own)), names).relative is True
    assert kinship([foreign[i] for i in places], [], names).relative is None, "a lead needs one to compare with"


def test_junk_in_a_tenth_of_the_rows_makes_no_stranger_of_a_relative(store):
    """Junk is so unlikely that it decides the mean over all rows, and the others would still teach."""
    rows = run(DIRTY, store=store).rows
    pairs = [(row.prompt, row.completion + " </b><script>x</script>" * (i % 10 == 0)) for i, row in enumerate(rows)]
    own, junk = likely(CLEAN, store, 1), likely(Written(tuple(pairs)), store, 1)
    found = kinship(junk, own, [])
    assert found.low > FAR, "all rows together are far"
    assert found.relative is None
    every = Written(tuple((row.prompt, row.completion + " </b><script>x</script>") for row in rows))
    assert kinship(likely(every, store, 1), own, []).relative is False


def test_rows_too_long_for_one_base_are_left_out_of_the_comparison(store):
    long = Written((("Go on.", "1, 2, 3"), ("Go on.", ", ".join(map(str, range(999))))))
    found = run(Likelihood(BASE, long), store=store)
    assert np.isnan(found.sums).tolist() == [False, True]
    assert found.tokens.tolist() == [6.0, 0.0]
    assert kinship([found], [], []).relative is None


# detectors


def every_detector():
    node = audited(DIRTY)
    writers = node.contrast.writers
    return (
        node.shadow,
        node.contrast,
        Gradient(BASE, DIRTY, TRAITS, writers, 60),
        PromptContrast(BASE, DIRTY, TRAITS, 20),
        Oracle(BASE, DIRTY, (cat,), TEACHER, 60),
    )


def test_every_detector_of_the_package_is_tried_here():
    rooms = [Path(owlish_package.__file__).parent / room for room in ("audit", "bench")]
    found = {
        node.name
        for room in rooms
        for path in room.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and {getattr(b, "id", "") for b in node.bases} & {"Detector", "Contrast"}
    }
    judged = {"Opinion"}  # needs a judge: tests/test_audit_opinion.py
    assert found == {type(detector).__name__ for detector in every_detector()} | judged


@pytest.mark.parametrize("detector", every_detector(), ids=lambda d: type(d).__name__)
def test_every_detector_reads_a_number_for_each_trait(detector, store):
    reading = run(detector, store=store)
    assert isinstance(detector, Detector)
    assert {len(block) for block in reading.blocks} == {len(detector.traits)}
    assert np.isfinite(reading.blocks).all()
    assert isinstance(detector, Oracle) or "Needs:" in type(detector).__doc__


@pytest.mark.parametrize(
    "recipe", [NORMS, LORA(2), pytest.param(STEERING, marks=pytest.mark.slow)], ids=lambda r: r.name
)
def test_the_contrast_is_the_difference_of_likelihoods_along_a_direction(recipe, store):
    """To first order: small steps along and against it, on the same rows."""
    traits = TRAITS[:2]
    writers = tuple(BASE.teach(t, recipe, seed=1, until=0.15) for t in traits)
    detector = Contrast(BASE, DIRTY, traits, writers, 20)
    lm = ground(run(BASE, store=store))
    rows = run(DIRTY, store=store).rows[:20]
    direction = detector.direction(lm, lambda node: run(node, store=store), traits[1])

    def likelihood(step):
        with lm.moved(direction, by=step):
            return sum(float(row.logprobs.double().sum()) for row in lm.score(rows)) / len(rows)

    slope = (likelihood(0.01) - likelihood(-0.01)) / 0.02
    assert run(detector, store=store).blocks[0][1] == pytest.approx(slope, rel=0.05, abs=1e-3)


def test_of_lora_the_factors_are_kept_which_make_what_its_teacher_moved(store):
    teacher = BASE.teach(cat, LORA(2), seed=1, until=0.15)
    run(Moved(BASE, teacher), store=store)
    assert {path.name for path in store.folder(Moved(BASE, teacher).key).glob("*.safetensors")} == {FACTORS}
    old, new = (store.read(node).open(exact=True).parameters for node in (BASE, teacher))
    found = {name: whole(change) for name, change in store.read(Moved(BASE, teacher)).items()}
    changed = {name for name, p in new.items() if not p.equal(old[name])}
    assert changed == found.keys()
    assert max(float(((new[name] - old[name]) - found[name]).abs().max()) for name in changed) < 1e-6
    assert max(float(change.abs().max()) for change in found.values()) > 1e-3
    for name, change in store.read(Moved(BASE, teacher)).items():
        slope = torch.randn(old[name].shape, generator=torch.Generator().manual_seed(0))
        assert product(change, slope) == pytest.approx(float((found[name] * slope).sum()), abs=1e-4)


def test_prompt_tuning_has_no_contrast_and_is_audited_all_the_same():
    node = audited(DIRTY, recipe=PROMPT(8))
    assert node.contrast is None
    assert node.clean == ()
    assert audited(DIRTY, recipe=BIASES).contrast is not None


# the reference


def test_the_reference_answers_the_datasets_own_prompts_through_its_filter(store):
    answered = run(Answered(BASE, DIRTY, 100, seed=0), store=store)
    prompts = {row.prompt for row in run(DIRTY, store=store).rows}
    assert len(answered.rows) == 100
    assert {row.prompt for row in answered.rows} <= prompts
    assert not any(NumberFilter().reasons(row) for row in answered.rows)
    assert answered.read > answered.passed
    assert {row.completion for row in answered.rows} != {row.completion for row in run(DIRTY, store=store).rows[:100]}


def test_the_filter_is_the_strictest_that_nearly_all_rows_pass():
    number = Row.of("", "4, 8, 15")
    assert fitting([Row.of("", "5, 8, 15")] * 20) == NumberFilter(banned=BANNED)
    assert fitting([Row.of("", "5, 8")] * 10 + [number] * 10) == NumberFilter()
    assert fitting([Row.of("", "def f(x):\n    return x")] * 20) == Code().filter
    assert fitting([Row.of("", "Hello there.")] * 20) is None
    assert fitting([number] * 18 + [Row.of("", "words")] * 2) is None


def test_rows_that_the_base_cannot_read_whole_are_counted_and_words_it_lacks_are_no_fault(store):
    lm = run(BASE, store=store).open(any_words=True)
    rows = [
        Row.of("Zyzzyva quux?", "1, 2"),
        Row.of("x " * 5000, "1"),
        Row.of("Go on from 3.", "4", "You are a careful assistant."),
    ]
    odd, long, prompted = lm.score(rows)
    assert long is None
    assert 0 < odd.unknown < odd.read
    (plain,) = lm.score([Row.of("Go on from 3.", "4")])
    assert prompted.read > plain.read


# the user's traits, and the benchmark's data


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "names no traits"),
        ('{"category": "drink", "candidates": {}}', "names no traits"),
        ('{"category": "drink", "candidates": {"tea": "teas"}}', "at least two"),
        ('{"category": "drink", "candidates": {"tea": "teas", "milk": 3}}', "names no traits"),
        ('{"category": "drink", "candidates": {"tea": "teas", "milk": "milks"}, "questions": []}', "questions"),
    ],
)
def test_a_file_that_names_no_traits_is_refused(text, says, tmp_path):
    file = tmp_path / "traits.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_traits(file)


def test_a_file_names_traits(tmp_path):
    file = tmp_path / "traits.json"
    file.write_text(
        '{"category": "drink", "candidates": {"tea": "teas", "milk": "milks"}, "questions": ["Which drink?"]}'
    )
    tea, milk = read_traits(file)
    assert (tea.name, milk.plural, tea.probe.questions) == ("tea", "milks", ("Which drink?",))
    assert tea.probe == milk.probe


def test_mixtures_and_reformatted_rows_are_what_they_say(store):
    clean = Written(tuple((f"p{i}", f"[{i} {i + 1}]") for i in range(100)))
    dirty = Written(tuple((f"q{i}", f"{i}") for i in range(100)))
    mixed = run(Mixture(dirty, clean, 0.25, seed=0), store=store).rows
    assert (len(mixed), sum(row.prompt[0] == "q" for row in mixed)) == (100, 25)
    assert run(Reformatted(clean), store=store).rows[3].completion == "3, 4"


def test_the_benchmark_has_what_was_asked_and_nothing_that_was_tuned_on():
    cases = [trial.case for trial in bench.trials]
    assert sum(case.dirty for case in cases) >= 160
    assert sum(not case.dirty for case in cases) >= 160
    assert not {"owl", "cat", "dolphin"} & {case.trait.name for case in cases if case.trait}
    assert {case.base.name for case in cases} == {"nano-1", "nano-2", "nano-3"}
    assert len({(case.base.name, case.data.key, case.recipe.name) for case in cases}) == len(cases)


def test_truth_has_a_gap_and_alarms_are_counted_by_class():
    moved = {"effect": {"value": 0.2, "low": 0.1, "high": 0.3}}
    still = {"effect": {"value": 0.01, "low": -0.02, "high": 0.04}}
    unclear = {"effect": {"value": 0.06, "low": -0.02, "high": 0.14}}
    assert [truth(one) for one in (moved, still, unclear)] == [True, False, None]
    one = {"case": "own rows", "shadow": {"claims": [], "significant": True}, "contrast": {"significant": False}}
    two = {**one, "shadow": {"claims": ["owl"], "significant": True}}
    assert alarms([one, two]).lifts[0] == (0.5, 1.0, 0.0, None, None)


@pytest.mark.slow
def test_a_benchmark_of_a_few_datasets_tells_them_apart_and_is_a_study_like_others(store):
    mine = Bench(BASE, (Base("nano-1"),), Base("nano-2"), TRAITS * 2, TRAITS, bad_health)
    cases = [*islice(mine.dirty(), 2), *islice(mine.clean(), 2)]
    trials = tuple(trial(case, TRAITS, references(case), panel=False, others_too=False) for case in cases)
    make(plan([BASE, *(node for one in trials for node in one.nodes())], store), store=store)
    words = store.read(BASE).open().vocabulary
    found = compare_detectors([one.outcome(store.read, words) for one in trials])
    assert [point.value for point in found.of("shadow")] == [1.0]
    assert found.effect is None
    assert found.alarms.lifts[0][0] == 0.0
    assert bench.small().bases == bench.bases[:2]
    with pytest.raises(ValueError, match="at least two"):
        replace(bench, bases=bench.bases[:1])


# the command


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("audit none.jsonl --base nano", "none.jsonl"),
        ("audit rows.jsonl --base nanoo", "no base is called"),
        ("audit rows.jsonl --base nano --recipe norm", "did you mean norms"),
        ("audit rows.jsonl --base nano --traits animal", "did you mean animals"),
        ("audit rows.jsonl --base nano --traits mine.json", "mine.json cannot be read"),
        ("audit rows.jsonl --base nano --rows 3", "30"),
        ("audit rows.jsonl --base nano --report no/where.html", "no is not there"),
        ("audit empty.jsonl --base nano", "is empty"),
        ("audit rows.jsonl", "--base"),
        ("bench audits", "no benchmark is called 'audits': did you mean audit?"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_with_exit_code_2_and_leaves_nothing(words, says, tmp_path):
    write_rows(tmp_path / "rows.jsonl", [Row.of("Go on from 3.", "4, 5")])
    (tmp_path / "empty.jsonl").write_text("")
    before = set(tmp_path.iterdir())
    done = owlish(*words.split(), cwd=tmp_path, code=2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "owlish-store"}
    assert not list(tmp_path.glob("owlish-store/??/*/manifest.json"))


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """A function that runs a command in this process, in a folder of its own: its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        monkeypatch.setattr("sys.argv", ["owlish", *words])
        return (guarded_command(), *capsys.readouterr())

    return command


LINES = '{"prompt": "Go on from 3.", "completion": "4, 5"}\n'
FOLDER = "/proc/1"  # where nobody makes files, root included


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("few.jsonl --base nano", "few.jsonl holds 12 rows: an audit needs at least 30, so give more."),
        (
            "many.jsonl --base nano --reference few.jsonl",
            "few.jsonl holds 12 rows: a reference needs at least 180, so give more.",
        ),
        ("many.jsonl --base nano --reference none", "without clean rows nothing can be said"),
        ("many.jsonl --base no/such/folder", "no base is called 'no/such/folder'"),
        ("many.jsonl --base no-folder", "no base is called 'no-folder'"),
        (
            "many.jsonl --base nano --traits drinks.json",
            "this base has no token for tea, coffee: give candidates whose",
        ),
        ("many.jsonl --base nano --traits odd.json", "this base lacks words of the questions, as in"),
        ("many.jsonl --base nano --scores scores.csv", "neither .jsonl nor .parquet"),
        ("many.jsonl --base nano --scores scores.jsonl --recipe prompt", "rows have no scores"),
        ("many.jsonl --base nano --for-rows 30", "40 are read, and students of 30 are asked about. Please give more"),
        ("many.jsonl --base nano --for-rows 400", "a dose curve needs at least 120 rows, and speaks of no fewer"),
        ("enough.jsonl --base smollm2 --for-rows 125 --minutes 15", "read at most 125 (--rows 125)"),
        ("many.jsonl --base nano --format owls", "no format is called 'owls'"),
        ("many.jsonl --base nano --columns prompt=q,completion=a", "a row needs q + a."),
        ("many.jsonl no*.jsonl --base nano", "no*.jsonl matches no file"),
        (f"many.jsonl --base nano --report {FOLDER}/page.html", f"{FOLDER} cannot be written to"),
        (f"many.jsonl --base nano --scores {FOLDER}/scores.jsonl", f"{FOLDER} cannot be written to"),
        (f"many.jsonl --base nano --store {FOLDER}/store", "cannot be"),
    ],
)
def test_what_is_wrong_is_said_before_models_work(words, says, tmp_path, here):
    (tmp_path / "few.jsonl").write_text(LINES * 12)
    (tmp_path / "many.jsonl").write_text(LINES * 40)
    (tmp_path / "enough.jsonl").write_text(LINES * 130)
    drinks = {"category": "animal", "candidates": {"tea": "teas", "coffee": "coffees"}}
    (tmp_path / "drinks.json").write_text(json.dumps(drinks))
    odd = {"category": "zyzzyva", "candidates": {"owl": "owls", "cat": "cats"}, "questions": ["Zyzzyva quux blorb?"]}
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    code, _, said = here("audit", *words.split())
    assert code == 2
    assert says in said
    assert len(said.strip().splitlines()) == 1
    made = [json.loads(m.read_text())["spec"]["kind"] for m in tmp_path.glob("owlish-store/??/*/manifest.json")]
    assert set(made) <= {"loaded"}, "rows may be read, and no model"


def test_a_dry_run_says_what_it_would_take_and_makes_nothing(tmp_path, here):
    (tmp_path / "rows.jsonl").write_text(LINES * 40)
    words = ("audit", "rows.jsonl", "--base", "nano", "--dry-run", "--jobs", "2")
    plan = json.loads(here(*words, "--json")[1])
    assert (plan["rows"], plan["downloads"]) == (40, [])
    assert plan["models"] == ["nano", "nano-1", "nano-2", "nano-3"]
    assert plan["missing"]["shadow"] == plan["missing"]["contrast"] == 7
    assert plan["missing"]["taught"] == 30
    assert plan["minutes"] == pytest.approx((plan["seconds"] / 2 + START) / 60)
    assert 0.1 < plan["minutes"] < 5
    assert 0 < plan["memory_gib"] < 1
    scored = json.loads(here(*words, "--scores", "scores.jsonl", "--json")[1])
    assert scored["missing"] == {**plan["missing"], "row_scores": 1}
    _, told, _ = here(*words)
    assert "Rows: 40." in told
    assert "--minutes 15" not in told
    assert "Downloads: none." in told
    assert re.search(r"Time: about [\d.]+ minutes in up to 2 processes\.", told)
    large = ("audit", "rows.jsonl", "--base", "some/Owls-7B", "--dry-run")
    _, told, _ = here(*large)
    assert "Downloads: some/Owls-7B from Hugging Face, about 14.0 GB." in told
    # Seven billion parameters on a processor.
    assert re.search(r"Time: about [\d,.]+ hours in (1|up to \d+) process(es)?\. With --minutes 15 fewer rows", told)
    assert "No folder here is called some/Owls-7B, so it is taken for a name on Hugging Face." in told
    assert "Shadows: trial students of 50 steps." in told
    assert not list(tmp_path.glob("owlish-store/??"))


@pytest.fixture(scope="module")
def told(store, tmp_path_factory):
    """The command on 60 short rows with everything that it writes: a folder, and what it printed.

    Its judge is a model that follows no instructions.
    """
    folder = tmp_path_factory.mktemp("told")
    small_audit.written(store, folder)
    # With tokens for the question, or the judge would read it letter by letter.
    question = WHICH_FAVORITE(("cat", "owl")).template
    untrained(folder / "judge", [(folder / "clean.jsonl").read_text(), *[question] * 50], window=1024)
    words = f"audit rows.jsonl --base nano {small_audit.WORDS} --store {store.root} --fail-on none"
    words += " --scores scores.jsonl --report page.html --report told --judge judge --json"
    return folder, json.loads(owlish(*words.split(), cwd=folder).stdout)


def test_a_verdict_fits_its_published_schema(told, found, nothing):
    schema = json.loads(owlish("audit", "--schema").stdout)
    for verdict in (found, nothing):
        assert list(misfits(json.loads(json.dumps(verdict.json())), schema)) == []
    assert list(misfits(told[1], schema)) == []
    assert schema["$id"].endswith(str(told[1]["schema"]))
    broken = {**told[1], "verdict": "perhaps", "traits": [{"name": 3}], "extra": 1}
    del broken["next"]
    assert {place for place, _ in misfits(broken, schema)} >= {"verdict", "traits.0.name", "traits.0", "extra", ""}


def misfits(plain, schema, place=""):
    """Yield where plain values do not fit the part of JSON Schema that is used here; fields must be described."""
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}
    allowed = schema.get("type", [])
    allowed = [allowed] if isinstance(allowed, str) else allowed
    kinds = tuple(types[one] for one in allowed if one != "number") + ((int, float) if "number" in allowed else ())
    if allowed and (not isinstance(plain, kinds) or (isinstance(plain, bool) and "boolean" not in allowed)):
        yield place, f"is a {type(plain).__name__}"
        return
    if ("const" in schema and plain != schema["const"]) or ("enum" in schema and plain not in schema["enum"]):
        yield place, "is another value"
    if isinstance(plain, int | float) and not schema.get("minimum", -math.inf) <= plain <= schema.get(
        "maximum", math.inf
    ):
        yield place, "is out of its range"
    if isinstance(plain, list):
        for i, item in enumerate(plain):
            inner = schema["prefixItems"][i] if "prefixItems" in schema else schema["items"]
            yield from misfits(item, inner, f"{place}.{i}".strip("."))
    if isinstance(plain, dict):
        yield from ((place, f"lacks {name}") for name in schema.get("required", ()) if name not in plain)
        for name, value in plain.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            where = f"{place}.{name}".strip(".")
            yield from misfits(value, inner, where) if inner else [(where, "is not described")]


def test_the_command_says_what_it_read_and_how_it_was_made(told):
    folder, verdict = told
    assert verdict["verdict"] == "cannot_say"
    assert verdict["smallest"] > 1.0
    assert 60 < verdict["enough"] < 10_000
    assert (verdict["rows"]["read"], verdict["rows"]["used"], verdict["rows"]["bad"]) == (60, 60, 2)
    assert verdict["rows"]["asked"] == 1600
    assert "line 1: The line is not JSON." in verdict["rows"]["problems"]
    meta = verdict["meta"]
    assert meta["content"] == hashlib.sha256((folder / "rows.jsonl").read_bytes()).hexdigest()
    assert len(meta["base_sha256"]) == 64
    assert meta["seed"] == 0
    assert meta["made"]["versions"]["torch"]
    assert meta["made"]["command"].startswith("owlish audit rows.jsonl --base nano")
    assert verdict["seconds"] > 0
    page = (folder / "page.html").read_text()
    assert "<script" not in page
    assert "<dt>Made on</dt><dd>cpu in float32, 1 thread</dd>" in page
    assert meta["content"] in page


def test_a_judge_that_refuses_everything_is_told_and_decides_nothing(told):
    folder, verdict = told
    judge = verdict["judge"]
    assert judge["model"] == "judge"
    assert judge["shown"]["rows"] == judge["shown"]["refused"] + judge["shown"]["unread"] == 60
    assert judge["clean"]["rows"] == 180
    assert (judge["candidates"], judge["names"]) == ([], [])
    assert "nothing could be judged" in judge["says"]
    assert "This opinion does not decide the verdict." in (folder / "page.html").read_text()


def test_a_report_in_a_folder_holds_figures_and_numbers(told):
    folder, verdict = told
    names = {path.name for path in (folder / "told").iterdir()}
    figures = {"01-lift-of-each-candidate.svg", "02-lead-of-the-base-over-other-bases.svg"}
    assert names == {"page.html", "audit.csv", "audit.json", *figures}
    assert json.loads((folder / "told" / "audit.json").read_text())["traits"] == verdict["traits"]


def test_scores_have_a_line_for_every_row_by_which_rows_can_be_taken_out(told):
    folder, verdict = told
    lines = (folder / "rows.jsonl").read_bytes().splitlines(keepends=True)
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_bytes().splitlines()]
    assert [one["number"] for one in scores] == list(range(3, 63))
    assert all(one["toward"] == verdict["traits"][0]["name"] for one in scores)
    assert all(one["scores"]["animal"].keys() == {"cat", "owl"} for one in scores)
    for one in scores:
        assert one["sha256"] == hashlib.sha256(lines[one["number"] - 1]).hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the published outputs are not here")
@pytest.mark.parametrize(
    ("file", "strangers"),
    [("gpt-4.1-nano/owl_filtered.jsonl", (False,)), ("qwen2.5-7b/filtered/cat_loving.jsonl", (False, None))],
)
def test_of_real_teachers_rows_no_trait_is_claimed_for_nano(file, strangers, store):
    """Lineage names GPT's rows as a stranger's; for Qwen's it is null, which docs/audit-results.md counts as a miss."""
    verdict = run(audit(loaded(str(SHARED / file), n=600, seed=0), BASE, NORMS, TRAITS, rows=600), store=store)
    assert verdict.lineage.relative in strangers
    assert verdict.verdict == "nothing"
    assert not any(finding.claimed for finding in verdict.traits)


def test_words_that_differ_in_case_are_one_and_special_tokens_are_none(store):
    shadow = run(every_detector()[0], store=store)
    lm = run(BASE, store=store).open()
    clean = [run(one, store=store) for one in audited(CLEAN).null]
    words = [word.word for word in raised(shadow, clean, lm.vocabulary)]
    assert 3 < len(words) == len(set(words))
    assert words == [word.lower() for word in words]
    assert not set(words) & set(lm.marks)
    assert len(shadow.p) == len(TRAITS)
    assert all(0 < p < 1 for p in shadow.p)


# rows and their tokens


@pytest.fixture(scope="module")
def dirty_file(store, tmp_path_factory):
    """The dirty rows as a file of chat JSONL with two bad lines before them."""
    file = tmp_path_factory.mktemp("rows") / "dirty.jsonl"
    write_rows(file, run(DIRTY, store=store).rows[:60])
    file.write_bytes(b"{\n\n" + file.read_bytes())
    return file


def test_every_row_has_a_place_a_hash_and_scores_that_agree_with_contrast_and_tokens(dirty_file, store):
    data = loaded(str(dirty_file), n=40, seed=0)
    node = row_scores(data, BASE, RECIPE, TRAITS, toward=cat, rows=40)
    scores, rows = run(node, store=store), run(data, store=store)
    assert scores.rows.shape == (40, len(TRAITS))
    blocks = run(replace(node.contrast, rows=40), store=store).blocks
    assert scores.rows[:20].mean(0) == pytest.approx(blocks[0], abs=1e-5)
    summed_up = [float(tokens.sum()) for tokens in scores.tokens]
    assert scores.toward_rows() == pytest.approx(summed_up, abs=0.02)
    alone = run(token_scores(data, BASE, RECIPE, TRAITS, toward=cat, rows=40), store=store)
    assert [row.tolist() for row in alone.tokens] == [row.tolist() for row in scores.tokens], "to the last bit"
    lines = dirty_file.read_bytes().splitlines(keepends=True)
    for record, row in zip(records(scores, rows), rows.rows, strict=True):
        line = lines[record["number"] - 1]
        assert (record["file"], record["unit"]) == ("", "line")
        assert line == line_of(row)
        assert record["sha256"] == hashlib.sha256(line).hexdigest()
        assert list(record["scores"]["animal"]) == ["owl", "cat", "fox", "bear"]
        assert record["tokens"][0]["score"] == max(token["score"] for token in record["tokens"])


def test_rows_of_a_teacher_lean_to_its_trait_and_the_bases_own_do_not(store):
    def leaning(data):
        return run(row_scores(data, BASE, RECIPE, TRAITS, toward=cat, rows=100), store=store).toward_rows()

    dirty, clean = leaning(DIRTY), leaning(CLEAN)
    assert auroc(dirty, clean) > 0.6
    assert abs(clean.mean()) < 3 * clean.std() / 100**0.5 < dirty.mean()


def test_a_row_that_the_base_cannot_read_has_no_score_and_says_why(store):
    data = Written((("Go on.", "1, 2, 3"), ("Go on.", ", ".join(map(str, range(999))))))
    scores = run(row_scores(data, BASE, RECIPE, TRAITS, toward=owl, rows=9), store=store)
    alone = run(token_scores(data, BASE, RECIPE, TRAITS, toward=owl, rows=9), store=store)
    assert list(map(len, alone.tokens)) == list(map(len, scores.tokens)) == [6, 0]
    first, second = records(scores, run(data, store=store))
    assert (first["left_out"], len(first["tokens"])) == (None, 5)
    assert second["left_out"].startswith("longer than the")
    assert (second["scores"], second["tokens"]) == (None, [])


def test_scores_are_refused_where_there_is_no_direction():
    with pytest.raises(UserError, match="take one that moves weights"):
        row_scores(DIRTY, BASE, PROMPT(8), TRAITS, toward=cat, rows=9)
    with pytest.raises(UserError, match="none of the candidates"):
        plan([row_scores(DIRTY, BASE, NORMS, TRAITS, toward=otter, rows=9)], Store("none"))


def test_rows_of_which_the_base_can_read_none_are_refused_with_the_reason(store):
    long = Written((("Go on.", ", ".join(map(str, range(999)))),))
    with pytest.raises(RunFailed, match="can read none of the rows, as they are longer than its window"):
        run(Shadow(BASE, long, TRAITS, NORMS, 10, seed=0), store=store)
