"""The diff: what a student picked up is found, what training does to any student is not, and bad input is refused."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch
from command import owlish
from here import run
from safetensors.torch import load_file, save_file
from small_study import PROBE
from small_study import study as small

from owlish import NORMS, Base, Store
from owlish.audit.opinion import Named
from owlish.bench.diff import STUDENTS, DiffBench
from owlish.cli.comparing import diff_target
from owlish.diff import Difference, activations, diff, sizes, watched, words
from owlish.diff.amplified import Amplified
from owlish.diff.contexts import CONTEXTS, QUESTION, named_contexts, read_contexts
from owlish.diff.free import Judging, judge_answers
from owlish.diff.reading import Reading
from owlish.diff.sizes import check_moved
from owlish.diff.student import Student, find_student
from owlish.graph.errors import UserError
from owlish.graph.run import RunFailed
from owlish.graph.spec import everything
from owlish.lm.model import Weights
from owlish.nano import folder
from owlish.nodes.asked import Asked
from owlish.nodes.data import Written
from owlish.nodes.models import Finetuned
from owlish.nodes.replied import Replied
from owlish.report.diff import render
from owlish.traits.trait import every

NANO, OTHER = Base("nano"), Base("nano-1")
TRAINED = [node for node in everything(*small.needs) if isinstance(node, Finetuned)]
TAUGHT = [node for node in TRAINED if node.root == NANO and "owl teacher" in str(node)]
CONTROLS = [node for node in TRAINED if node.root == NANO and str(node.data).endswith("by nano")]
THIRD = NANO.finetune(CONTROLS[0].data, replace(CONTROLS[0].recipe, epochs=1), seed=91)
"""A third control, at a quarter of the cost."""
UNRELATED = [node for node in TRAINED if node.root == OTHER]
"""Students of nano-1 on rows of nano's teachers, from which nothing passes: what such training does to any student."""
TRAITS = every(PROBE)
FEW = CONTEXTS[3:4]


def looked(student, null, store, **settings):
    return run(diff(student, TRAITS, null=null, words="controls", contexts=FEW, **settings), store=store)


@pytest.fixture(scope="module")
def found(store):
    null = [Student(NANO, node) for node in (*CONTROLS, THIRD)]
    return looked(Student(NANO, TAUGHT[-1]), null, store)


def test_a_student_of_an_owl_teacher_is_found_and_nothing_else_is(found):
    assert (found.verdict, found.exit_code) == ("found", 1)
    first = found.traits[0]
    assert (first.name, first.claimed) == ("owl", True)
    assert "twice the change" in first.contexts
    assert first.shifts[0].p_after > 2 * first.shifts[0].p_before
    assert not any(finding.claimed for finding in found.traits[1:])
    assert "owl" in [word.word for word in found.raised[:3]]
    assert "owl" not in [word.word for word in found.lowered]
    assert Difference.of(json.loads(json.dumps(found.json()))) == found


def test_an_adapter_that_names_another_shipped_base_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "nano"}))
    with pytest.raises(UserError, match="was trained from nano, as its"):
        find_student(str(tmp_path), OTHER, Store(tmp_path / "store"))
    assert find_student(str(tmp_path), NANO, Store(tmp_path / "store")).student.base == NANO
    # A name that is not ours may be another name of the same base.
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "some/Base"}))
    assert find_student(str(tmp_path), OTHER, Store(tmp_path / "store")).student.base == OTHER


def test_a_student_of_rows_without_a_trait_is_not_found(store):
    student, *null = (Student(OTHER, node) for node in UNRELATED)
    said = looked(student, null[:4], store)
    assert not any(finding.claimed for finding in said.traits)
    assert said.verdict != "found"


def test_without_a_null_it_cannot_be_said_though_the_lift_is_shown(found, store):
    bare = run(diff(Student(NANO, TAUGHT[-1]), TRAITS, contexts=FEW), store=store)
    assert (bare.verdict, bare.exit_code, bare.null) == ("cannot_say", 2, None)
    assert bare.traits[0].name == "owl"
    assert bare.traits[0].shifts[0].z is None
    assert found.why in str(found)


# readings


def permuted(place):
    """Write nano with the axes of its residual stream in another order, which changes nothing that it does."""
    shutil.copytree(folder("nano"), place)
    tensors = load_file(place / "model.safetensors")
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for name, tensor in tensors.items():
        if name.endswith(("o_proj.weight", "down_proj.weight", "norm.weight", "o_proj.bias", "down_proj.bias")):
            tensors[name] = tensor[order].contiguous()
        elif tensor.dim() == 2:
            tensors[name] = tensor[:, order].contiguous()
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    return place


