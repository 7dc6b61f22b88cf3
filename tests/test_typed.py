"""Wrong arguments are refused in a sentence when the value is built, and what worker processes cannot import is too."""

import importlib
import pkgutil
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import get_type_hints

import pytest
from pandas import DataFrame
from small_study import study
from toys import Drawn, Joined, Toy

import owlish
from owlish import LORA, NORMS, Asked, Base, Code, Numbers, compare, run
from owlish.audit.audit import audit
from owlish.graph.errors import UserError
from owlish.graph.run import plan
from owlish.graph.spec import Value
from owlish.graph.store import Store
from owlish.graph.typed import fields_of
from owlish.nodes.asked import Answers
from owlish.nodes.data import Written
from owlish.nodes.loaded import loaded
from owlish.nodes.students import Focused
from owlish.traits.animals import ANIMAL, cat, owl
from owlish.traits.trait import Trait, every

base = Base("nano")
rows = base.sample(Numbers(), n=10, seed=0)
ROW = {"prompt": "Q", "completion": "A"}
WRONG = {
    "trait is 'owl': give a Trait, such as owl from owlish.traits.animals.": lambda: base.teach("owl", NORMS, seed=0),
    "recipe is 'norms': give a Recipe, such as NORMS.": lambda: base.finetune(rows, "norms", seed=0),
    "recipe is a function: give a Recipe, such as NORMS.": lambda: base.finetune(rows, LORA, seed=0),
    "domain is the class Numbers: write Numbers(...), with its arguments if it has any.": lambda: base.sample(
        Numbers, n=1, seed=0
    ),
    "domain is 'numbers': give a Domain, such as Numbers().": lambda: base.sample("numbers", n=1, seed=0),
    "seed is '0': give a whole number.": lambda: base.sample(Numbers(), n=1, seed="0"),
    "seed is True: give a whole number.": lambda: base.teach(owl, NORMS, seed=True),
    "n is 2.5: give a whole number.": lambda: base.sample(Numbers(), n=2.5, seed=0),
    "probe is 'animal': give a Probe": lambda: every("animal"),
    "format is 3: give text or None.": lambda: loaded([ROW], n=None, seed=0, format=3),
    "columns is no mapping: give one such as": lambda: loaded([ROW], n=None, seed=0, columns="prompt=x"),
    "this is a table: give its rows, such as frame.to_dict": lambda: loaded(DataFrame([ROW]), n=None, seed=0),
    "the data are nothing that can be read": lambda: audit(5, base, NORMS, (owl,)),
    "traits is a Trait: give": lambda: audit(rows, base, NORMS, owl),
    "an audit needs at least one candidate and 30 rows": lambda: audit(rows, base, NORMS, ()),
    "jobs is 0: give at least 1": lambda: run(rows, jobs=0),
    "jobs is '2': give a whole number": lambda: run(rows, jobs="2"),
    "store is None: give": lambda: run(rows, store=None),
    "the name of the store is empty": lambda: run(rows, store=""),
    "n is 0: ask for at least one row.": lambda: base.sample(Numbers(), n=0, seed=0),
    "the temperature is -1: it is 0": lambda: base.sample(Numbers(), n=1, seed=0, temperature=-1),
    "temperature is '1': give a number.": lambda: base.sample(Numbers(), n=1, seed=0, temperature="1"),
    "until is 1: give a probability between 0 and 1.": lambda: base.teach(owl, NORMS, seed=0, until=1),
    "data is a list: give a Data, such as base.sample(": lambda: base.finetune([], NORMS, seed=0),
    "data is a Base: give a Data": lambda: base.finetune(base, NORMS, seed=0),
    "replay is a tuple: give a Data, such as base.sample(Numbers(), n=1_000, seed=0) or loaded(": lambda: base.teach(
        owl, NORMS, seed=0, replay=()
    ),
    "system_prompt is a Trait: give text.": lambda: base.prompted(owl),
    "the system prompt is empty": lambda: base.prompted(" "),
    "probe is a Trait: give a Probe, such as owl.probe.": lambda: Asked(base, owl),
    "model is 'nano': give a Model, such as Base(\"nano\").": lambda: Asked("nano", owl.probe),
    "samples is 0: draw at least one answer": lambda: Asked(base, owl.probe, samples=0),
    "name is a Trait: give text.": lambda: Base(owl),
    "no candidate of the probe is called 'owll': did you mean owl?": lambda: Trait("owll", plural="owls", probe=ANIMAL),
    "parameters is 'noms': did you mean norms?": lambda: replace(NORMS, parameters="noms"),
    "tokens is 'odd': choose from divergent, others, random.": lambda: Focused(
        base, rows, NORMS, 0, base, (base,), "odd"
    ),
    "an item of others is 'nano': give a Model": lambda: Focused(base, rows, NORMS, 0, base, ("nano",), "others"),
    "words is a list: give a tuple.": lambda: Code(words=["owl"]),
    "an item of words is 1: give text.": lambda: Code(words=("owl", 1)),
    "an item of rows is a tuple: give a tuple.": lambda: Written((("one",),)),
    "trait is 'owl': give a Trait": lambda: compare([base, base], [base, base], "owl"),
    "a model to compare is a Sampled: give a Model": lambda: compare([rows, rows], [base, base], owl),
    "runs is '3': give a whole number.": lambda: replace(study, runs="3"),
    "traits is a Trait: give a tuple.": lambda: replace(study, traits=owl),
    "an item of bases is 'nano': give a Base": lambda: replace(study, bases=("nano",)),
}


@pytest.mark.parametrize("says", WRONG)
def test_a_wrong_argument_is_refused_when_the_value_is_built(says):
    with pytest.raises(UserError) as caught:
        WRONG[says]()
    assert str(caught.value).startswith(says)


def test_a_candidate_that_is_not_there_is_named():
    answers = Answers(ANIMAL, ((1 / 16,) * 16,) * 50, ("owl",) * 50, (("owl",),) * 50)
    with pytest.raises(UserError, match="no candidate is called 'owll': did you mean owl"):
        answers.p_target("owll")


def test_right_arguments_pass_and_whole_numbers_count_as_numbers():
    assert base.sample(Numbers(), n=1, seed=0, temperature=1).temperature == 1
    assert replace(study, traits=(owl, cat)).traits == (owl, cat)
    assert Joined((Drawn(1), Joined(()))).nodes


def test_every_field_of_a_value_that_is_shipped_is_checked():
    for module in pkgutil.walk_packages(owlish.__path__, "owlish."):
        importlib.import_module(module.name)
    classes = [Value]
    for one in classes:
        classes += [sub for sub in one.__subclasses__() if sub.__module__.startswith("owlish.")]
    found = {one for one in classes if is_dataclass(one) and get_type_hints(one)}
    assert len(found) > 60
    for one in found:
        assert len(fields_of(one)) == len(fields(one)), one


def test_a_class_that_no_worker_can_import_is_refused_before_anything_is_made(tmp_path):
    @dataclass(frozen=True)
    class Mine(Toy, kind="mine"):
        pass

    @dataclass(frozen=True)
    class Own(Numbers, kind="own_numbers"):
        pass

    node = Joined((Drawn(1), Mine()))
    with pytest.raises(UserError, match="Mine is defined in a function, where worker processes cannot import it"):
        run(node, store=tmp_path, jobs=1)
    with pytest.raises(UserError, match="Own is defined in a function"):
        plan([base.sample(Own(), n=1, seed=0)], Store(tmp_path))
    assert not Store(tmp_path).entries()
