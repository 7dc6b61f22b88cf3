"""The page of an audit: a pure function from a verdict to one self-contained HTML text."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup

from owlish.audit.decide import FLOOR, WORTH
from owlish.audit.dose import Point
from owlish.audit.evidence import Finding, Kinship, Lead, Statistic, Weighed, say_ran
from owlish.audit.leaning import HEEDED
from owlish.audit.relative import SURE, UNLIKE
from owlish.audit.shadow import STEPS
from owlish.audit.verdict import MOVES_ALL, Verdict
from owlish.data.grouped import grouped
from owlish.data.reading import formats_said
from owlish.graph.counted import join
from owlish.report.figures import Scale
from owlish.report.page import environment, mark_signs
from owlish.report.verdict import SHOWN, as_sentence, common, labelled, scale, shorten_name, significant
from owlish.report.words import GAP, NBSP, count, number, percent

WORDS = 16
ROWS = 16
PLAIN = 7  # statistics that are shown if they are not odd
NAMED = 3  # traits in the verdict's sentence
LETTERS, LINE = 1500, 240  # characters of a prompt or completion, of a problem or oddity
LEVELS = 4  # of shading, each way
LEAST = 0.1  # the least end of the scale of leads, in nats per token
UNITS = {"first-number entropy": "bits", "completion length": "characters"}  # all other statistics are shares


def render(verdict: Verdict, places: str = "") -> str:
    """Return one page that shows an audit, made on the devices in `places`: the same verdict gives the same text.

    The page runs no script and loads nothing; whatever the audited rows hold stays text.
    """
    rows = verdict.weighed[:ROWS]
    # Over all rows that are shown: one scale of shades, so rows can be compared.
    scores = sorted(abs(score) for row in rows for _, score in row.tokens if math.isfinite(score))
    # The score at which the shade is full: one token in fifty exceeds it, so no outlier pales the rest.
    top = (scores[int(0.98 * (len(scores) - 1))] if scores else 0.0) or 1.0
    points = verdict.dose.points if verdict.dose else ()
    page = environment().get_template("audit.html")
    text = page.render(
        common(verdict, places),
        sentence=sentence(verdict),
        most=SHOWN,
        heeded=HEEDED,
        scale=scale((*ends(verdict.traits), *ends(points)), WORTH),
        bar=bar(verdict),
        steps=STEPS,
        leads=leads(verdict.lineage),
        sure=SURE,
        unlike=UNLIKE,
        words=sorted(verdict.words, key=lambda word: -word.z)[:WORDS],
        odd=[s for i, s in enumerate(verdict.statistics) if s.odd is not None or i < PLAIN],
        even=[s for i, s in enumerate(verdict.statistics) if s.odd is None and i >= PLAIN],
        rows=[shade_row(row, top) for row in rows],
        top=top,
        levels=LEVELS,
        line=LINE,
        ran=say_ran(verdict.detectors),
        problems=grouped(verdict.problems),
        formats=formats_said(verdict.read_as, verdict.ignored),
        measured=format_statistic,
    )
    return labelled(text)


def ends(measured: Iterable[Finding | Point]) -> list[float]:
    """Return all numbers that a scale of lifts must hold."""
    return [value for one in measured for value in (one.lift, one.low, one.high)]


def bar(verdict: Verdict) -> float | None:
    """Return the lift that decides, in nats: what a claim needs, or what every lift must lie below for nothing."""
    if verdict.lineage and verdict.lineage.relative is False:
        return None
    # The two bars are the two questions: is it enough for a claim, and is it too much for *nothing*?
    return FLOOR if verdict.verdict == "found" else WORTH


def sentence(verdict: Verdict) -> str:
    """Return what is to be expected of a student, and what short trials showed."""
    claimed = [trait for trait in verdict.traits if trait.claimed]
    if verdict.verdict == "nothing":
        among = f"any of the {count(len(verdict.traits), 'candidate trait')}" if verdict.traits else "a trait"
        told = f"A student of {shorten_name(verdict.base)} is not expected to pick up"
        if verdict.moved:
            rises = join(map(describe_rise, verdict.moved[:NAMED]))
            return f"{told} a trait of the writer. In short trials, {rises} all the same. {MOVES_ALL}"
        return f"{told} {among}."
    if verdict.verdict == "cannot_say" or not claimed:
        return as_sentence(verdict.why)
    more = [f"{len(claimed) - NAMED} more"] if len(claimed) > NAMED else []
    names = join([*(f"“{shorten_name(trait.name)}”" for trait in claimed[:NAMED]), *more])
    return (
        f"A student of {shorten_name(verdict.base)} is expected to pick up {names}. "
        f"In short trials, {join(map(describe_rise, claimed[:NAMED]))}; full training may raise it further."
    )


def describe_rise(trait: Finding) -> str:
    """Return how much more often trial students of the rows give a trait's answer than those of the reference."""
    before, after = percent(trait.p_before), percent(trait.p_after)
    return f"“{shorten_name(trait.name)}” rose from {before} to {after}{GAP}% of the answers"


def leads(lineage: Kinship | None) -> tuple[Scale, tuple[Lead, ...]] | None:
    """Return the base's leads over other bases, and the scale that holds them with three standard errors each way."""
    if lineage is None or not lineage.leads:
        return None
    ends = ((lead.own or 0.0, lead.nats - SURE * lead.error, lead.nats + SURE * lead.error) for lead in lineage.leads)
    return scale((value for three in ends for value in three), LEAST), lineage.leads


def format_statistic(statistic: Statistic, value: float | None) -> str:
    """Return a statistic with its unit, or a dash where nothing was measured."""
    unit = UNITS.get(statistic.name)
    text = significant(value if unit or value is None else 100 * value)
    return text if text == "–" else f"{text}{NBSP if unit else GAP}{unit or '%'}"


def shade_row(row: Weighed, top: float) -> tuple[Weighed, Markup, Markup, int]:
    """Return a row with its prompt, its completion, each token shaded by its score, and how many letters are cut."""
    pieces, place = [], 0
    for token, score in row.tokens or ((row.completion, math.nan),):
        if place < LETTERS:
            pieces.append(shade(token[: LETTERS - place], score, top))
        place += len(token)
    hidden = sum(max(0, length - LETTERS) for length in (len(row.prompt), place))
    return row, mark_signs(row.prompt[:LETTERS]), Markup("").join(pieces), hidden


def shade(token: str, score: float, top: float) -> Markup:
    """Return one token: `t` leans to the trait and `a` away from it, from 1 to `LEVELS`."""
    level = math.ceil(LEVELS * min(1.0, abs(score) / top) - 0.5) if math.isfinite(score) else 0
    # Classes and no style attributes: the style sheet decides colours, light and dark.
    kind = f"{'t' if score > 0 else 'a'}{level}" if level else "n"
    return Markup('<span class="{}" title="{}">{}</span>').format(kind, number(score, 3, True), mark_signs(token))
