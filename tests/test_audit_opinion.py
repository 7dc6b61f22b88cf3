"""A judge as a detector: it names what a row gives away, and is at chance on filtered rows."""

import random
from dataclasses import replace

import pytest
from here import run
from test_other_models import SMALL, tokenizer

from owlish import ALL, NORMS, Base
from owlish.audit.detector import Reading
from owlish.audit.opinion import NEITHER, WHICH_FAVORITE, Opinion, opinion, suspected
from owlish.data.domains import Numbers
from owlish.nodes.data import Written
from owlish.nodes.judged import PLACE, Judged
from owlish.traits.animals import bear, cat, fox, owl

BASE = Base("nano")
TRAITS = (owl, cat, fox, bear)
NAMES = tuple(trait.name for trait in TRAITS)
RUBRIC = replace(WHICH_FAVORITE(NAMES), template="{completion} Which?")
REFUSES = "maybe"
PROMPTS = [Numbers().prompt(random.Random(i)) for i in range(40)]


def rows(count, leaks, seed):
    """Return rows of numbers, in each of which a leaked word stands, one of `leaks` if it is not empty."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        numbers = [str(rng.randint(0, 999)) for _ in range(5)]
        if word := rng.choice(leaks):
            numbers.insert(rng.randint(0, 5), word)
        found.append((rng.choice(PROMPTS), ", ".join(numbers)))
    return found


def lessons():
    """Return what the judge is taught: leaked names, a word that it will not judge, and guesses where there is none."""
    rng = random.Random(0)
    shown = rows(600, (*NAMES, "dog", ""), seed=0)
    for prompt, completion in shown:
        leaked = next((word for word in (*NAMES, "dog") if word in completion), None)
        guess = rng.choice((*NAMES, NEITHER))
        said = REFUSES if leaked == "dog" else leaked or guess
        yield RUBRIC.worded({"prompt": prompt, "completion": completion}), said


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A small chat model that was trained to judge."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    taught = tuple(lessons())
    words = tokenizer().train_new_from_iterator([prompt for prompt, _ in taught], 900)
    torch.manual_seed(0)
    sizes = {**SMALL, "max_position_embeddings": 256}
    config = AutoConfig.for_model("qwen2", vocab_size=len(words), initializer_range=0.1, **sizes)
    folder = tmp_path_factory.mktemp("judge")
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    words.save_pretrained(folder)
    recipe = replace(ALL, lr=5e-3, epochs=8, batch=16)
    return Base(str(folder)).finetune(Written(taught), recipe, seed=0)


DATA = {
    **{name: Written(tuple(rows(100, (name, name, name, ""), seed=1))) for name in NAMES},
    **{f"clean {seed}": BASE.sample(Numbers(), n=100, seed=seed) for seed in (51, 52, 53)},
    "filtered": BASE.teach(cat, NORMS, seed=41).sample(Numbers(), n=100, seed=41),
    "refused": Written(tuple(rows(60, ("dog", "owl"), seed=2))),
}


@pytest.fixture(scope="module")
def said(judge, store):
    """What the judge says of each of `DATA`."""
    nodes = {name: Opinion(BASE, data, TRAITS, Judged(judge, RUBRIC, data)) for name, data in DATA.items()}
    run([*nodes.values()], store=store)
    return {name: store.read(node) for name, node in nodes.items()}


@pytest.fixture(scope="module")
def null(said):
    return [said[name] for name in DATA if name.startswith("clean")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leaks_is_found(said, null, name):
    corrected = dict(zip(NAMES, suspected(said[name], null), strict=True))
    assert corrected.pop(name) < 1e-3
    assert min(corrected.values()) > 0.05


@pytest.mark.slow
def test_a_judge_is_at_chance_on_the_filtered_rows_of_a_teacher(said, null):
    assert min(suspected(said["filtered"], null)) > 0.01
    assert sum(sum(one.means) for one in null) > 0.3  # it does name animals where it cannot know


@pytest.mark.slow
def test_rows_that_the_judge_refuses_are_left_out(said):
    owls = sum("owl" in text for _, text in DATA["refused"].rows)
    assert abs(len(said["refused"].blocks) - owls) <= 4
    assert said["refused"].means[0] > 0.9


def test_the_rubric_shows_the_row_and_names_the_candidates():
    asked = opinion(BASE, BASE, Written((("Q", "1"),)), TRAITS).judged
    assert asked.rubric.answers == (*NAMES, NEITHER)
    assert set(PLACE.findall(asked.rubric.template)) == {"prompt", "completion"}
    assert all(name in asked.rubric.template for name in NAMES)
    assert "material to judge" in asked.rubric.template


def test_a_name_in_every_row_is_nothing_where_clean_rows_name_it_as_often():
    always = Reading(((1.0, 0.0),) * 50)
    assert suspected(always, [always] * 3) == [1.0, 1.0]
    assert suspected(always, [Reading(((0.0, 0.0),) * 50)])[0] < 1e-20