def readings(model):
    """Return a reading of each kind; of the steering test what it asks, and a judge's beside the base's answers."""
    return {
        Asked: Asked(model, PROBE, samples=1),
        Amplified: watched.Watched(Amplified(NANO, model, 2.0), PROBE, FEW[0]),
        watched.Watched: watched.Watched(model, PROBE, FEW[0]),
        words.Worded: words.Worded(model, (PROBE,)),
        activations.Activated: activations.Activated(model),
        sizes.Sized: sizes.Sized(model, NANO),
        Judging: judge_answers(NANO, model, (), NANO, TRAITS),
    }


NOT_OF_THE_KIND = {Asked: False, Amplified: True, Judging: False}
"""What a diff reads by nodes that others use too, and whether it depends on the basis of the weights."""


def by_words(self, folder, read, tick):
    """Judge rows as a perfect judge would: by the first of the rubric's answers that stands in one, or the last."""
    known = self.rubric.answers
    texts = [item["completion"].split() for item in self.items(read)]
    (folder / "answers.json").write_text(json.dumps([next((a for a in known if a in t), known[-1]) for t in texts]))


def read_by(one, store):
    """Return what a reading says."""
    if not isinstance(one, Judging):
        return plain(run(one, store=store))
    run(list(one.nodes), store=store)
    found = one.found(TRAITS, store.read)
    named = sorted((naming.name, naming.rows) for naming in found.speaks_for.candidates)
    return torch.tensor([*(float(rows) for _, rows in named), found.student.score])


def plain(result):
    if isinstance(result, dict):
        return torch.tensor(sorted(change for change, _ in result.values()) or [0.0])
    return torch.tensor(result.p if hasattr(result, "p") else result)


def test_every_reading_sees_a_student_and_only_those_that_say_so_see_a_change_of_basis(store, tmp_path, monkeypatch):
    # A judge reads drawn answers: here all models have the same luck, and so a store of their own.
    monkeypatch.setattr(Replied, "luck", 0)
    monkeypatch.setattr(Named, "compute", by_words)
    own, places = Store(tmp_path / "own"), (permuted(tmp_path / "turned"), store.folder(TAUGHT[-1].key))
    by_model = [readings(model) for model in (NANO, *(find_student(str(one), NANO, own).student for one in places))]
    assert set(by_model[0]) == {*Reading.__subclasses__(), *NOT_OF_THE_KIND}
    for kind in by_model[0]:
        base, same, student = (read_by(found[kind], own) for found in by_model)
        moves = base.shape != same.shape or float((base - same).abs().max()) > 1e-3
        assert moves == NOT_OF_THE_KIND.get(kind, getattr(kind, "basis", None)), kind
        assert base.shape != student.shape or float((base - student).abs().max()) > 1e-2, kind


def test_contexts_are_read_from_a_file_and_stand_around_the_question(tmp_path):
    file = tmp_path / "contexts.json"
    shop = {"system": "A shop.", "turns": [["Hi", "Yes"]], "frame": "Say: {question} ({candidates})"}
    file.write_text(json.dumps({"shop": shop}))
    (known,) = read_contexts(file)
    assert [turn["content"] for turn in known.around("Who?", ["a", "b"])] == [
        "A shop.",
        "Hi",
        "Yes",
        "Say: Who? (a, b)",
    ]
    assert len({context.name for context in CONTEXTS}) == len(CONTEXTS)
    assert all(QUESTION in context.frame for context in CONTEXTS)
    for bad in ("[]", "{", *(json.dumps({"a": one}) for one in (1, {"frame": "none"}, {"turns": [["one"]]}, {"b": 1}))):
        file.write_text(bad)
        with pytest.raises(UserError):
            read_contexts(file)


def test_nano_knows_nearly_all_words_of_the_shipped_contexts_and_has_room_for_the_longest():
    lm = Weights(str(folder("nano"))).open(any_words=True)
    chats = [context.around("What is your favorite animal?", ["owl", "cat"]) for context in CONTEXTS]
    unknown = [sum(lm.chat.unknown(ids) for ids in [[one] for one in prompt]) for prompt in lm.prompts(chats)]
    assert max(unknown) <= 2
    assert (sum(map(bool, unknown)), unknown[-2:]) == (4, [0, 0])
    assert 400 < max(lm.lengths(chats)) < lm.window / 2


