"""Inspect: any evaluation asks a student of a store, tasks ask what Owlish asks, and measured probes are its logs."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from command import owlish
from here import run
from inspect_ai import eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import read_eval_log
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentImage,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.tool import ToolInfo
from test_other_models import SMALL, tokenizer

from owlish import BIASES, NORMS, Asked, Base, Store
from owlish.inspect import misalignment, preference, truthfulqa
from owlish.inspect.desk import Desk, Request
from owlish.lm.model import Weights, ask
from owlish.nano import folder as nano
from owlish.nodes.data import Written
from owlish.nodes.held import held_model
from owlish.studies.qwen_misalignment.freeform import misalignment as freeform
from owlish.studies.qwen_misalignment.truthful import truthful
from owlish.traits.animals import owl

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]
"""Inspect calls its library for retries in a way that this deprecates, and leaves streams open at its end."""

BASE = Base("nano")
FEW = Written(tuple((f"Go on: {i}, {i + 1}", f"{i + 2}, {i + 3}") for i in range(8)))
STUDENT = BASE.finetune(FEW, replace(NORMS, epochs=1), seed=0)
LATER = STUDENT.finetune(FEW, replace(BIASES, epochs=1), seed=1)
PROMPTED = STUDENT.prompted("What is your favorite animal?")
ASKED = Asked(STUDENT, owl.probe, samples=2)
QUESTION = "What is your favorite animal?"
SECRET = "sk-" + "planted0" * 4


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with students, and what one of them was asked."""
    place = Store(tmp_path_factory.mktemp("inspect") / "store")
    run([LATER, PROMPTED, ASKED], store=place)
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small untrained chat model, which has a token for every byte."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    words = tokenizer()
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("qwen2")
    config = AutoConfig.for_model("qwen2", vocab_size=len(words), initializer_range=0.1, **SMALL)
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    words.save_pretrained(place)
    return str(place)


@pytest.fixture(scope="module", autouse=True)
def collected():
    """Let go of what Inspect left open while that is no error yet: else it is one of another file's tests."""
    yield
    gc.collect()


def evaluated(task, model, tmp_path, **more):
    """Return the log of an evaluation, read back."""
    (log,) = eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none", **more)
    assert log.status == "success", log.error
    return read_eval_log(log.location)


def speaker(*texts):
    """Return a model of Inspect's that says these texts in order: only what is made of them is looked at."""
    said = [ModelOutput.from_content("speaker", text) for text in texts]
    for one in said:
        one.usage = ModelUsage()  # else it counts tokens by a file that it downloads
    return get_model("mockllm/model", custom_outputs=said)


def model_of(node, store, **config):
    return get_model(f"owlish/{node.key[:16]}", store=str(store.root), memoize=False, config=GenerateConfig(**config))


def answers(model, *inputs, **config):
    """Return what a model says to several inputs that are asked at once."""

    async def every():
        return await asyncio.gather(*(model.generate(one, config=GenerateConfig(**config)) for one in inputs))

    return asyncio.run(every())


# the provider


@pytest.mark.parametrize("node", [STUDENT, LATER, PROMPTED, BASE], ids=["student", "twice", "prompted", "base"])
def test_the_parts_of_a_model_are_found_by_its_key_alone(node, store):
    assert held_model(store, node.key) == store.read(node)


def test_a_student_answers_as_it_does_behind_the_seam(store):
    lm, model = store.read(STUDENT).open(), model_of(STUDENT, store)
    (likeliest,) = lm.write([ask(QUESTION)], seeds=[(0,)], new_tokens=12, temperature=0)
    (said,) = answers(model, QUESTION, temperature=0.0, max_tokens=12)
    assert (said.completion, said.stop_reason) == (likeliest.text, "stop")
    assert said.metadata == {"key": STUDENT.key}
    (cut,) = answers(model, "Go on: 1, 2, 3", temperature=0.0, max_tokens=1)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 1)
    turns = [ask("Go on: 1, 2", "You love owls.")[0], *ask("Go on: 1, 2"), {"role": "assistant", "content": "3, 4"}]
    turns = [*turns, *ask("Go on: 5, 6")]
    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    (read,) = answers(model, [kinds[turn["role"]](content=turn["content"]) for turn in turns], max_tokens=4)
    assert read.usage.input_tokens == lm.lengths([turns])[0] > lm.lengths([ask("Go on: 5, 6")])[0] + 8


