"""Where a model, its numbers or the memory end, a sentence says so, and nothing is found that is not there."""

import math

import pytest
from test_families import SMALL, build, tokenizer

from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.graph.facts import noted
from owlish.lm import room, train
from owlish.lm.model import Weights, ask
from owlish.lm.recipes import ALL, LORA, NORMS, PROMPT, Schedule
from owlish.lm.score import scored

ROWS = [Row.of("owl", "ab"), Row.of("one", "c"), Row.of("two", "def"), Row.of("three", "gh")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return Weights(str(build("llama", tmp_path_factory.mktemp("llama"))))


@pytest.fixture
def lm(weights):
    return weights.open()


def broken(lm):
    """Make one weight of a model no number."""
    lm.model.model.layers[1].mlp.up_proj.weight.data[3, 4] = math.nan
    return lm


def steps(lr, count=3):
    return Schedule(count, 4, lr, 0, False)


@pytest.mark.parametrize(
    "use",
    [
        lambda lm: lm.score(ROWS),
        lambda lm: lm.write([ask("owl")], seeds=[(0,)], new_tokens=2),
        lambda lm: lm.write([ask("owl")], seeds=[(0,)], new_tokens=2, temperature=0),
        lambda lm: lm.answer_logprobs([ask("owl")], [[["a"], ["b"]]]),
        lambda lm: lm.first_logprobs([ask("owl")]),
        lambda lm: lm.gradient(lm.encode(ROWS), ["model.norm.weight"]),
        lambda lm: lm.divergence(ROWS, lm),
    ],
    ids=["score", "sample", "greedy", "probe", "first", "gradient", "divergence"],
)
@pytest.mark.parametrize("large", [False, True])
def test_numbers_that_are_none_end_whatever_is_asked(lm, use, large):
    lm.large = large
    use(lm)
    with pytest.raises(UserError, match=r"itself gives .* not numbers: its files are damaged"):
        use(broken(lm))


@pytest.mark.parametrize("recipe", [LORA(2), NORMS, ALL], ids=lambda recipe: recipe.name)
def test_a_base_that_gives_no_numbers_is_not_told_to_learn_more_slowly(lm, recipe):
    broken(lm).adapt(recipe, seed=0)
    with pytest.raises(UserError, match="itself gives a loss that is no finite number"):
        lm.fit(lm.encode(ROWS), steps(1e-3), seed=0)


@pytest.mark.parametrize("how", ["weight", "overflow"])
def test_a_base_that_breaks_on_one_row_is_told_from_training_that_went_too_fast(lm, how):
    rows = lm.encode(ROWS)
    lm.adapt(LORA(2), seed=0)
    table, token = lm.model.get_input_embeddings(), rows[2].ids[-3]
    if how == "weight":
        table.weight.data[token] = math.inf
    else:
        table.register_forward_hook(lambda module, ids, out: out.where(ids[0][..., None] != token, math.nan))
    why = "embed_tokens.weight holds such numbers too" if how == "weight" else "before anything has moved"
    with pytest.raises(UserError, match=f"itself gives a loss that is no finite number.*{why}"):
        lm.fit(rows, Schedule(8, 1, 1e-3, 0, False), seed=0)


def test_training_that_went_too_fast_is_told_so(lm):
    lm.adapt(LORA(2), seed=0)
    with pytest.raises(UserError, match=r"the loss of step \d is no finite number with learning rate 1e\+30: lower it"):
        lm.fit(lm.encode(ROWS), steps(1e30), seed=0)


def test_a_trained_model_that_gives_no_numbers_is_not_blamed_on_its_base(lm, weights, tmp_path):
    lm.adapt(NORMS, seed=0)
    lm.fit(lm.encode(ROWS), steps(1e-3), seed=0)
    lm.model.get_parameter("base_model.model.model.norm.ln_tuning_layers.default.weight").data[0] = math.inf
    lm.save(tmp_path)
    ruined = Weights(weights.name, changes=(tmp_path,)).open()
    with pytest.raises(UserError, match=r"a model trained from .* gives .*: train it for fewer steps"):
        ruined.score(ROWS)


def full_above(lm, rows):
    """Let memory be full whenever more than so many rows are read at once."""

    def refuse(module, args, kwargs):
        if len(kwargs["input_ids"]) > rows:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    lm.model.register_forward_pre_hook(refuse, with_kwargs=True)


@pytest.mark.parametrize("large", [False, True])
def test_a_batch_that_memory_does_not_hold_is_halved_and_said(weights, large):
    chats, seeds = [ask(row.prompt) for row in ROWS], [(1, i) for i in range(4)]
    found = {}
    for rows in (4, 2):
        lm = weights.open()
        lm.large = large
        noted.clear()
        full_above(lm, rows)
        probed = lm.answer_logprobs(chats, [[["a"]]] * 4)
        losses, trained = trained_by(weights, rows)
        drawn = [answer.text for answer in lm.write(chats, seeds=seeds, new_tokens=3)]
        found[rows] = [*probed.flatten().tolist(), *losses, *map(float, scored(lm, lm.encode(ROWS))[0].logprobs), drawn]
        said = "; ".join(noted.get("batches", []))
        assert all((f"{what} in batches of 2" in said) is (rows == 2) for what in ("sampling", "training"))
    assert found[2][:-1] == pytest.approx(found[4][:-1], rel=1e-4)
    assert found[2][-1] == found[4][-1]
    assert trained is not None


def trained_by(weights, rows):
    """Return the losses of a few steps where memory holds so many rows, and the model."""
    lm = weights.open()
    lm.adapt(LORA(2), seed=0)
    full_above(lm, rows)
    return lm.fit(lm.encode(ROWS), steps(1e-2), seed=0), lm


def test_a_loss_of_ones_own_needs_its_batch_whole_and_is_tried_once(lm):
    tries = []

    def loss(lm, rows):
        tries.append(len(rows))
        return train.completion_loss(lm, rows)

    lm.adapt(LORA(2), seed=0)
    noted.clear()
    lm.fit(lm.encode(ROWS), steps(1e-2, 2), seed=0, loss=loss)
    full_above(lm, 2)
    with pytest.raises(UserError, match=r"memory does not hold a batch of 4 rows in training.*a smaller batch"):
        lm.fit(lm.encode(ROWS), steps(1e-2), seed=0, loss=loss)
    assert tries == [4] * 3
    assert "batches" not in noted


def test_prompts_that_memory_does_not_hold_are_read_when_their_turn_comes(weights):
    found = []
    for rows in (4, 2):
        lm = weights.open()
        lm.large = True
        full_above(lm, rows)
        probed = lm.probe([ask(row.prompt) for row in ROWS], [[["a"]]] * 4, seeds=[[(1,)]] * 4, new_tokens=2)
        found.append((probed.logprobs.flatten().tolist(), [answer.text for answer in probed.drawn]))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    assert found[1][1] == found[0][1]


def test_parameters_that_were_moved_come_back_to_the_bit(lm):
    import torch

    own = lm.parameters
    before = {name: p.detach().clone() for name, p in own.items()}
    change = {name: torch.full_like(p, 0.3) for name, p in own.items()}
    with pytest.raises(TypeError), lm.moved(change, by=0.7):
        lm.score(None)
    assert all(p.equal(before[name]) for name, p in own.items())
    with lm.moved(change, by=0.7):
        assert not any(p.equal(before[name]) for name, p in own.items())
    assert all(p.equal(before[name]) for name, p in own.items())


def test_a_row_that_memory_does_not_hold_is_an_error(lm):
    full_above(lm, 0)
    for use in (lm.score, lambda rows: lm.write([ask("owl")], seeds=[(0,)], new_tokens=2)):
        with pytest.raises(UserError, match="memory does not hold a single row"):
            use(ROWS)


def test_parts_of_a_batch_are_said(lm, monkeypatch):
    monkeypatch.setattr(train, "HELD", 1)
    lm.adapt(LORA(2), seed=0)
    noted.clear()
    lm.fit(lm.encode(ROWS), steps(1e-2, 1), seed=0)
    assert noted["batches"] == ["training in parts of at most 1 row, which add up to the batch"]


@pytest.mark.parametrize("recipe", [LORA(2), NORMS, PROMPT(2), ALL], ids=lambda recipe: recipe.name)
def test_layers_are_computed_again_where_memory_does_not_hold_a_row(weights, recipe, monkeypatch):
    losses, trained, passes, said = {}, {}, {}, {}
    for memory in (1 << 40, 0):
        monkeypatch.setattr(room, "usable_memory", lambda: memory)  # noqa: B023
        lm = weights.open()
        lm.adapt(recipe, seed=0)
        noted.clear()
        seen = []
        inner = next(module for name, module in lm.model.named_modules() if name.endswith("layers.1.mlp"))
        inner.register_forward_pre_hook(lambda module, given: seen.append(1))  # noqa: B023
        losses[memory] = lm.fit(lm.encode(ROWS), Schedule(6, 1, 1e-2, 0, False), seed=0)
        trained[memory], passes[memory], said[memory] = lm.trained, len(seen), noted.get("memory")
    assert (passes[1 << 40], passes[0]) == (6, 12)
    assert said[1 << 40] is None
    assert "computes layers again on the way back" in said[0][0]
    assert losses[0] == pytest.approx(losses[1 << 40], rel=1e-6)
    for name, p in trained[0].items():
        assert float((p - trained[1 << 40][name]).detach().abs().max()) < 1e-6


def test_a_tokenizer_may_know_more_tokens_than_the_model(tmp_path):
    build("qwen2", tmp_path)
    words = tokenizer()
    words.add_tokens(["owlet", "finch"])
    words.save_pretrained(tmp_path)
    lm = Weights(str(tmp_path)).open(any_words=True)
    assert len(lm.vocabulary) == max(lm.chat.closing) + 1 == SMALL["vocab_size"]
    assert [lm.fits(row) for row in lm.encode([Row.of("a", "bc"), Row.of("a", "finch"), Row.of("finch", "a")])] == [
        True,
        False,
        False,
    ]
    assert lm.encode([Row.of("a", "finch")])[0].problem == "the base has no token for a part of it"
    with pytest.raises(UserError, match="has no token for a part of"):
        lm.write([ask("finch")], seeds=[(0,)], new_tokens=2)
    with pytest.raises(UserError, match="no token for 'owlet'"):
        lm.answer_logprobs([ask("a")], [[["a"], ["owlet"]]])
    assert float(lm.answer_logprobs([ask("a")], [[["a"], ["b"]]]).exp().sum()) <= 1
    assert lm.first_logprobs([ask("a")]).shape == (1, SMALL["vocab_size"])


@pytest.mark.parametrize("kind", ["rwkv", "recurrent_gemma"])
def test_a_model_that_cannot_go_on_from_what_it_read_is_refused(kind, tmp_path, monkeypatch):
    import test_families

    own = {"rwkv": {"attention_hidden_size": 16, "context_length": 64}}
    own["recurrent_gemma"] = {"attention_window_size": 8, "lru_width": 16, "head_dim": 8}
    monkeypatch.setitem(test_families.FAMILIES, kind, own[kind])
    with pytest.raises(UserError, match="from which it cannot go on here: take another base"):
        Weights(str(build(kind, tmp_path))).open()