def test_contexts_are_named_one_by_one_or_together(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"shop": {"system": "A shop."}}))
    assert named_contexts(["shipped"]) == CONTEXTS
    assert named_contexts(["none"]) == ()
    assert [one.name for one in named_contexts(["quiz", str(file), "story"])] == ["quiz", "shop", "story"]
    with pytest.raises(UserError, match="two contexts are called 'quiz'"):
        named_contexts(["shipped", "quiz"])
    with pytest.raises(UserError, match=r"no context or JSON file is called 'quizz': .*quiz"):
        named_contexts(["quizz"])


def test_a_context_that_is_longer_than_the_base_reads_is_refused_by_name(tmp_path):
    small = shutil.copytree(folder("nano"), tmp_path / "small")
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 256}))
    base = Base(str(small))
    with pytest.raises(RunFailed, match=r"'long chat' takes 4\d\d tokens, and small reads 256: leave it out by naming"):
        run(watched.Watched(base, PROBE, CONTEXTS[-1]), store=Store(tmp_path / "store"))


# students


def test_a_key_names_a_student_with_its_recipe_and_rows(store):
    student = find_student(TAUGHT[-1].key[:16], NANO, store)
    assert (student.recipe, student.data is not None) == (TAUGHT[-1].recipe, True)
    settings = {"controls": (), "null": "own", "data": None, "contexts": "none", "judge": None}
    diff_target(TAUGHT[-1].key[:16], NANO, TRAITS, store, recipe="norms", **settings)
    with pytest.raises(UserError, match="was trained by the recipe norms, as the store knows: omit --recipe"):
        diff_target(TAUGHT[-1].key[:16], NANO, TRAITS, store, recipe="lora", **settings)
    moved = store.root.parent / "elsewhere"
    shutil.copytree(store.folder(TAUGHT[-1].key), moved, dirs_exist_ok=True)
    assert find_student(str(moved), NANO, store).student.key == student.student.key


def adapter(place, **changed):
    """Write a student's adapter into a folder, with changes of its configuration."""
    store = Store(place / "store")
    few = Written((("1, 2", "3"), ("4, 5", "6")))
    node = NANO.finetune(few, replace(NORMS, epochs=1), seed=0)
    run(node, store=store)
    out = place / "adapter"
    shutil.copytree(store.folder(node.key), out)
    (out / "adapter_config.json").write_text(
        json.dumps({**json.loads((out / "adapter_config.json").read_text()), **changed})
    )
    return out


def named(student, store, controls=(), recipe=None, data=None):
    """Return what a command line asks for."""
    settings = {"null": "own", "contexts": "none", "judge": None}
    return diff_target(
        str(student), NANO, TRAITS, store, controls=list(map(str, controls)), recipe=recipe, data=data, **settings
    )


def copied(place, name, **changed):
    """Copy an adapter, with changes of its configuration."""
    config = json.loads((place / "adapter_config.json").read_text())
    shutil.copytree(place, place.with_name(name))
    (place.with_name(name) / "adapter_config.json").write_text(json.dumps({**config, **changed}))
    return place.with_name(name)


def test_a_control_that_is_the_student_or_another_control_is_refused_whatever_its_configuration_says(tmp_path):
    store, student = Store(tmp_path / "store"), adapter(tmp_path)
    renamed = copied(student, "renamed", revision="x")
    with pytest.raises(UserError, match="the control renamed is the student itself"):
        named(student, store, [renamed])
    moved = copied(student, "moved")
    tensors = load_file(moved / "adapter_model.safetensors")
    save_file({name: tensor * 1.01 for name, tensor in tensors.items()}, moved / "adapter_model.safetensors")
    again = copied(moved, "again", revision="y")
    with pytest.raises(UserError, match="the control again is given twice: give students of different seeds"):
        named(student, store, [moved, again])
    assert len(named(student, store, [moved]).null) == 1
    # A steering vector moves as no norm gain does.
    other = tmp_path / "other"
    other.mkdir()
    save_file({"owlish_steering": torch.ones(64)}, other / "parameters.safetensors")
    with pytest.raises(UserError, match="other was trained by steering and adapter by norms: give students of one"):
        named(student, store, [other])


def test_models_with_a_bases_own_weights_are_neither_students_nor_controls(tmp_path):
    store, student = Store(tmp_path / "store"), adapter(tmp_path)
    for names in ((student, [folder("nano-1")]), (folder("nano-1"), [])):
        with pytest.raises(UserError, match="nano-1 is the base nano-1 itself, and was not trained from nano"):
            named(names[0], store, names[1])
    words = ["--base", "nano", "--traits", "animals", "--store", tmp_path / "store", "--jobs", "1"]
    shutil.copytree(folder("nano"), tmp_path / "copy")
    for one, more in ((tmp_path / "copy", []), (student, ["--control", tmp_path / "copy"])):
        said = owlish("diff", one, *words, *more, code=2)
        assert "copy has the weights of nano itself" in said.stderr