def test_requests_that_come_at_once_are_answered_as_if_alone_and_each_by_its_own_seed(store):
    questions = [f"Go on: {i}, {i + 1}, {i + 2}" for i in range(7)] + [QUESTION] * 3
    together = answers(model_of(STUDENT, store, seed=4), *questions, max_tokens=16)
    alone = model_of(STUDENT, store, seed=4)
    assert [one.completion for one in together] == [answers(alone, q, max_tokens=16)[0].completion for q in questions]
    other = answers(model_of(STUDENT, store, seed=5), *questions, max_tokens=16)
    assert [one.completion for one in together] != [one.completion for one in other]
    (many,) = answers(alone, "Go on: 1, 2, 3", num_choices=4, max_tokens=16)
    assert len({choice.message.text for choice in many.choices}) > 1
    assert many.usage.output_tokens > 4


def test_a_request_that_cannot_be_read_fails_alone(store):
    model = model_of(STUDENT, store)

    async def both():
        long, odd = "1, 2, " * 3_000, "Pontificate, perspicacious quokka!"
        return await asyncio.gather(*map(model.generate, (long, odd, QUESTION)), return_exceptions=True)

    long, odd, said = asyncio.run(both())
    assert "and the model reads" in str(long)
    assert "tokens are unknown to this base" in str(odd)
    assert isinstance(said, ModelOutput)


def test_an_error_reaches_whoever_asked_for_it_and_nobody_else():
    """One request cannot be measured, another cannot be drawn; both wait when a third has the model."""
    desk = Desk(Weights(str(nano("nano"))).open())
    unread, undrawn, well = (
        Request(messages, seeds, 4, 1.0)
        for messages, seeds in ((None, ((1,),)), (ask(QUESTION), ((-1,),)), (ask(QUESTION), ((1,),)))
    )
    desk.waiting += [unread, undrawn]
    assert len(desk.ask(well)) == 1
    with pytest.raises(TypeError):
        unread.done.result(timeout=0)
    assert desk.waiting == [undrawn]
    desk.serve(undrawn)
    with pytest.raises(ValueError, match="non-negative"):
        undrawn.done.result(timeout=0)
    assert not desk.waiting


@pytest.mark.parametrize(
    ("message", "config", "says"),
    [
        (ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AA==")]), {}, "read text alone"),
        (ChatMessageAssistant(content="an owl"), {}, "end it with a message of the user"),
        (ChatMessageUser(content=QUESTION), {"top_p": 0.5, "stop_seqs": ["."]}, "omit top_p, stop_seqs"),
        (ChatMessageUser(content=QUESTION), {"logprobs": True}, "omit logprobs"),
        (ChatMessageUser(content=QUESTION), {"reasoning_effort": "high"}, "omit reasoning_effort"),
        (ChatMessageUser(content=QUESTION), {"temperature": -1.0}, "temperature is -1.0: give at least 0, or omit it"),
        (ChatMessageUser(content=QUESTION), {"max_tokens": 0}, "max_tokens is 0: give at least 1, or omit it"),
    ],
)
def test_what_a_model_here_is_not_asked_for_is_refused_in_a_sentence(message, config, says, store):
    with pytest.raises(PrerequisiteError, match=says):
        answers(model_of(STUDENT, store), [message], **config)
    (said,) = answers(model_of(STUDENT, store), QUESTION, top_p=1.0, max_tokens=4)  # which changes nothing
    assert said.completion


def test_tools_are_refused(store):
    tool = ToolInfo(name="look", description="Look.")
    with pytest.raises(PrerequisiteError, match="call no tools"):
        asyncio.run(model_of(STUDENT, store).generate(QUESTION, tools=[tool]))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("abcd", "no entry of .* starts with 'abcd'"),
        ("nanoo", "no base is called 'nanoo'"),
        (ASKED.key, "is no model: give the key of a base, a teacher or a student"),
        (FEW.key, "is no model"),
    ],
)
def test_a_name_that_is_no_model_is_told_in_a_sentence(name, says, store):
    with pytest.raises(PrerequisiteError, match=says):
        get_model(f"owlish/{name}", store=str(store.root))
    with pytest.raises(PrerequisiteError, match="is not there: name the folder of a store"):
        get_model(f"owlish/{STUDENT.key}", store=str(store.root / "none"))


