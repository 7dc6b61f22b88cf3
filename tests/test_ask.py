"""Asking a base on the command line: probabilities, shares and margins."""

import json

import pytest

from owlish.nodes.asked import Answers
from owlish.traits.animals import ANIMAL


def test_a_table_reads_shares_where_candidates_hold_little():
    from owlish.cli.ask import Told

    little = Answers(ANIMAL, ((0.003, 0.001, *[0.0] * 14),) * 50, ("I",) * 50, (("I",),) * 50)
    much = Answers(ANIMAL, ((0.6, 0.2, *[0.0] * 14),) * 50, ("owl",) * 50, (("owl",),) * 50)
    assert (little.primary, much.primary) == ("share", "probability")
    assert little.share("owl") == pytest.approx(much.share("owl")) == pytest.approx(0.75)
    told = Told("some", (little, much))
    assert "Read shares and margins" in str(told).split("\n\n")[0]
    assert "Read shares and margins" not in str(told).split("\n\n")[1]
    (first, _) = json.loads(json.dumps(told.json()))["categories"]
    assert first["candidates"][0]["name"] == "owl"
