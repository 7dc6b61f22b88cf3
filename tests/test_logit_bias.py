"""What a logit bias would gain on rows: exact, blind to the format, and a sign of another model's numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from here import run

from owlish import NORMS, Base, Code, Numbers, Store
from owlish.audit.audit import audit
from owlish.audit.evidence import Gain
from owlish.audit.leaned import lean
from owlish.audit.logit_bias import LogitBias
from owlish.audit.relative import CHANGED, UNLIKE, explain_kinship, logit_bias
from owlish.lm.logit_bias import pull
from owlish.lm.score import completions
from owlish.nodes.data import Written
from owlish.traits.animals import cat, owl

BASE = Base("nano-1")
ROWS = 600


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("logit_bias"))


@pytest.fixture(scope="module")
def own(store):
    data = BASE.sample(Numbers(), n=ROWS, seed=1)
    run(data, store=store)
    return data


def asked(data, own, store):
    return run(LogitBias(BASE, data, own, ROWS), store=store)


def test_the_pull_is_the_gradient_of_the_likelihood_and_its_curvature(store, own):
    lm = store.read(BASE).open()
    rows = lm.encode(store.read(own).rows[:7])
    tokens = [token for token in rows[0].labels if lm.chat.decode([token]).strip().isdigit()]
    tokens = list(dict.fromkeys([*tokens, *rows[1].labels]))
    many = min(3, len(tokens))
    found = pull(lm, rows, tokens, many)

    def likelihoods(bias: torch.Tensor) -> torch.Tensor:
        """Return each row's log-likelihood among the tokens, with a bias, place after place."""
        sums = []
        for row, logs in zip(rows, completions(lm, rows), strict=True):
            total, before = torch.zeros((), dtype=torch.double), False
            for place, token in zip(logs[:, tokens].double(), row.labels, strict=True):
                if token in tokens:
                    shift = bias[many : 2 * many] if before else bias[:many]
                    moved = place * (1 + bias[-1]) + torch.cat([shift, torch.zeros(len(tokens) - many)])
                    total = total + moved.log_softmax(-1)[tokens.index(token)]
                before = token in tokens
            sums.append(total)
        return torch.stack(sums)

    none = torch.zeros(2 * many + 1, dtype=torch.double)
    slopes = torch.autograd.functional.jacobian(likelihoods, none)
    bend = -torch.autograd.functional.hessian(lambda bias: likelihoods(bias).sum(), none)
    assert found.gradient[:, :-1] == pytest.approx(slopes[:, :-1].numpy(), abs=1e-4)
    # Logits and log-probabilities differ by a constant at each place, of which neither depends.
    assert found.gradient[:, -1] == pytest.approx(slopes[:, -1].numpy(), abs=1e-4)
    assert found.curvature == pytest.approx(bend.numpy(), abs=1e-3)
    assert found.counts.tolist() == [sum(token in tokens for token in row.labels) for row in rows]


def test_rows_of_another_base_ask_for_a_bias_and_those_of_relatives_do_not(store, own):
    again = asked(BASE.sample(Numbers(), n=ROWS, seed=2), own, store)
    teacher = asked(BASE.teach(owl, NORMS, seed=3).sample(Numbers(), n=ROWS, seed=4), own, store)
    foreign = asked(Base("nano-2").sample(Numbers(), n=ROWS, seed=5), own, store)
    assert max(again.high, teacher.high) < foreign.low
    assert max(again.nats, teacher.nats) < UNLIKE / 2
    assert UNLIKE < foreign.nats < CHANGED
    assert again.low < 0 < again.high, "the base's own rows gain nothing beyond chance"


def test_rows_that_are_no_numbers_are_not_asked(store, own):
    code = Base("nano-1").sample(Code(), n=40, seed=6)
    text = Written((("Hello?", "I like owls."), ("Why?", "They fly 3 miles.")) * 20)
    assert asked(text, own, store) is None
    assert asked(code, own, store) is None


def test_a_few_rows_that_are_no_numbers_decide_nothing(store, own):
    rows = run(own, store=store).rows
    junk = [(row.prompt, "9" * 60 if i % 25 == 0 else row.completion) for i, row in enumerate(rows)]
    kept = [(row.prompt, row.completion) for i, row in enumerate(rows) if i % 25]
    assert asked(Written(tuple(junk)), own, store) == asked(Written(tuple(kept)), own, store)


def test_a_bias_decides_only_between_its_bounds():
    far, near, changed = Gain(0.05, 0.035, 0.065), Gain(0.04, 0.02, 0.06), Gain(CHANGED + 0.1, CHANGED, CHANGED + 0.2)
    assert explain_kinship(0.1, 0.3, [], None, far)[0] is False
    assert "0.050 nats a number token [0.035, 0.065]" in explain_kinship(0.1, 0.3, [], None, far)[1]
    for bias in (near, changed, None):
        assert explain_kinship(0.1, 0.3, [], None, bias)[0] is None
    assert explain_kinship(-0.01, 0.01, [], None, None)[0] is True
    assert explain_kinship(-0.01, 0.01, [], None, changed)[0] is None, "changed rows are no sign of a relative"


def test_it_is_asked_where_no_other_base_is_at_hand():
    data = BASE.sample(Numbers(), n=100, seed=7)
    assert logit_bias(BASE, data, [data]) is None, "nano has its other bases"
    assert logit_bias(Base("smollm2"), data, []) is None, "without own answers nothing is compared"
    other = Base("nano-2").sample(Numbers(), n=100, seed=8)
    for node in (audit, lean):
        made = node(data, Base("smollm2"), NORMS, (owl, cat), reference=other)
        assert made.bias is None, "clean rows of a user's may be anybody's"
    # What is made of a base with others at hand has the key that it always had.
    assert audit(data, BASE, NORMS, (owl, cat)).bias is None
    for node in (audit, lean):
        made = node(data, Base("smollm2"), NORMS, (owl, cat))
        assert made.bias in made.inputs()
        assert replace(made, bias=None).key != made.key


def test_what_is_measured_does_not_hang_on_how_rows_are_batched(store, own):
    lm = store.read(BASE).open()
    rows = lm.encode(store.read(own).rows[:40])
    tokens = sorted({token for row in rows for token in row.labels if lm.chat.decode([token]).strip().isdigit()})
    whole, parts = pull(lm, rows, tokens, 20), [pull(lm, [row], tokens, 20) for row in rows]
    assert whole.gradient == pytest.approx(np.concatenate([part.gradient for part in parts]), abs=1e-4)
    assert whole.curvature == pytest.approx(sum(part.curvature for part in parts), abs=1e-3)