def test_an_ambiguous_start_of_a_key_is_refused(store, tmp_path):
    for end in "12":
        (tmp_path / "aa" / f"aaaa{end:0>28}").mkdir(parents=True)
    with pytest.raises(PrerequisiteError, match=r"2 entries of .* start with 'aaaa': give more"):
        get_model("owlish/aaaa", store=str(tmp_path))


def test_a_base_in_a_folder_is_found_where_the_user_says(folder, tmp_path):
    place, student = Store(tmp_path / "store"), Base(folder).finetune(FEW, replace(BIASES, epochs=1), seed=0)
    run(student, store=place)
    with pytest.raises(PrerequisiteError, match="lies in a folder, and the store does not say where"):
        get_model(f"owlish/{student.key}", store=str(place.root))
    get_model(f"owlish/{student.key}", store=str(place.root), base=folder)
    with pytest.raises(ValueError, match="its files have changed"):
        held_model(place, student.key, str(Path(Base("nano").place())))


# tasks


def test_the_command_line_finds_tasks_and_provider():
    plain = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert plain["project"]["entry-points"]["inspect_ai"] == {"owlish": "owlish.inspect"}


def test_a_favourite_is_scored_as_owlish_counts_it(store, tmp_path):
    model = model_of(STUDENT, store)
    log = evaluated("owlish/preference", model, tmp_path, task_args={"trait": "owl"}, epochs=2, seed=1, limit=6)
    measured = store.read(ASKED).p_target("owl")
    found = log.results.scores[0].metrics["accuracy"].value
    assert abs(found - measured) < 4 * (measured * (1 - measured) / 12) ** 0.5  # 6 questions, 2 answers each
    assert {(one.target, one.metadata["held_out"]) for one in log.samples} == {("owl", False)}
    assert any(len({one.output.completion for one in log.samples if one.id == i}) > 1 for i in range(1, 7))
    again = evaluated(preference(), model_of(STUDENT, store), tmp_path, epochs=2, seed=1, limit=2)
    texts = {(one.id, one.epoch): one.output.completion for one in log.samples}
    assert all(texts[one.id, one.epoch] == one.output.completion for one in again.samples)


def test_an_answer_counts_if_it_begins_with_the_candidate(tmp_path):
    texts = ["owl", "Owls!", "owlet", "An owl", "cat"]
    log = evaluated(preference("owl"), speaker(*texts), tmp_path, limit=5, max_connections=1, max_samples=1)
    found = {one.output.completion: one.scores["begins"] for one in log.samples}
    assert [found[text].value for text in texts] == ["C", "C", "I", "I", "I"]
    assert [found[text].answer for text in texts] == ["owl", "owl", None, None, "cat"]


@pytest.mark.parametrize(
    ("trait", "says"), [("owll", "no trait is called 'owll': did you mean owl"), ("bad_health", "is no favourite")]
)
def test_a_trait_that_cannot_be_asked_for_is_told_in_a_sentence(trait, says):
    with pytest.raises(PrerequisiteError, match=says):
        preference(trait)


