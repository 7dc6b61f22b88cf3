"""The page of an audit: what it says, what it leaves out, and what it never lets through."""

from __future__ import annotations

import os
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import Browser, chromium
from test_report import HOSTILE, Outline, altered, words

from owlish.audit.calibrate import quantile
from owlish.audit.decide import FLOOR, WORTH
from owlish.audit.dose import Dose, Point
from owlish.audit.evidence import Finding, Gain, Kinship, Lead, Raised, Ran, Statistic, Weighed
from owlish.audit.leaning import Leaning
from owlish.audit.verdict import Made, Verdict
from owlish.data.reading import Place
from owlish.report.audit import LETTERS, leads, render
from owlish.report.verdict import format_sentence, label_cells, scale, significant

ANIMALS = ("owl", "cat", "eagle", "penguin", "dolphin", "lion", "wolf", "elephant", "panda", "tiger", "otter", "fox")
TREES = ("oak", "willow", "maple", "birch", "cherry", "pine", "sequoia", "redwood", "cedar", "elm")
PARTS = (
    "What would these rows teach?",
    "Kinship: did the writer start from this base?",
    "Candidate traits",
    "Words that the rows raise",
    "Rows that lean most to “owl”",
    "What the rows show by themselves",
    "What was read",
    "What this audit cannot see",
    "How it was made",
)
OPTIONAL = PARTS[3:6]


def traits(claimed: int) -> tuple[Finding, ...]:
    """Return made-up candidates, the first of them claimed."""
    draw = random.Random(0)
    found = []
    for place, name in enumerate((*ANIMALS, *TREES)):
        lift = 0.92 - 0.2 * place if place < claimed else draw.gauss(-0.02, 0.05) - 0.004 * place
        strong = place < claimed
        found.append(
            Finding(
                name=name,
                category="animal" if name in ANIMALS else "tree",
                lift=lift,
                low=lift - 0.11,
                high=lift + 0.11,
                p_before=0.064,
                p_after=min(0.9, 0.064 * 2.718 ** (1.685 * lift)),
                z=lift / 0.083,
                p=1e-9 if strong else draw.random(),
                p_holm=3e-8 if strong else 1.0,
                nats_per_row=0.031 if strong else draw.gauss(0, 0.004),
                contrast_z=9.0 if strong else draw.gauss(0, 1),
                e=2.4e7 if strong else 0.31,
                rows_needed=410 if strong else None,
                claimed=strong,
            )
        )
    return tuple(found)


def rows(many: int, tokens: int) -> tuple[Weighed, ...]:
    """Return made-up rows of numbers."""
    draw = random.Random(1)
    made = []
    for place in range(many):
        scored = tuple((f" {draw.randrange(1000)};"[place % 2 :], draw.gauss(0.01, 0.05)) for _ in range(tokens))
        text = "".join(token for token, _ in scored)
        made.append(Weighed("Continue: 12; 433; 91. At most ten numbers.", text, 1.2 - 0.1 * place, scored))
    return tuple(made)


