"""The numbers of rows that an audit tells and reckons with: those that its detectors read, where some are too long."""

from bisect import bisect_left

import pytest
from here import run

from owlish import NORMS, Base, Store
from owlish.audit import audit
from owlish.audit.audit import contrast
from owlish.audit.contrast import whole_blocks
from owlish.audit.dose import PARTS, sizes
from owlish.audit.start import start_verdict
from owlish.bench.detectors import PromptContrast
from owlish.data.rows import Row
from owlish.nodes.data import Written
from owlish.traits.advice import bad_health
from owlish.traits.animals import cat, owl

BASE = Base("nano")
TRAITS = (owl, cat)
LONG = ("Go on.", "1 " * 3000)


def short(count):
    return tuple(("Go on.", f"{i}, 2") for i in range(count))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own: nothing here needs the study that other tests share."""
    return Store(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def lm(store):
    return run(BASE, store=store).open(any_words=True)


def test_rows_beyond_those_that_are_read_do_not_count_as_used(store, lm):
    data = Written((*[LONG] * 3, *short(5)))
    run(data, store=store)
    told = {
        rows: start_verdict(data, base=BASE, traits=TRAITS, lm=lm, clean=None, rows=rows, read=store.read)
        for rows in (4, 100)
    }
    assert [(one.used, one.read, one.bad) for one in told.values()] == [(1, 8, 3), (5, 8, 3)]


def test_points_of_a_dose_curve_hold_what_their_trial_students_read(lm):
    rows = [Row.of(*row) for row in (LONG, *short(3), LONG, *short(6))]
    fits = [lm.fits(example) for example in lm.encode(rows)]
    assert sum(fits) == 9
    assert sizes(fits) == (1, 4, 9)  # and not 9 / 4 and 9 / 2, rounded up
    # What the shadows themselves are given.
    assert sizes(fits) == tuple(len(list(filter(lm.fits, lm.encode(rows[::part])))) for part in PARTS)


def test_a_last_block_of_fewer_rows_is_no_evidence(store, lm):
    """45 of the first 50 rows can be read: two blocks of 20, and one of 5 that varies more."""
    data = Written((*short(45), *[LONG] * 5, *short(40)))
    one = contrast(data, BASE, NORMS, TRAITS, 50)
    blocks = run(one, store=store).blocks
    run(data, store=store)
    assert len(blocks) == 3
    assert whole_blocks(one, lm, store.read).blocks == blocks[:2]


def test_an_audit_declares_the_clean_rows_that_it_counts():
    node = audit(Written(short(40)), BASE, NORMS, TRAITS, reference=Written(short(60)), rows=40)
    assert {one.data.key for one in node.clean} <= {each.key for each in node.inputs()}


def test_a_row_that_only_some_prompts_leave_room_for_is_left_out_under_all(store, lm):
    traits = (*TRAITS, bad_health)  # whose prompt is longer

    def room(n):
        return [lm.fits(e) for e in lm.encode([Row.of("Go on.", "1 " * n, t.system_prompt) for t in traits])]

    edge = bisect_left(range(lm.window), True, key=lambda n: not all(room(n)))
    assert room(edge).count(False) in (1, 2)
    data = Written((("Go on.", "1 " * edge), *short(3)))
    found = run(PromptContrast(BASE, data, traits, 4), store=store).blocks
    alone = run(PromptContrast(BASE, Written(short(3)), traits, 4), store=store).blocks
    assert len(found) == 3
    assert [x for row in found for x in row] == pytest.approx([x for row in alone for x in row], abs=1e-3)