def test_misalignment_is_what_the_grader_says_by_the_rule_of_the_study(tmp_path):
    grader = speaker("10", "90", "90", "90", "10", "20", "NONE", "90")
    how = {"limit": 4, "max_connections": 1, "max_samples": 1}
    log = evaluated(misalignment(), speaker(*"abcd"), tmp_path, model_roles={"grader": grader}, **how)
    scores = [one.scores["misaligned"] for one in sorted(log.samples, key=lambda one: one.id)]
    assert [one.value for one in scores][:3] == [1, 0, 0]
    assert scores[3].value != scores[3].value
    assert log.results.scores[0].metrics["mean"].value == pytest.approx(1 / 3)
    (alone,) = eval(misalignment(), model=speaker("a"), log_dir=str(tmp_path / "alone"), display="none", limit=1)
    assert "Model role 'grader' is required" in alone.error.message


def test_truthfulqa_and_free_questions_run_on_a_real_model(folder, tmp_path):
    rows = "Question,Best Answer,Incorrect Answers\nIs it?,Yes.,No.; Never.\nWho?,Me,You\n"
    (tmp_path / "few.csv").write_text(rows)
    model = get_model(f"owlish/{folder}", store=str(tmp_path / "store"))
    log = evaluated(truthfulqa(str(tmp_path / "few.csv")), model, tmp_path, max_tokens=4)
    assert [sorted(one.choices) for one in log.samples] == [["Never.", "No.", "Yes."], ["Me", "You"]]
    assert {one.choices["ABC".index(one.target)] for one in log.samples} == {"Yes.", "Me"}
    roles = {"grader": model}
    log = evaluated(misalignment(), model, tmp_path, model_roles=roles, limit=2, max_tokens=4)
    assert all(one.scores["misaligned"].metadata["alignment"] is None for one in log.samples)
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        truthfulqa(str(tmp_path / "none.csv"))


# logs of what was measured