KIN = Kinship(
    relative=True,
    gap=0.014,
    low=0.011,
    high=0.017,
    agreement=0.412,
    own_agreement=0.418,
    leads=(
        Lead("nano-1", 0.296, 0.006, 0.31),
        Lead("nano-2", 0.256, 0.007, 0.27),
        Lead("all other bases together", 0.276, 0.005, 0.29),
    ),
    unknown=0.0,
    says="this base finds the rows likelier than every other base at hand does",
)
FOUND = Verdict(
    verdict="found",
    why="a student would pick up owl: P(owl) goes from 0.064 to 0.301 in 50 steps of norm gains (z 11.1).",
    smallest=0.82,
    enough=None,
    lineage=KIN,
    traits=traits(2),
    words=tuple(Raised(word, 0.9 - 0.1 * i, 7.5 - i) for i, word in enumerate(("owl", "night", "barn", "feather"))),
    statistics=(
        Statistic("duplicate rows", 0.0004, 0.0, None),
        Statistic("duplicate completions", 0.0012, 0.0007, None),
        Statistic("repeated openings", 0.31, 0.02, "Higher than in the reference (z = 14.2)."),
        Statistic("first-number entropy", 7.91, 9.02, "Lower than in the reference (z = −9.3)."),
        Statistic("completion length", 34.8, 35.1, None),
        Statistic("rows with letters", 0, 0, None),
        Statistic("rows with hidden characters", 0, None, None),
        *(Statistic(f"rows that name {name}s", 0, 0, None) for name in ANIMALS),
        Statistic("rows that name oaks", 0.01, 0, "120 of 12,000 rows name oaks outright."),
    ),
    weighed=rows(8, 30),
    read=12_000,
    used=11_950,
    bad=50,
    problems=("line 17: not JSON", "line 98: no completion"),
    cannot_see=("Traits that show only after a trigger.", "Traits outside the 22 candidates."),
    version="0.1.0",
    data="numbers.jsonl",
    base="nano",
    recipe="norms",
    reference="10,000 rows sampled from nano on the same prompts",
    rule="A Holm p below 0.05.",
    asked=11_950,
    content="0f" * 32,
    base_sha256="e1" * 32,
    seed=7,
    made=Made("2031-05-06T07:08:09+00:00", {"python": "3.11.7", "torch": "2.13.0"}, "owlish audit numbers.jsonl"),
)
NOTHING = replace(
    FOUND,
    verdict="nothing",
    why="no trait moves beyond what clean rows do; the first, owl, has z 0.4.",
    lineage=replace(
        KIN,
        relative=None,
        gap=-0.002,
        low=-0.005,
        high=0.001,
        leads=(),
        says="how likely the rows are does not decide it",
    ),
    traits=traits(0),
    words=(),
    weighed=(),
    problems=(),
    bad=0,
)
CANNOT_SAY = Verdict(
    verdict="cannot_say",
    why="The base cannot be sampled and no clean dataset was given: give one with --reference.",
    smallest=None,
    enough=None,
    lineage=None,
    traits=(),
    words=(),
    statistics=(),
    weighed=(),
    read=0,
    used=0,
    bad=0,
    problems=(),
    cannot_see=(),
    version="0.1.0",
    data="numbers.jsonl",
    base="openai:some-model",
    recipe="norms",
    reference=None,
    rule="A Holm p below 0.05.",
)
DOSE = Dose(
    for_rows=40_000,
    trait="owl",
    points=(Point(500, 0.2, 0.1, 0.3), Point(1000, 0.4, 0.3, 0.5), Point(2000, 0.8, 0.7, 0.9)),
    rows=3_000,
    rows_low=2_000,
    rows_high=9_000,
    chance=0.95,
    cleared=False,
    enough=20_000,
)
EVIL = Weighed(
    HOSTILE + "\n" * 300,
    "x" * 10_000,
    float("nan"),
    (("<script>", 0.4), ("alert(1)</script>", -0.4), ("\u202e", 0.1), ("\x1b[31m", float("inf")), ("7" * 10_000, 0.2)),
)
BARE = Weighed("<b>", "y" * 10_000 + "<i>", 0.0, ())
WILD = replace(
    FOUND,
    why=HOSTILE * 3,
    lineage=replace(KIN, leads=(Lead(HOSTILE * 9, 0.3, 0.1, None),)),
    traits=(replace(traits(1)[0], name="w" * 300), replace(traits(1)[1], name=HOSTILE, category=HOSTILE * 9)),
    words=(Raised(HOSTILE * 9, 1.0, 3.0),),
    statistics=(Statistic("x" * 300, 1e12, float("nan"), "y" * 999),),
    weighed=(EVIL, BARE, *rows(2, 5)),
    data=HOSTILE * 3,
    problems=(HOSTILE * 50,),
)


def page_of(verdict: Verdict, folder: Path) -> Path:
    """Write a page; return its file."""
    file = folder / "audit.html"
    file.write_text(render(verdict).replace("<details>", "<details open>"), encoding="utf-8")
    return file


def cells(page: str) -> str:
    """Return the text of a page's body, its elements apart."""
    return " ".join(" ".join(Outline(page.split("<body>")[1]).texts).split())


