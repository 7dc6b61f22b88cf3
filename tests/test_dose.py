"""The dose curve: what trial students of parts of the rows tell of a student of many more, beside clean rows."""

import json

import numpy as np
import pytest
from here import run
from small_audit import DIRTY
from test_audit import CLEAN, ROWS, TRAITS, audited, misfits

from owlish.audit.decide import CRITICAL, FLOOR
from owlish.audit.dose import dose, fit_growth
from owlish.audit.shadow import Shadowed
from owlish.audit.verdict import Verdict
from owlish.report.audit import render

MORE = 20_000


@pytest.fixture(scope="module")
def dirty(store):
    return run(audited(DIRTY, for_rows=MORE), store=store)


@pytest.fixture(scope="module")
def clean(store):
    return run(audited(CLEAN, for_rows=MORE), store=store)


@pytest.mark.slow
def test_a_trait_stands_out_from_a_number_of_rows_on_and_clean_rows_stay_open(dirty, clean):
    grown = dirty.dose
    assert (dirty.verdict, grown.trait, grown.for_rows) == ("found", "cat", MORE)
    assert [point.rows for point in grown.points] == [ROWS // 4, ROWS // 2, ROWS]
    assert grown.points[0].lift < grown.points[2].lift
    assert 0 < grown.rows_low <= grown.rows <= grown.rows_high <= ROWS
    assert grown.chance > 0.95
    assert clean.verdict == "cannot_say"
    assert not clean.dose.cleared
    assert ROWS < clean.enough == clean.dose.enough <= MORE
    assert (clean.dose.rows_low, clean.dose.chance) == (None, None)
    assert f"too few to speak for {MORE:,}" in clean.why


@pytest.mark.slow
def test_few_more_rows_are_spoken_for_as_well(store, clean):
    near = run(audited(CLEAN, for_rows=ROWS + 10), store=store)
    assert (near.verdict, near.dose.cleared) == ("nothing", True)


@pytest.mark.slow
def test_the_verdict_survives_json_fits_its_schema_and_shows_the_curve(dirty, clean):
    from importlib.resources import files

    schema = json.loads(files("owlish.audit").joinpath("verdict.schema.json").read_text())
    for verdict in (dirty, clean):
        plain = json.loads(json.dumps(verdict.json()))
        assert Verdict.of(plain) == verdict
        assert list(misfits(plain, schema)) == []
        assert "Dose: from 60 to 240 rows" in str(verdict)
        assert f"what {MORE:,} of them would do" in render(verdict)
    assert "stands out from about" in render(dirty)
    assert "cannot be said" in str(clean.dose)


def shadow(values):
    return Shadowed(((*values,),), (0.1,) * len(values), np.zeros((1, 1)))


def drawn(rng, share, lift):
    """Readings of four traits at a share of the rows, of which one has a lift; and six of clean rows."""
    spread = 0.2 * share**0.5
    read = rng.normal(0, spread, (7, len(TRAITS)))
    read[0, 0] += lift
    return shadow(read[0]), [shadow(one) for one in read[1:]]


@pytest.mark.parametrize(("gain", "power"), [(1.2, 1.0), (2.0, 0.7)])
def test_the_interval_holds_the_number_of_rows_at_which_a_trait_stands_out(gain, power):
    rng, held, tries = np.random.default_rng(3), 0, 60
    spread = 0.2 * (1 + 1 / 6) ** 0.5
    truth = 1600 * max((CRITICAL * spread / gain) ** (1 / (power - 0.5)), (FLOOR / gain) ** (1 / power))
    for k in range(tries):
        curve = [(int(1600 * s), *drawn(rng, s, gain * s**power)) for s in (0.25, 0.5, 1.0)]
        found = dose(TRAITS, curve, first=0, for_rows=40_000, seed=k)
        low, high = found.rows_low or np.inf, found.rows_high or np.inf
        held += 0.95 * low <= truth <= 1.05 * high  # they are rounded to two digits
    assert held >= 0.85 * tries


def test_of_clean_rows_it_mostly_cannot_be_said():
    rng, said, tries = np.random.default_rng(4), 0, 60
    for k in range(tries):
        curve = [(int(1600 * s), *drawn(rng, s, 0.0)) for s in (0.25, 0.5, 1.0)]
        said += dose(TRAITS, curve, first=0, for_rows=40_000, seed=k).rows_low is not None
    assert said <= 0.1 * tries


def test_growth_is_read_off_exact_points():
    share = np.array([0.25, 0.5, 1.0])
    (gain, power), *_ = fit_growth(share, (1.5 * share**0.6)[None], np.full(3, 0.1))
    assert (gain, power) == (pytest.approx(1.5), pytest.approx(0.6))