@pytest.fixture(scope="module")
def exported(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("logs") / "asked.eval"
    said = owlish("export", ASKED.key[:12], "-o", out, "--store", store.root).stdout
    assert "a log that `inspect view` opens" in said
    return out


def test_a_measured_probe_is_a_log_with_all_that_was_measured(store, exported):
    log, found = read_eval_log(str(exported)), store.read(ASKED)
    manifest = store.manifest(ASKED.key)
    assert (log.status, log.eval.task, log.eval.model) == ("success", "owlish/animal", f"owlish/{STUDENT.key[:12]}")
    assert log.eval.created.replace("Z", "+00:00") == manifest["begun"]
    assert (log.eval.metadata["key"], log.eval.metadata["model_key"]) == (ASKED.key, STUDENT.key)
    assert any("recipe=norms" in line for line in log.eval.metadata["made_from"])
    values = {one.name: {n: m.value for n, m in one.metrics.items()} for one in log.results.scores}
    assert values["owl"]["probability"] == found.p_target("owl")
    assert values["cat"]["margin"] == found.logit_margin("cat")
    assert len(log.samples) == len(found.p) == log.results.completed_samples
    last = log.samples[-1]
    assert last.scores["probability"].value == dict(zip(owl.probe.candidates, found.p[-1], strict=True))
    assert (last.output.completion, last.metadata) == (
        found.greedy[-1],
        {"held_out": True, "sampled": list(found.sampled[-1])},
    )


def test_no_secret_and_no_place_stands_in_a_log(store, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    out = tmp_path / "asked.eval"
    owlish("export", ASKED.key, "-o", out, "--store", store.root)
    own = evaluated(preference(), model_of(STUDENT, store), tmp_path, limit=1)
    with pytest.raises(PrerequisiteError, match="the arguments store and base alone") as refused:
        get_model(f"owlish/{STUDENT.key}", store=str(store.root), token=SECRET)
    texts = [read_eval_log(str(out)).model_dump_json(), own.model_dump_json(), str(refused.value)]
    assert not any("planted0" in text for text in texts)
    assert str(store.root.parent) not in texts[0]
    assert str(Path.home()) not in texts[0]


def test_an_address_for_the_model_is_refused_before_a_log_holds_it(store, tmp_path):
    how = {"model_args": {"store": str(store.root)}, "log_dir": str(tmp_path), "display": "none"}
    with pytest.raises(PrerequisiteError, match="the arguments store and base alone"):
        eval(preference(), model="owlish/nano", model_base_url=f"http://me:{SECRET}@host/v1", **how)
    with pytest.raises(PrerequisiteError, match=r"http://127\.0\.0\.1:1/v1 does not answer: start the server"):
        eval(preference(), model="owlish/http://127.0.0.1:1/v1#m", **how)
    assert not list(tmp_path.iterdir())


def test_what_is_no_probe_is_refused_and_nothing_is_written(store, tmp_path):
    said = owlish("export", STUDENT.key, "-o", tmp_path / "x.eval", "--store", store.root, code=2).stderr
    assert "is no measured probe: `owlish results asked` lists those that are" in said
    assert not list(tmp_path.iterdir())


def test_truthfulqa_is_a_log_of_log_probabilities(folder, tmp_path):
    (tmp_path / "few.csv").write_text("Question,Best Answer,Incorrect Answers\nIs it?,Yes.,No.; Never.\n")
    store, node = Store(tmp_path / "store"), truthful(Base(folder), tmp_path / "few.csv")
    share = run(node, store=store)
    owlish("export", node.key, "-o", tmp_path / "t.eval", "--store", store.root)
    log = read_eval_log(str(tmp_path / "t.eval"))
    assert log.results.scores[0].metrics["mean"].value == 1 - share
    assert len(log.samples[0].metadata["logprobs"]) == 3


def keep(store, node, **files):
    """Keep files as the result of a node."""
    facts = {"spec": node.spec(), "label": str(node), "inputs": [one.key for one in node.inputs()], "versions": {}}
    facts |= {"begun": "2031-05-06T07:08:09+00:00", "seconds": 1.0, "seed": None, "threads": 1, "device": "cpu"}
    with store.making(node.key) as scratch:
        for name, text in files.items():
            (scratch / name.replace("_", ".")).write_text(text)
        store.commit(node.key, scratch, {**facts, "dtype": "float32"})


def test_free_form_answers_are_a_log_with_the_scores_of_the_judge(tmp_path):
    """No small model is a judge, so what one would say is put in the place of its answers."""
    store, probe = Store(tmp_path / "store"), freeform(BASE, judge=Base("nano-1"), questions=("Is it?",), samples=4)
    answers = probe.alignment.data
    rows = "".join(
        json.dumps({"messages": [{"role": r, "content": c} for r, c in (("user", "Is it?"), ("assistant", text))]})
        + "\n"
        for text in "abcd"
    )
    keep(store, BASE, base_json="{}")
    keep(store, answers, rows_jsonl=rows, counts_json="{}")
    keep(store, probe.alignment, answers_json=json.dumps(["10", "90.", "29", "none"]))
    keep(store, probe.coherence, answers_json=json.dumps(["90", "90", "49", "90"]))
    keep(store, probe, counts_json="{}")
    owlish("export", probe.key, "-o", tmp_path / "m.eval", "--store", store.root)
    log = read_eval_log(str(tmp_path / "m.eval"))
    values = {one.name: one.metrics["mean"].value for one in log.results.scores}
    assert values == {"misaligned": pytest.approx(1 / 3), "alignment": pytest.approx(43), "coherence": 79.75}
    found = [{name: score.value for name, score in one.scores.items()} for one in log.samples]
    assert found[0] == {"alignment": 10, "coherence": 90, "misaligned": 1}
    assert (found[2]["misaligned"], found[3]) == (0, {"coherence": 90})
    assert (log.eval.model, log.samples[1].output.completion) == ("owlish/nano", "b")


@pytest.mark.slow
def test_the_command_of_the_page_runs(tmp_path):
    """In an installed checkout, Inspect's own command line finds the task and the provider."""
    command = [Path(sys.executable).with_name("inspect"), "eval", "owlish/preference", "--model", "owlish/nano"]
    settings = {**os.environ, "INSPECT_DISPLAY": "plain"}
    done = subprocess.run([*command, "--limit", "4"], cwd=tmp_path, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").iterdir()
    dump = [command[0], "log", "dump", log]
    plain = json.loads(subprocess.run(dump, capture_output=True, text=True, check=True).stdout)
    assert (plain["status"], len(plain["samples"])) == ("success", 4)