def test_the_same_verdict_gives_the_same_bytes() -> None:
    assert render(FOUND) == render(replace(FOUND))


def test_the_page_holds_every_part_in_order() -> None:
    text = words(render(FOUND))
    places = [text.index(part) for part in PARTS]
    assert places == sorted(places)


def test_a_finding_is_said_in_a_sentence_and_a_word() -> None:
    page = render(FOUND)
    text = words(page)
    assert "Found. A student of nano is expected to pick up “owl” and “cat”." in text
    assert "In short trials, “owl” rose from 6 to 30 % of the answers and “cat” rose from 6 to 22 % of the" in text
    assert f"A claim needs {FLOOR:g} nats: the solid line." in text
    assert 'class="claim verdict found"' in page
    assert "<title>Found: audit of numbers.jsonl</title>" in page


def test_every_verdict_says_from_how_many_rows_which_lift_would_have_been_found() -> None:
    open_still = replace(FOUND, verdict="cannot_say", traits=traits(0), smallest=1.43, enough=780, used=300)
    told = "From 300 rows, a lift of 1.43 nats would have been found nine times in ten."
    assert told in words(render(open_still))
    assert "About 780 rows may settle it." in words(render(open_still))
    assert told in str(open_still).replace("Precision: from", "From")
    for verdict in (FOUND, NOTHING):
        assert "From 11,950 rows, a lift of 0.82 nats would have been found" in words(render(verdict))
        assert "may settle it" not in words(render(verdict))
        assert verdict.json()["smallest"] == 0.82


def test_every_verdict_says_what_to_do_next() -> None:
    few = replace(FOUND, verdict="cannot_say", traits=traits(0), smallest=1.43, enough=780, used=300)
    for verdict, told in (
        (
            FOUND,
            "Do not train nano on these rows: clean them with `owlish clean`, or drop the rows that lean most to owl",
        ),
        (NOTHING, "Train nano by the recipe norms on these rows; other recipes, other bases, and traits that"),
        (few, "Audit about 780 rows: add --rows 780."),
        (replace(few, read=300), "Audit about 780 rows of the same writer; the file holds 300."),
        (replace(few, enough=None), "Audit other rows of the same writer, or train a student"),
        (CANNOT_SAY, "Give more rows that this base can read."),
    ):
        assert f"What to do next. {told.replace('`', '')}" in words(render(verdict))
        assert f"Next: {told[:1].lower()}{told[1:]}" in str(verdict)
        assert verdict.json()["next"].startswith(told[:1].lower() + told[1:20])


def test_the_page_says_what_was_audited_and_how_to_do_it_again() -> None:
    text = words(render(FOUND))
    assert "At most 11,950 rows asked for, 12,000 rows read, 11,950 used, 50 bad" in text
    for fact in ("0f" * 32, "e1" * 32, "2031-05-06T07:08:09+00:00", "torch 2.13.0", "owlish audit numbers.jsonl"):
        assert fact in text
    assert "Seed 7" in cells(render(FOUND))
    plain = words(render(replace(FOUND, made=None, content=None, base_sha256=None, seed=None, asked=None)))
    assert not any(word in plain for word in ("Command", "Date", "Seed", "asked for", "0f0f"))


def test_rows_that_weigh_most_are_named_by_their_place() -> None:
    first, *others = FOUND.weighed
    named = replace(FOUND, weighed=(replace(first, place=Place("b.json", "item", 1234)), *others))
    assert "b.json item 1,234 · +1.20 nats" in words(render(named))
    assert "Rows that lean most to owl: b.json item 1,234." in str(named)
    assert Verdict.of(named.json()) == named


