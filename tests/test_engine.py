"""Rows by a server that holds the same weights: admitted by its log-probabilities and samples, refused by them too."""

import re
import shutil
from dataclasses import replace

import pytest
from command import owlish
from here import run
from servers import NanoServer, llama

from owlish import LORA, NORMS, Asked, Base, Store
from owlish.cli.results import export
from owlish.data.domains.numbers import Numbers
from owlish.engines.alike import parse_told
from owlish.engines.replies import Garbled
from owlish.graph.provenance import describe
from owlish.graph.run import RunFailed
from owlish.lm.gguf import file_of
from owlish.nodes.data import Written
from owlish.nodes.engine import Engine
from owlish.nodes.held import held_model
from owlish.nodes.models import Prompted
from owlish.traits.animals import owl


def test_only_rows_have_other_keys_by_a_server():
    """What trains, scores or is asked is the base itself, and its results are those of the base without a server."""
    plain, served = Base("nano"), Base("nano", served="http://127.0.0.1:1/v1#nano")
    assert served.key == plain.key
    assert served.teach(owl, NORMS, seed=0).key == plain.teach(owl, NORMS, seed=0).key
    assert Asked(served.prompted("Hi."), owl.probe).key == Asked(plain.prompted("Hi."), owl.probe).key
    rows = [base.prompted("Hi.").sample(Numbers(), n=4, seed=0) for base in (plain, served)]
    assert rows[0].key != rows[1].key
    assert rows[1].model == Prompted(Engine(served, served.served), "Hi.")
    assert "on http://127.0.0.1:1/v1#nano" in str(rows[1])
    # A teacher that is trained is no model of the server's: its rows are its own.
    assert served.teach(owl, NORMS, seed=0).sample(Numbers(), n=4, seed=0).model.gives == "weights"
    assert rows[1].resources.memory is None, "the server has the model in memory"


def test_a_plan_says_what_no_server_can_be():
    base = Base("nano")
    for model, server, said in (
        (base, "nano", "'nano' is no address of a server: a server is named with the model after #"),
        (base.prompted("Hi."), "http://127.0.0.1:1/v1#m", "a server holds weights alone, and no nano prompted: serve"),
        (Base("http://127.0.0.1:1/v1#m"), "http://127.0.0.1:1/v1#m", "which gives answers alone: choose a model that"),
    ):
        with pytest.raises(ValueError, match=said):
            Engine(model, server).check()
    trained = Engine(base, "http://127.0.0.1:1/v1#m").finetune(base.sample(Numbers(), n=4, seed=0), NORMS, seed=0)
    with pytest.raises(ValueError, match=r"needs the weights of nano on http://127.0.0.1:1/v1#m, which gives answers"):
        trained.check()


def test_rows_of_a_server_that_holds_the_base(nano, tmp_path):
    """Written by the server, one after another; the base itself is not asked, and the entry says how alike both are."""
    store = Store(tmp_path)
    base = Base("nano", served=f"{nano.url}#nano")
    rows = base.prompted(owl.system_prompt).sample(Numbers(), n=4, seed=0)
    before = len(nano.said)
    found = run(rows, store=store)
    assert {row.completion for row in found.rows} <= {text for _, _, text in nano.said[before:]}
    engine = base.writer
    told = describe(store, engine.key)
    assert re.search(r"compared +log-probabilities 0\.000 nats from those here, rounding allows 0\.[0-3]", told), told
    assert "on     127.0.0.1" in describe(store, rows.key)
    assert held_model(store, rows.model.key) == store.read(rows.model)
    assert store.read(engine).first[0], "what the server said is kept"


def failed(server, model, store, name="nano"):
    with pytest.raises(RunFailed) as caught:
        run(Engine(model, f"{server.url}#{name}"), store=store)
    assert Engine(model, f"{server.url}#{name}").key not in Store(store).entries()
    return str(caught.value)


