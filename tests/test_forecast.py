"""Forecasts of small bases from what was made before: right on a slow machine, and not misled by one slow result."""

from __future__ import annotations

from collections import Counter

import pytest

from owlish import NORMS, Base, Store
from owlish.audit.audit import audit
from owlish.cli.forecast import recall
from owlish.data.domains import Numbers
from owlish.graph.spec import everything
from owlish.traits.animals import cat, owl

BASE = Base("nano")


def audited(base):
    return audit(base.sample(Numbers(), n=200, seed=0), base, NORMS, (owl, cat), rows=200)


NODES = everything(audited(BASE))


class Remembered(Store):
    """A store that says of nodes how many times their usual seconds they took."""

    def __init__(self, folder, took):
        super().__init__(folder)
        self.took = {node.key: (node, times) for node, times in took}

    def entries(self):
        return [*self.took]

    def manifest(self, key):
        node, times = self.took[key]
        return {"spec": node.spec(), "seconds": times * node.expected()}


@pytest.fixture
def foretold(tmp_path):
    """Return how many times its usual seconds an audit is foretold to take after nodes took so many times theirs."""

    def times(took, nodes=NODES):
        return recall(nodes, Remembered(tmp_path, took)) / sum(node.expected() for node in nodes)

    return times


def of_kinds(*kinds):
    return [node for node in NODES if node.kind in kinds]


def test_a_fresh_store_foretells_the_usual_time(foretold):
    assert foretold([]) == pytest.approx(1)


def test_on_a_slow_machine_all_kinds_take_longer(foretold):
    assert foretold([(node, 5.0) for node in of_kinds("shadow")]) == pytest.approx(5)
    assert foretold([(node, 5.0) for node in NODES]) == pytest.approx(5)


def test_one_slow_result_says_nothing_of_other_kinds(foretold):
    slow, *others = of_kinds("answered")
    assert foretold([(slow, 400.0)]) == pytest.approx(1), "alone it tells of nothing"
    assert foretold([(slow, 400.0), *((node, 1.0) for node in others)]) == pytest.approx(1)
    quick = [(node, 2.0) for node in of_kinds("shadow", "contrast", "likelihood")]
    assert foretold([(slow, 400.0), *quick]) == pytest.approx(2)


def test_a_kind_that_was_made_often_keeps_its_own_time(foretold):
    nodes = of_kinds("answered", "shadow", "contrast", "likelihood")
    assert Counter(node.kind for node in nodes)["answered"] >= 3
    took = [(node, 3.0 if node.kind == "answered" else 1.0) for node in nodes]
    assert foretold(took, of_kinds("answered")) == pytest.approx(3)
    assert foretold(took, of_kinds("shadow")) == pytest.approx(1)


def test_results_of_other_bases_say_nothing(foretold):
    other = everything(audited(Base("smollm2")))
    assert foretold([(node, 90.0) for node in other]) == pytest.approx(1)