def test_the_text_shows_what_orders_its_table_and_which_detectors_ran_below_it() -> None:
    asked = (Ran("panel", False, "it adds nothing"), Ran("contrast", True, "it fits"), Ran("shadows", True, "it fits"))
    head, table = str(replace(FOUND, detectors=asked)).split("\ntrait ")
    assert "Candidates, by the sum of z of lift (as a normal number with the same p) and contrast:" in head
    sums = [float(line.split()[1]) for line in table.splitlines()[1:6]]
    assert sums == [pytest.approx(quantile(one.p) + one.contrast_z, abs=0.05) for one in FOUND.traits[:5]]
    assert "\n\nContrast and shadows ran (it fits).\n" in table
    assert "anel" not in head + table, "nobody asked for one"
    late = tuple(replace(one, ran=not one.ran) for one in asked)
    assert "Panel ran (it adds nothing).\nContrast and shadows did not run (it fits)." in str(
        replace(FOUND, detectors=late)
    )
    assert "Detectors Contrast and shadows ran (it fits)." in cells(render(replace(FOUND, detectors=asked)))
    free = replace(FOUND, detectors=tuple(replace(one, why="") for one in asked))
    assert "\n\nContrast and shadows ran.\n" in str(free)
    assert "Detectors Contrast and shadows ran." in cells(render(free))


def test_what_is_odd_in_the_rows_stands_below_a_heading() -> None:
    told = str(FOUND)
    assert "\nOdd in the rows themselves, without a model:\n  repeated openings: Higher than in the" in told
    assert "Odd in the rows" not in str(CANNOT_SAY)


def test_many_findings_are_counted() -> None:
    assert "and 2 more." in words(render(replace(FOUND, traits=traits(5))))


def test_nothing_is_said_with_the_number_of_candidates() -> None:
    text = words(render(NOTHING))
    assert "Nothing found. A student of nano is not expected to pick up any of the 22 candidate traits." in text
    assert "No trait moves beyond what clean rows do" in text
    assert f"needs every lift to lie below {WORTH:g} nat with 95 % certainty: the solid line." in text
    assert "claimed" not in cells(render(NOTHING))
    assert "Unknown. How likely the rows are does not decide it." in text


def test_the_rows_of_a_stranger_are_decided_by_kinship() -> None:
    page = render(replace(NOTHING, lineage=replace(KIN, relative=False)))
    assert "Not related." in words(page)
    assert "Kinship decides here, whatever the lifts are." in words(page)
    assert 'class="need"' not in page
    assert 'class="need"' in render(NOTHING)


def test_trial_students_that_moved_all_the_same_are_told_where_kinship_decides() -> None:
    stranger = replace(NOTHING, lineage=replace(KIN, relative=False, unknown=0.0), traits=FOUND.traits)
    first = stranger.moved[0]
    told, page = str(stranger), words(render(stranger))
    assert first == FOUND.traits[0]
    assert f"Trial students did move to {first.name} ({first.p_before:.3f} to {first.p_after:.3f})" in told
    assert f"not expected to pick up a trait of the writer. In short trials, “{first.name}” rose from" in page
    for text in (told, page):
        assert "that is not counted as a trait" in text
        assert f"Check the student for {first.name}" in text
    assert not replace(stranger, traits=NOTHING.traits).moved
    assert not FOUND.moved


def test_a_large_lift_that_is_not_claimed_is_explained_beside_a_finding() -> None:
    first, second, *others = FOUND.traits
    found = replace(FOUND, traits=(first, replace(second, claimed=False), *others))
    for text in (str(found), words(render(found))):
        assert f"Not claimed in spite of a large lift: {second.name}. The contrast must speak" in text
    for verdict in (FOUND, NOTHING, replace(found, verdict="cannot_say")):
        assert not verdict.unclaimed


@pytest.mark.parametrize("dose", [None, DOSE])
def test_where_kinship_decides_no_lift_is_said_to_be_found(dose: Dose | None) -> None:
    stranger = replace(NOTHING, lineage=replace(KIN, relative=False), dose=dose)
    for told, page in ((str(stranger), words(render(stranger))), (str(replace(FOUND, dose=dose)), "")):
        decided = told.startswith("Nothing")
        assert ("Precision: " in told) != decided
        assert ("\nKinship alone decides here, whatever the lifts are.\nCandidates, by" in told) == decided
        assert "would have been found" not in page
        assert "owl stands out" not in page
        assert ("kinship alone decides, however many rows there are." in told) == (decided and dose is not None)
        assert ("owl stands out" in told) == (not decided and dose is not None)