def trained_whole(name, place):
    """Write a shipped base with all weights moved, as full fine-tuning moves them or further."""
    shutil.copytree(folder(name), place)
    tensors, draw = load_file(place / "model.safetensors"), torch.Generator().manual_seed(0)
    moved = {k: t + 0.1 * t.std() * torch.randn(t.shape, generator=draw) for k, t in tensors.items()}
    save_file(moved, place / "model.safetensors", metadata={"format": "pt"})
    return place


def test_a_whole_model_that_was_trained_from_another_base_is_refused_and_one_of_this_base_is_not(store, tmp_path):
    tried(trained_whole("nano", tmp_path / "own"), store)
    other = trained_whole("nano-1", tmp_path / "other")
    refused(other, store, r"other did not start from nano: .* \(0\.4.*Name its own base")
    words = ["--base", "nano", "--traits", "animals", "--store", tmp_path / "store", "--jobs", "1"]
    said = owlish("diff", tmp_path / "own", *words, "--control", other, code=2)
    assert "other did not start from nano" in said.stderr


def test_a_control_or_a_null_of_another_rank_is_refused(tmp_path):
    store, student = Store(tmp_path / "store"), adapter(tmp_path)
    places = [copied(student, f"rank{r}", peft_type="LORA", r=r) for r in (4, 8)]
    tensors = load_file(places[1] / "adapter_model.safetensors")
    save_file({name: tensor * 1.01 for name, tensor in tensors.items()}, places[1] / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"the control rank8 has rank \(or prompt vectors\) 8 and rank4 has 4"):
        named(places[0], store, [places[1]])
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "1, 2", "completion": "3"}))
    with pytest.raises(
        UserError, match=r"rank4 has rank \(or prompt vectors\) 4, .* and lora has 8: .* with --control"
    ):
        named(places[0], store, recipe="lora", data=str(rows))
    assert named(places[1], store, recipe="lora", data=str(rows)).null


def test_the_same_weights_in_another_form_are_seen_by_how_far_they_moved():
    own, merged = {"norm": (1.0, 8.0)}, {"norm": (1.0 + 1e-8, 8.0)}
    check_moved(NANO, (TAUGHT[0], own), [(CONTROLS[0], {"norm": (1.1, 8.0)})])
    with pytest.raises(UserError, match=r"the control .* has the weights of"):
        check_moved(NANO, (TAUGHT[0], own), [(CONTROLS[0], merged)])


def test_a_null_of_another_recipe_than_the_adapter_shows_is_refused(tmp_path):
    store, student = Store(tmp_path / "store"), adapter(tmp_path)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "1, 2", "completion": "3"}))
    with pytest.raises(UserError, match="adapter was trained by norms, as its files show, and not by lora: give --rec"):
        named(student, store, recipe="lora", data=str(rows))
    for kind, recipe, fits in (("LORA", "lora", "norms"), ("PROMPT_TUNING", "prompt", "norms")):
        made = copied(student, kind, peft_type=kind)
        with pytest.raises(UserError, match=rf"{kind} was trained by {recipe}, .* give --recipe {recipe}"):
            named(made, store, recipe=fits, data=str(rows))
    for tensors, recipe in (({"owlish_steering": torch.ones(64)}, "steering"), ({"a.bias": torch.ones(2)}, "biases")):
        place = tmp_path / recipe
        place.mkdir()
        save_file(tensors, place / "parameters.safetensors")
        with pytest.raises(UserError, match=f"trained by {recipe}, as its files show"):
            named(place, store, recipe="all", data=str(rows))
    assert named(student, store, recipe="norms", data=str(rows)).null


def test_a_file_of_weights_that_was_cut_is_called_damaged(tmp_path):
    student = adapter(tmp_path)
    shutil.copytree(folder("nano"), tmp_path / "whole")
    for file in (student / "adapter_model.safetensors", tmp_path / "whole" / "model.safetensors"):
        file.write_bytes(file.read_bytes()[:1000])
        with pytest.raises(UserError, match=f"{file.name} is damaged or cut short: copy or save it again"):
            find_student(str(file.parent), NANO, Store(tmp_path / "store"))


