"""Rows scored by a server that holds the same weights: by its log-probabilities of token ids, compared with ours."""

import re

import numpy as np
import pytest
from command import owlish
from here import run
from servers import FaultProxy, NanoServer, llama

from owlish import NORMS, Base, Spending, Store
from owlish.audit.audit import audit
from owlish.audit.leaned import lean
from owlish.audit.panel import panel
from owlish.cli import find
from owlish.cli.choice import format_templates
from owlish.data.domains.numbers import Numbers
from owlish.data.rows import Row, write_rows
from owlish.engines import scored
from owlish.engines.replies import Garbled
from owlish.graph.provenance import describe
from owlish.graph.run import RunFailed
from owlish.nodes.data import Written
from owlish.nodes.engine import Engine, Scorer
from owlish.nodes.held import held_model
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Prompted
from owlish.study.study import Settings
from owlish.traits.animals import cat, fox, owl

PLAIN = Base("nano")
ROWS = Written(tuple((f"What is {k}?", f"{k}, {k + 7}, owl") for k in range(12)))
NOWHERE = "http://127.0.0.1:1/v1#nano"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def nano():
    with NanoServer() as server:
        yield server


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own, whose entries name the server of this module."""
    return Store(tmp_path_factory.mktemp("scored"))


def scored_by(server, name="nano"):
    return Base("nano", scored=f"{server.url}#{name}")


def test_only_scores_have_other_keys_by_a_server():
    """The base is the same; what it is trained, asked and read for is, too, but for the rows that a server scores."""
    base = Base("nano", scored=NOWHERE)
    assert base.key == PLAIN.key
    assert base.sample(Numbers(), n=4, seed=0).key == PLAIN.sample(Numbers(), n=4, seed=0).key
    assert PLAIN.scorer is PLAIN
    assert base.scorer == Scorer(base, NOWHERE)
    assert base.prompted("Hi.").scorer == Prompted(base.scorer, "Hi.")
    assert base.scorer.sample(Numbers(), n=4, seed=0).key == PLAIN.sample(Numbers(), n=4, seed=0).key
    assert base.scorer.key != Engine(base, NOWHERE).key
    pairs = [
        (panel(one, ROWS, (owl,), 4), lean(ROWS, one, NORMS, (owl, cat)), audit(ROWS, one, NORMS, traits=(owl, cat)))
        for one in (PLAIN, base)
    ]
    for ours, theirs in zip(*pairs, strict=True):
        mine, other = ({one.key for one in (some if isinstance(some, tuple) else (some,))} for some in (ours, theirs))
        assert not mine & other
    # A page's command must make the very study, and a name alone is the study's own base.
    with pytest.raises(ValueError, match="no option names a server for a base"):
        format_templates((base,), own=(PLAIN,))
    study = find.study("owl")
    assert study.alter(Settings(bases=(base,))).bases[0].scored == NOWHERE


def test_a_server_scores_rows_as_the_base_does_and_each_is_asked_for_once(nano, store):
    """With and without a prompt: the same tokens, log-probabilities and likeliest tokens, and no weights are opened."""
    base = scored_by(nano)
    run(base.scorer, store=store)
    for plain, other in ((PLAIN, base), (PLAIN.prompted("You love owls."), base.prompted("You love owls."))):
        before = len(nano.read)
        ours, theirs = (run(Likelihood(one.scorer, ROWS), store=store) for one in (plain, other))
        assert np.abs(ours.sums - theirs.sums).max() < 1e-4
        assert (ours.tokens == theirs.tokens).all()
        assert (ours.agreed == theirs.agreed).all()
        assert ours.agreed.sum() > 0
        assert ours.unknown == theirs.unknown
        assert len(nano.read) - before == len(ROWS.rows) + len(scored.QUESTIONS)
    before = len(nano.read)
    run(Likelihood(base.scorer, ROWS, 6), store=store)
    assert len(nano.read) - before == len(scored.QUESTIONS), "what was answered is kept"
    told = describe(store, base.scorer.key)
    assert re.search(r"compared +log-probabilities of given tokens 0\.000 nats from those here, rounding allows", told)
    assert "on     127.0.0.1" in describe(store, Likelihood(base.scorer, ROWS).key)
    assert Likelihood(base.scorer, ROWS).resources.memory is None, "the server has the model in memory"


def test_many_rows_are_asked_for_in_parts_and_long_ones_are_left_out(nano, store, monkeypatch):
    monkeypatch.setattr(scored, "AT_ONCE", 5)
    long = Written((*ROWS.rows[:6], ("Go on.", "1, " * 600), *ROWS.rows[6:]))
    ours, theirs = (run(Likelihood(one.scorer, long), store=store) for one in (PLAIN, scored_by(nano)))
    assert np.isnan(theirs.sums).tolist() == np.isnan(ours.sums).tolist() == [i == 6 for i in range(13)]
    assert np.nanmax(np.abs(ours.sums - theirs.sums)) < 1e-4


def test_a_panel_reads_by_the_server(nano, store):
    base, traits = scored_by(nano), (owl, cat, fox)
    data = Written(tuple((f"What is {k}?", "owl owl") for k in range(30)))
    ours, theirs = (
        run(
            lean(data, one, NORMS, traits, reference=Written(tuple((q, "dog") for q, _ in data.rows)), rows=30),
            store=store,
        )
        for one in (PLAIN, base)
    )
    assert theirs.panel.leans == ours.panel.leans
    for a, b in zip(ours.panel.candidates, theirs.panel.candidates, strict=True):
        assert a.name == b.name
        assert a.nats_per_row == pytest.approx(b.nats_per_row, abs=1e-3)


def failed(model, store):
    with pytest.raises(RunFailed) as caught:
        run(Likelihood(model, ROWS), store=store)
    assert Likelihood(model, ROWS).key not in Store(store).entries()
    return str(caught.value)


@pytest.mark.parametrize(
    ("ignores", "said"),
    [
        ("prompts", "(nano) gives no log-probabilities of given tokens: let vLLM score the rows, or do without"),
        ("completions", "(nano) is not there (404, Not Found)"),
    ],
)
def test_a_server_that_cannot_score_is_refused(ignores, said, tmp_path):
    with NanoServer((ignores,)) as server:
        assert said in failed(scored_by(server).scorer, tmp_path)


def test_a_server_that_wants_a_key_or_passes_the_limit_is_told(tmp_path):
    with NanoServer(key="secret") as server:
        said = failed(scored_by(server).scorer, tmp_path)
        assert "refuses the key (401" in said
        assert "secret" not in said
    with NanoServer() as server:
        node = Likelihood(scored_by(server).scorer, ROWS)
        with pytest.raises(ValueError, match="prices lacks nano"):
            run(node, store=tmp_path, spending=Spending(1.0, {"other": {"input": 1.0, "output": 1.0}}))
        with pytest.raises(RunFailed, match="limit"):
            run(node, store=tmp_path, spending=Spending(0.3, {"nano": {"input": 1000.0, "output": 1000.0}}))
        asked = len(server.read)
        assert 0 < asked < len(scored.QUESTIONS) * scored.DRAWN
        run(node, store=tmp_path, spending=Spending(1000.0, {"nano": {"input": 1000.0, "output": 1000.0}}))


def test_the_entry_of_a_scorer_is_no_model_and_is_forgotten_with_its_answers(nano, store):
    scorer = scored_by(nano).scorer
    run(Likelihood(scorer, ROWS), store=store)
    with pytest.raises(ValueError, match=r"\(scorer\) is no model: give the key of a base, a teacher or a student"):
        held_model(store, scorer.key)
    told = owlish("forget", scorer.key, "--store", store.root).stdout
    assert f"Answers of {nano.url}#nano that are kept for runs: unused from now on" in told


def test_another_model_is_refused_at_first_and_later(nano, tmp_path):
    """Another initialisation of one kind; and a server that changed its model after it was compared."""
    nano.lms["other"] = run(Base("nano-1"), store=tmp_path).open(any_words=True)
    said = failed(scored_by(nano, "other").scorer, tmp_path)
    assert "(other) scores rows as another model than nano does: its log-probabilities are" in said
    assert "serve the same weights" in said
    assert "has no model nowhere: it lists" in failed(scored_by(nano, "nowhere").scorer, tmp_path)
    nano.lms["changed"] = nano.lms["nano"]
    run(scored_by(nano, "changed").scorer, store=tmp_path)
    nano.lms["changed"] = nano.lms["other"]
    assert "(changed) gives other scores than when it was compared" in failed(
        scored_by(nano, "changed").scorer, tmp_path
    )
    del nano.lms["other"], nano.lms["changed"]


def spoilt(change):
    """Return what changes the log-probabilities that a choice holds."""
    return lambda choice: {**choice, "prompt_logprobs": change(choice["prompt_logprobs"])}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda said: said[:-2], "log-probabilities of"),
        (lambda said: [*said[:-1], None], "log-probabilities of other tokens than were sent, or of only some of them"),
        (lambda said: [said[0], *({"0": next(iter(one.values()))} for one in said[1:])], "of other tokens"),
        (lambda said: [said[0], *({t: {**v, "rank": None} for t, v in one.items()} for one in said[1:])], "of other"),
        (
            lambda said: [said[0], *({t: {**v, "logprob": None} for t, v in one.items()} for one in said[1:])],
            "of other",
        ),
        (
            lambda said: [said[0], *({t: {**v, "logprob": 1.0} for t, v in one.items()} for one in said[1:])],
            "above zero or not finite",
        ),
    ],
)
def test_log_probabilities_that_cannot_be_right_are_told(change, said, nano, tmp_path, monkeypatch):
    monkeypatch.setattr("owlish.engines.server.PAUSE", 0.0)
    monkeypatch.setattr(nano, "spoil", spoilt(change))
    found = failed(scored_by(nano).scorer, tmp_path)
    assert "127.0.0.1" in found
    assert said in found
    assert "4 times: run the same command later" in found


@pytest.mark.parametrize(
    ("choice", "usage"),
    [
        ("[null, 3]", "{}"),
        ('"all"', "{}"),
        ('{"5": 1}', "{}"),
        ('[null, {"7": {"logprob": NaN, "rank": 1}}]', "{}"),
        ('[null, {"7": {"logprob": -1e999, "rank": 1}}]', "{}"),
        ('[null, {"7": {"logprob": -1, "rank": Infinity}}]', "{}"),
        ('[null, {"7": {"logprob": -1, "rank": 0}}]', "{}"),
        ('[null, {"7": {"logprob": -1, "rank": 1}}]', "[1]"),
        ('[null, {"7": {"logprob": -1, "rank": 1}}]', '{"prompt_tokens": -3}'),
    ],
)
def test_what_cannot_be_read_is_garbled(choice, usage):
    whole = '{"choices": [{"prompt_logprobs": %s}], "usage": %s}'
    with pytest.raises(Garbled):
        scored.parse_prompt((whole % (choice, usage)).encode(), [3, 7])
    good = whole % ('[null, {"7": {"logprob": -1, "rank": 1}}]', "{}")
    found = scored.parse_prompt(good.encode(), [3, 7])
    assert (found.logprobs, found.likeliest) == ([-1.0], [True])


def test_rows_are_scored_through_faults(nano, tmp_path):
    """Broken connections, errors, answers that are cut off, slow or to another request: the scores are the same."""
    faults = [("busy",), ("cut",), ("reset",), (), ("broken", "stale"), ("empty",), ("twice",), ("slow",)]
    with FaultProxy(nano.url, faults) as proxy:
        found = run(Likelihood(scored_by(proxy).scorer, ROWS), store=tmp_path)
        assert max(proxy.hits.values()) > 1
    assert np.abs(found.sums - run(Likelihood(PLAIN, ROWS), store=tmp_path).sums).max() < 1e-4


def test_a_plan_and_a_dry_run_say_what_the_server_is_asked(nano, tmp_path):
    write_rows(file := tmp_path / "rows.jsonl", 3 * [Row.of(*one) for one in ROWS.rows])
    words = ("audit", file, "--base", "nano", "--scored-by", f"{nano.url}#nano", "--store", tmp_path / "s", "--dry-run")
    told = owlish(*words).stdout
    line = f"nano scored by {nano.url}#nano: asked for the log-probabilities of at most 1,200 rows, one request each, "
    assert f"{line}after some were compared with those here. Their time is not counted." in told, told
    for server, said in (("nano", "is no address of a server"), ("http://a b#c", "named with the model after #")):
        assert said in owlish(*words[:5], server, *words[6:], code=2).stderr


@pytest.mark.slow
def test_llama_cpp_scores_no_rows(smollm2):
    """Its server takes token ids, and passes `prompt_logprobs` over."""
    with llama() as address, pytest.raises(RunFailed, match="gives no log-probabilities of given tokens"):
        run(Base("smollm2", scored=address).scorer, store=smollm2)