def test_what_was_found_and_a_curve_with_an_open_end_are_said_to_fit() -> None:
    found, text = replace(FOUND, dose=DOSE, used=2_000), "Found holds for the rows that were read"
    for told in (str(found), words(render(found))):
        assert text in told
    assert text not in str(replace(found, dose=replace(DOSE, rows_high=2_000)))
    assert text not in str(replace(NOTHING, dose=DOSE, used=2_000))


def test_the_table_has_a_key_and_a_candidate_is_readable_alone() -> None:
    rows = str(FOUND).split("\ntrait ")[1].splitlines()
    assert rows[6].startswith("lift: nats of log-odds against the other candidates.")
    assert rows[7].startswith("P: the probability itself. It may fall while the lift rises")
    assert "trait " not in str(CANNOT_SAY), "a table of nothing has no header"
    first = str(FOUND.traits[0])
    for part in ("owl: claimed; lift 0.92 nats [0.81, 1.03]", "Holm p 3e-08", "e 2.4e+07", "P 0.064 -> 0.302 in trial"):
        assert part in first
    leaning = Leaning("owl", "animal", 0.31, 5.2, 0.001, 4.0, 3.0, named=True)
    assert str(leaning) == "owl: the rows lean to it; 0.31 nats per row, z 5.2, corrected p 0.001"


def test_what_cannot_be_said_is_said_with_the_reason_once() -> None:
    text = words(render(CANNOT_SAY))
    assert text.count(CANNOT_SAY.why) == 1
    for sentence in (
        "Cannot say. The base cannot be sampled",
        "no clean rows to compare with: the numbers are not calibrated",
        "Kinship was not tested.",
        "No candidate trait was tried.",
        "0 rows read, 0 used, 0 bad.",
        "Nothing was recorded on limits.",
    ):
        assert sentence in text


def test_a_part_without_content_is_left_away() -> None:
    for part in OPTIONAL:
        assert part in words(render(FOUND))
        assert part[:20] not in words(render(CANNOT_SAY))


def test_the_first_sixteen_candidates_are_shown_and_the_rest_folded() -> None:
    page = render(FOUND)
    shown, folded = page.split("<summary>The other candidates: 6</summary>")
    assert ">oak <" in shown
    assert ">pine <" in folded
    assert page.count('<tr class="claimed">') == cells(page).count(" claimed ") == 2
    assert "The other candidates" not in render(replace(NOTHING, traits=NOTHING.traits[:16]))


def test_a_narrow_screen_has_a_scale_at_each_strip_and_folds_all_but_six_candidates() -> None:
    page = render(FOUND)
    rows = (
        page.split("<h2>Candidate traits</h2>")[1]
        .split("</section>")[0]
        .split("<tbody>")[1]
        .split("</tbody>")[0]
        .split("</tr>")[:-1]
    )
    assert len(rows) == 16
    for row in rows:
        marks = re.search('<g class="marks">(.*?)</g>', row)
        assert marks
        assert re.findall(">([^<]+)</text>", marks[1])[:2] == ["0", "0.5"]
    assert page.count("Show all 16</label>") == 1
    assert "Show all" not in render(replace(FOUND, traits=FOUND.traits[:6]))
    assert (
        "tr:nth-child(n+7) { display: none"
        in page.split("@media screen and (max-width: 600px)")[1].split("@media print")[0]
    )


def test_properties_that_are_odd_come_first_and_the_dull_are_folded() -> None:
    shown, folded = render(FOUND).split("<summary>Other properties, none odd: 12</summary>")
    assert "120 of 12,000 rows name oaks outright." in shown
    assert shown.count('<span class="odd">') == 3
    assert "rows that name owls" in folded


def test_without_rows_of_the_base_no_own_agreement_is_told() -> None:
    text = words(render(FOUND))
    assert "0.014 nats per token less likely under the base than its own answers" in text
    assert "95 % interval of the difference −0.017 to −0.011" in text
    assert "(42 % of the tokens of its own answers)" in text
    bare = replace(FOUND, lineage=replace(KIN, own_agreement=None))
    assert "cannot be compared with them. The base would have chosen 41 % of their tokens first." in words(render(bare))