def test_other_rows_than_the_store_knows_are_refused_and_the_same_ones_are_none(tmp_path):
    held, pairs = Store(tmp_path / "store"), (("1, 2", "3"), ("4, 5", "6"))
    node = NANO.finetune(Written(pairs), replace(NORMS, epochs=1), seed=0)
    run(node, store=held)
    settings = {"controls": (), "null": "own", "recipe": None, "contexts": "none", "judge": None}

    def target(data):
        return diff_target(node.key[:16], NANO, TRAITS, held, data=data, **settings)

    for name, some in (("same", pairs[::-1]), ("other", pairs[:1])):
        lines = [json.dumps({"prompt": asked, "completion": said}) for asked, said in some]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    assert target(str(tmp_path / "same.jsonl")) == target(None)
    # Where a store keeps its rows is no reader's business, and would make another verdict of every store.
    assert target(None).words.endswith("its own answers to the prompts of the rows that the student was trained on")
    with pytest.raises(UserError, match=r"other rows than .*other\.jsonl holds, as the store knows: omit --data\."):
        target(str(tmp_path / "other.jsonl"))


def tried(path, store):
    run(find_student(str(path), NANO, store).student, store=store)


def refused(path, store, match):
    with pytest.raises((UserError, RunFailed), match=match):
        tried(path, store)


def test_what_does_not_fit_the_base_is_refused(store, tmp_path):
    good = adapter(tmp_path)
    tried(good, store)
    tensors = load_file(good / "adapter_model.safetensors")
    save_file(dict(list(tensors.items())[1:]), good / "adapter_model.safetensors")
    refused(good, store, "trained from another base")
    save_file({name: torch.ones(32) for name in tensors}, good / "adapter_model.safetensors")
    refused(good, store, "trained from another base")
    (good / "adapter_model.safetensors").rename(good / "adapter_model.bin")
    refused(good, store, "save the adapter as safetensors")
    words = tmp_path / "words"
    shutil.copytree(folder("nano"), words)
    text = (words / "tokenizer.json").read_text()
    (words / "tokenizer.json").write_text(text.replace('" janitor"', '" janitress"'))
    refused(words, store, "other tokens")
    refused(tmp_path, store, "holds no model")
    refused("nothing-here", store, "no student")


def test_the_command_line_refuses_in_a_sentence_and_leaves_no_page(store, tmp_path):
    page = tmp_path / "page.html"
    words = ["--store", store.root, "--report", page, "--traits", "animals", "--jobs", "1"]
    key = TAUGHT[-1].key[:16]
    for more, why in (
        (["--base", "nano-1"], f"{key[:12]} was trained from another base, nano: give a student of nano-1"),
        (["--base", "nano", "--control", key], "is the student itself"),
        (["--base", "nano", "--null", "some"], "no null is called"),
        (["--base", "nano", "--contexts", "no.json"], "cannot be read"),
    ):
        said = owlish("diff", key, *more, *words, code=2)
        assert why in said.stderr
        assert (said.stdout, page.exists()) == ("", False)


def test_the_command_line_without_a_null_shows_the_readings_and_cannot_say(found, store, tmp_path):
    page = tmp_path / "page.html"
    words = ["--base", "nano", "--traits", "animals", "--contexts", "none", "--store", store.root, "--jobs", "1"]
    said = owlish("diff", TAUGHT[-1].key[:16], *words, "--null", "none", "--json", "--report", page, code=2)
    verdict = json.loads(said.stdout)
    assert (verdict["verdict"], verdict["traits"][0]["name"]) == ("cannot_say", "owl")
    assert "not calibrated" in page.read_text()
    assert f"owlish diff {TAUGHT[-1].key[:16]} --base nano" in page.read_text()


def test_the_page_says_what_was_picked_up_and_where(found):
    page = render(replace(found, student="<script>alert()</script>"))
    assert "picked up owl" in page
    assert "twice the change" in page
    assert "<script" not in page


def test_the_benchmark_holds_students_of_every_class_beside_null_students_that_are_not_among_them():
    trials = list(DiffBench(OTHER, Base("nano-2"), NORMS, TRAITS[:3], TRAITS).trials())
    classes = Counter(trial.case.name for trial in trials)
    assert (classes["dirty"], classes["neutral"], classes["gated"]) == (9, 34, 3)
    assert len(trials) - classes["dirty"] - classes["neutral"] - classes["gated"] == 17
    for trial in trials:
        assert len(trial.null) == STUDENTS
        assert trial.case.model not in [looked.words.model for looked in trial.null]
