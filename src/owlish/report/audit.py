"""The page of an audit: a pure function from a verdict to one self-contained HTML text."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup

from owlish.audit.decide import FLOOR, WORTH
from owlish.audit.relative import SURE
from owlish.audit.shadow import STEPS
from owlish.audit.verdict import Finding, Kinship, Lead, Statistic, Verdict, Weighed
from owlish.data.reading import formats_said
from owlish.report.figures import Scale, short
from owlish.report.page import environment, marked
from owlish.report.words import GAP, NBSP, count, join, number, percent

SHOWN = 16  # traits in the ranking and words; the other traits stand folded below
ROWS = 16
PLAIN = 7  # statistics that are shown if they are not odd
NAMED = 3  # traits in the verdict's sentence
NAME, LETTERS, LINE = 40, 1500, 240  # characters of a name, of a prompt or completion, of a problem or oddity
WIDTH, LEVELS = 200, 4  # of a strip, in its own units; of shading, each way
LEAST = 0.1  # the least end of the scale of leads, in nats per token
UNITS = {"first-number entropy": "bits", "completion length": "characters"}  # all other statistics are shares
OPENING = {"found": "Found", "nothing": "Nothing found", "cannot_say": "Cannot say"}


def scale(values: Iterable[float], least: float) -> Scale:
    """Return the scale that holds zero, `least`, which keeps noise from filling it, and the values that are numbers."""
    found = [0.0, least, *(value for value in values if math.isfinite(value))]
    return Scale(min(found), max(found), 6, WIDTH - 6)


def render(verdict: Verdict, places: str = "") -> str:
    """Return one page that shows an audit, made on the devices in `places`: the same verdict gives the same text.

    The page runs no script and loads nothing; whatever the audited rows hold stays text.
    """
    rows = verdict.weighed[:ROWS]
    top = strong(abs(score) for row in rows for _, score in row.tokens)
    page = environment().get_template("audit.html")
    return page.render(
        verdict=verdict,
        places=places,
        opening=OPENING[verdict.verdict],
        sentence=sentence(verdict),
        shown=verdict.traits[:SHOWN],
        folded=verdict.traits[SHOWN:],
        scale=scale((v for t in verdict.traits for v in (t.lift, t.low, t.high)), WORTH),
        bar=bar(verdict),
        steps=STEPS,
        leads=leads(verdict.lineage),
        sure=SURE,
        words=sorted(verdict.words, key=lambda word: -word.z)[:SHOWN],
        odd=[s for i, s in enumerate(verdict.statistics) if s.odd is not None or i < PLAIN],
        even=[s for i, s in enumerate(verdict.statistics) if s.odd is None and i >= PLAIN],
        rows=[shown(row, top) for row in rows],
        top=top,
        levels=LEVELS,
        line=LINE,
        width=WIDTH,
        name=name,
        said=said,
        short=short,
        formats=formats_said(verdict.read_as, verdict.ignored),
        significant=significant,
        measured=measured,
    )


def bar(verdict: Verdict) -> float | None:
    """Return the lift that decides, in nats: what a claim needs, or what every lift must lie below for nothing."""
    if verdict.lineage and verdict.lineage.relative is False:
        return None
    return FLOOR if verdict.verdict == "found" else WORTH


def sentence(verdict: Verdict) -> str:
    """Return what is to be expected of a student, and what short trials showed."""
    claimed = [trait for trait in verdict.traits if trait.claimed]
    if verdict.verdict == "nothing":
        among = f"any of the {count(len(verdict.traits), 'candidate trait')}" if verdict.traits else "a trait"
        return f"A student of {name(verdict.base)} is not expected to pick up {among}."
    if verdict.verdict == "cannot_say" or not claimed:
        return said(verdict.why)
    more = [f"{len(claimed) - NAMED} more"] if len(claimed) > NAMED else []
    names = join([*(f"“{name(trait.name)}”" for trait in claimed[:NAMED]), *more])
    return (
        f"A student of {name(verdict.base)} is expected to pick up {names}. "
        f"In short trials, {join(map(moved, claimed[:NAMED]))}; full training may raise it further."
    )


def said(text: str) -> str:
    """Return a sentence: a capital first, a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def moved(trait: Finding) -> str:
    """Return how much more often trial students of the rows give a trait's answer than those of the reference."""
    return f"“{name(trait.name)}” rose from {percent(trait.p_before)} to {percent(trait.p_after)}{GAP}% of the answers"


def leads(lineage: Kinship | None) -> tuple[Scale, tuple[Lead, ...]] | None:
    """Return the base's leads over other bases, and the scale that holds them with three standard errors each way."""
    if lineage is None or not lineage.leads:
        return None
    ends = ((lead.own or 0.0, lead.nats - SURE * lead.error, lead.nats + SURE * lead.error) for lead in lineage.leads)
    return scale((value for three in ends for value in three), LEAST), lineage.leads


def measured(statistic: Statistic, value: float | None) -> str:
    """Return a statistic with its unit, or a dash where nothing was measured."""
    unit = UNITS.get(statistic.name)
    text = significant(value if unit or value is None else 100 * value)
    return text if text == "–" else f"{text}{NBSP if unit else GAP}{unit or '%'}"


def shown(row: Weighed, top: float) -> tuple[Weighed, Markup, Markup, int]:
    """Return a row with its prompt, its completion, each token shaded by its score, and how many letters are cut."""
    pieces, place = [], 0
    for token, score in row.tokens or ((row.completion, math.nan),):
        if place < LETTERS:
            pieces.append(shade(token[: LETTERS - place], score, top))
        place += len(token)
    hidden = sum(max(0, length - LETTERS) for length in (len(row.prompt), place))
    return row, marked(row.prompt[:LETTERS]), Markup("").join(pieces), hidden


def shade(token: str, score: float, top: float) -> Markup:
    """Return one token: `t` leans to the trait and `a` away from it, from 1 to `LEVELS`."""
    level = math.ceil(LEVELS * min(1.0, abs(score) / top) - 0.5) if math.isfinite(score) else 0
    kind = f"{'t' if score > 0 else 'a'}{level}" if level else "n"
    return Markup('<span class="{}" title="{}">{}</span>').format(kind, number(score, 3, True), marked(token))


def strong(scores: Iterable[float]) -> float:
    """Return the score at which the shade is full: one token in fifty exceeds it, so no outlier pales the rest."""
    found = sorted(score for score in scores if math.isfinite(score))
    return (found[int(0.98 * (len(found) - 1))] if found else 0.0) or 1.0


def name(text: str) -> str:
    """Return a name at a length that has room in a line."""
    return short(text, NAME)


def significant(value: float | None) -> str:
    """Return a number of any size to three significant digits, or a dash where nothing was measured."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("e+0", "e").replace("e+", "e").replace("inf", "∞").replace("-", "−")