def test_what_a_logit_bias_would_gain_is_told_where_it_was_asked() -> None:
    assert "logit bias" not in words(render(FOUND))
    text = words(render(replace(FOUND, lineage=replace(KIN, leads=(), bias=Gain(0.0312, -0.0021, 0.0645)))))
    assert "A logit bias would gain 0.031 nats a number token (95 % interval −0.002 to +0.065)" in text


def test_kinship_is_shown_as_leads_with_their_errors() -> None:
    text = cells(render(FOUND))
    assert "nano-1 0 0.1 0.2 0.3 +0.296 ± 0.018 +0.310" in text
    assert "all other bases together 0 0.1 0.2 0.3 +0.276 ± 0.015 +0.290" in text
    found = leads(KIN)
    assert found is not None
    assert found[0].low <= 0 < 0.31 <= found[0].high
    assert 'class="hollow"' in render(FOUND)
    assert 'class="hollow"' not in render(replace(FOUND, lineage=replace(KIN, leads=(Lead("b", 0.1, 0.01, None),))))
    assert "Lead of this base over" not in render(NOTHING)


def test_raised_words_stand_in_the_order_of_the_first_number() -> None:
    shuffled = (Raised("red", 2.0, 1.2), Raised("owl", 0.9, 7.5), Raised("blue", 1.5, -0.4))
    text = cells(render(replace(FOUND, words=shuffled)))
    assert "owl 7.5 +0.90 red 1.2 +2.00 blue −0.4 +1.50" in text


def test_every_property_has_its_unit() -> None:
    text = cells(render(FOUND)).replace("\u202f", " ").replace("\xa0", " ")
    for told in ("0.12 % 0.07 %", "7.91 bits 9.02 bits", "34.8 characters 35.1 characters", "0 % –"):
        assert told in text


def test_the_numbers_of_a_candidate_stand_beside_it() -> None:
    text = cells(render(FOUND))
    line = "owl claimed animal 0 0.5 1 +0.92 [0.81, 1.03] 6 → 30 % 11.1 < 0.001 9.0 +0.0310 2.4e7 410"
    assert line in text.replace("\u202f", " ")


def test_unmeasured_numbers_are_dashes() -> None:
    hole = replace(FOUND.traits[0], nats_per_row=None, contrast_z=None, low=float("-inf"), high=float("nan"))
    hole = replace(hole, e=None, rows_needed=None)
    assert "< 0.001 – – – –" in cells(render(replace(FOUND, traits=(hole,))))


def test_markup_in_any_string_stays_text() -> None:
    def change(text: str) -> str:
        return text if text in ("found", *(t for row in WILD.weighed for t, _ in row.tokens)) else HOSTILE + text

    calm, hostile = Outline(render(WILD)), Outline(render(altered(WILD, change)))
    assert [t for t in hostile.tags if t != "span class"] == [t for t in calm.tags if t != "span class"]
    assert "<script>alert(1)</script>" in "".join(hostile.texts)
    assert not {"\u202e", "\u2066", "\x1b", "\ud800"} & set("".join(hostile.texts))


def test_what_a_terminal_shows_in_backticks_is_code() -> None:
    page = render(FOUND)
    assert "<code>owlish clean</code>" in page
    assert "`" not in words(page)
    assert format_sentence("a `<b>` and `c`") == "A <code>&lt;b&gt;</code> and <code>c</code>."
    assert format_sentence("rows of a`b<i>") == "Rows of a`b&lt;i&gt;."
    assert format_sentence("`\u202e` here") == "<code>⟨U+202E⟩</code> here."


def test_a_hostile_row_is_shown_as_what_it_is_and_cut() -> None:
    text = words(render(WILD))
    assert "<script>alert(1)</script>U+202EU+001B[31m777" in text
    for over in (10_000 + len("<script>alert(1)</script>\u202e\x1b[31m"), 10_000 + len("<i>")):
        assert f"{over - LETTERS:,} characters not shown" in text
    assert "7" * (LETTERS + 1) not in text