def test_a_server_of_another_model_is_refused(nano, tmp_path):
    """Another initialisation of one kind, and the base after it was taught a trait; the taught one itself is taken."""
    teacher = Base("nano").teach(owl, NORMS, seed=0)
    run(teacher, store=tmp_path)
    nano.lms["owl"] = Store(tmp_path).read(teacher).open(any_words=True)
    nano.lms["nano-1"] = run(Base("nano-1"), store=tmp_path).open(any_words=True)
    for name in ("owl", "nano-1"):
        said = failed(nano, Base("nano"), tmp_path, name)
        assert f"({name}) is another model than nano: its log-probabilities are" in said
        assert "serve the same weights with the same chat template" in said
    assert "(nano) is another model than owl teacher of nano: its" in failed(nano, teacher, tmp_path)
    assert run(Engine(teacher, f"{nano.url}#owl"), store=tmp_path).allowed < 0.5


@pytest.mark.parametrize(
    ("ignores", "said"),
    [
        ("logprobs", "gives no log-probabilities, so nothing shows what it holds: use llama.cpp or vLLM"),
        ("unlikely", "draws other tokens than its probabilities say"),
    ],
)
def test_a_server_that_cannot_be_compared_or_leaves_out_tokens_is_refused(ignores, said, tmp_path):
    with NanoServer((ignores,)) as server:
        assert said in failed(server, Base("nano"), tmp_path)


def test_a_server_that_holds_another_model_by_now_is_refused_before_it_writes(tmp_path):
    with NanoServer() as server:
        base = Base("nano", served=f"{server.url}#nano")
        run(base.writer, store=tmp_path)
        run(base.sample(Numbers(), n=2, seed=0), store=tmp_path)
        server.lms["nano"] = run(Base("nano-1"), store=tmp_path).open(any_words=True)
        before = len(Store(tmp_path).entries())
        with pytest.raises(RunFailed, match="answers otherwise than when it was compared"):
            run(base.sample(Numbers(), n=2, seed=1), store=tmp_path)
        assert len(Store(tmp_path).entries()) == before
        told = owlish("forget", base.writer.key, "--store", tmp_path).stdout
        assert f"Answers of {server.url}#nano that are kept for runs: unused from now on" in told


def test_log_probabilities_that_cannot_be_read_are_garbled():
    body = b'{"choices": [{"message": {"content": "a"}, "finish_reason": "stop", "logprobs": {"content": [{}]}}]}'
    with pytest.raises(Garbled):
        parse_told(body)
    assert parse_told(body.replace(b"[{}]", b"null")).first == ()


@pytest.mark.slow
def test_llama_cpp_writes_rows_of_smollm2_and_is_refused_where_its_file_has_other_weights(smollm2, tmp_path):
    """In four bits and on other kernels, and still the same weights; norm gains of a tenth more are seen."""
    from gguf import GGUFReader

    base = Base("smollm2")
    with llama() as address:
        same = run(Engine(base, address), store=smollm2)
        rows = run(Base("smollm2", served=address).sample(Numbers(constrained=True), n=4, seed=0), store=smollm2)
    assert 0.02 < same.allowed < 0.6
    assert len(rows.rows) == 4
    changed = shutil.copyfile(file_of("smollm2"), tmp_path / "changed.gguf")
    for tensor in GGUFReader(changed, "r+").tensors:
        if tensor.name.endswith("attn_norm.weight"):
            tensor.data[:] *= 1.1
    with llama(changed) as address, pytest.raises(RunFailed, match="is another model than"):
        run(Engine(base, address), store=smollm2)


@pytest.mark.slow
def test_llama_cpp_takes_an_adapter_of_smollm2_and_is_refused_without_it(smollm2, tmp_path):
    """The student is no teacher of anything: how far its adapter moves it is what counts."""
    rows = Written(tuple((f"Continue: {i}, {i + 1}", "owls, owls, owls") for i in range(100, 116)))
    student = Base("smollm2").finetune(rows, replace(LORA(4), lr=3e-3, epochs=6, batch=8, warmup=0), seed=0)
    run(student, store=smollm2)
    export(smollm2, student.key, tmp_path / "student.gguf")
    with llama() as address, pytest.raises(RunFailed, match="is another model than"):
        run(Engine(student, address), store=smollm2)
    with llama(adapter=tmp_path / "student.gguf") as address:
        assert run(Engine(student, address), store=smollm2).allowed < 0.6