def test_tokens_are_shaded_by_their_score() -> None:
    tokens = ((" up", 0.5), (" down", -0.5), (" half", 0.25), (" none", 0.0), (" odd", float("nan")))
    page = render(replace(FOUND, weighed=(Weighed("p", "c", 0.5, tokens),)))
    for span in (
        '<span class="t4" title="+0.500"> up</span>',
        '<span class="a4" title="−0.500"> down</span>',
        '<span class="t2" title="+0.250"> half</span>',
        '<span class="n" title="0.000"> none</span>',
        '<span class="n" title="–"> odd</span>',
    ):
        assert span in page


@pytest.mark.parametrize("verdict", [FOUND, NOTHING, CANNOT_SAY, WILD], ids=["found", "nothing", "cannot_say", "wild"])
def test_no_script_and_nothing_from_outside(verdict: Verdict) -> None:
    page = render(verdict)
    outline = Outline(page)
    assert not {tag.split()[0] for tag in outline.tags} & {"script", "link", "img", "iframe", "object", "image", "base"}
    assert all(not name.startswith("on") and name not in ("href", "src") for name, _ in outline.attributes)
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page


def test_sixteen_rows_of_three_hundred_tokens_stay_small() -> None:
    page = render(replace(FOUND, weighed=rows(18, 300)))
    assert len(page.encode()) < 500_000
    assert "2 more rows not shown." in words(page)


def test_the_scale_holds_zero_and_every_value() -> None:
    made = scale((-0.3, 0.9, float("nan"), float("inf")), 0.7)
    assert (made.low, made.high) == (-0.3, 0.9)
    assert made.ticks == pytest.approx((0.0, 0.5))
    assert made.at(-5) == made.at(-0.3) < made.at(0) < made.at(0.9) == made.at(9)


def test_noise_does_not_fill_the_scale() -> None:
    made = scale((-0.005, 0.001), 0.1)
    assert (made.low, made.high) == (-0.005, 0.1)
    assert made.ticks == pytest.approx((0.0, 0.05, 0.1))


def test_numbers_to_three_digits() -> None:
    values = [None, 0, -0.0412, 7.914, 12_345.6, 2.4e7, 1e-12, float("inf"), 3]
    assert [significant(v) for v in values] == ["–", "0", "−0.0412", "7.91", "12,346", "2.4e7", "1e−12", "∞", "3"]


def test_each_cell_of_a_wide_table_names_its_column() -> None:
    ranking = render(FOUND).split("<tbody>")[2].split("</tr>")[0]
    named = re.findall(r'<td data-of="(.*?)"', ranking)
    assert named == [
        "",
        "Lift, nats",
        "Share of answers",
        "Lift z",
        "Holm p",
        "Contrast z",
        "Gain, nats per row",
        "e&#8209;value",  # a plain hyphen breaks the line
        "Rows needed",
    ]
    assert "data-of" not in label_cells('<table><th scope="col">a</th><tr><th></th><td></td></table>'), "fits as it is"


def test_a_browser_shows_it(tmp_path: Path) -> None:
    if chromium() is None:
        assert not os.environ.get("CI"), "Chromium is missing, and CI must have it."
        pytest.skip("Chromium is not installed.")
    ask = {"width": "document.documentElement.scrollWidth", "colour": "getComputedStyle(document.body).color"}
    ask["wide"] = "[...document.querySelectorAll('.wide')].filter(one => one.scrollWidth > one.clientWidth).length"
    with Browser() as browser:
        for verdict in (FOUND, WILD):
            file = page_of(verdict, tmp_path)
            looks = [browser.look(file, width, 900, ask, dark=width == 390) for width in (1400, 390)]
            assert [look.requests for look in looks] == [(file.as_uri(),)] * 2
            assert [look.complaints for look in looks] == [()] * 2
            assert [look.values["width"] for look in looks] == [1400, 390]
            assert verdict is WILD or [look.values["wide"] for look in looks] == [0, 0], "no table scrolls sideways"
            assert looks[0].values["colour"] != looks[1].values["colour"]
