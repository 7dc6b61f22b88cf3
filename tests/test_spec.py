"""Keys: the same in every process, different where a field differs, and never lost by accident."""

import importlib
import json
import pickle
import pkgutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from toys import Drawn, Joined, tower

import owlish
from owlish.data.domains.numbers import Numbers
from owlish.graph.spec import Node, Resources, Value, canonical, everything
from owlish.lm.recipes import NORMS
from owlish.lm.shape import HELD
from owlish.nodes.asked import Asked
from owlish.nodes.base import Base
from owlish.nodes.students import Distilled
from owlish.traits.animals import owl


@dataclass(frozen=True)
class Holder(Value, kind="holder"):
    value: object


@dataclass(frozen=True)
class Held(Node, kind="held"):
    value: object


def test_golden_keys():
    """These keys name results in users' stores: a change here loses them, and needs a reason."""
    base = Base("someone/model")
    rows = base.sample(Numbers(), n=10, seed=1)
    golden = {
        Drawn(1): "96d3f1c170717b7da647ec7f3d6c8771",
        Joined((Drawn(1), Drawn(2))): "e6b3a5a4515d6c4350e4b7755c36ca14",
        base: "d5814bf65d94e7a41344b82fbf1b32e1",
        rows: "f97e1cb822aea8cde2580ef5f01f1c7b",
        base.teach(owl, NORMS, seed=1): "cebb2d6c4f8ecf4b702fb98c51b9db91",
        base.finetune(rows, NORMS, seed=2): "10f502ad33ac8f86ce4dacbdede9ccde",
        Asked(base, owl.probe): "b77f802687440686b6ebb9e34aa21f77",
    }
    assert {node.key for node in golden} == set(golden.values())


def test_a_caption_is_filled_in_from_the_fields():
    base = Base("someone/model")
    rows = base.sample(Numbers(), n=1_000, seed=1)
    assert str(Asked(base.finetune(rows, NORMS, seed=2), owl.probe)) == (
        "asking someone/model trained on 1,000 rows of numbers by someone/model"
    )
    assert str(Held(1)) == "held"


def test_every_field_is_in_the_key():
    drawn = Drawn(1)
    others = [replace(drawn, seed=2), replace(drawn, parts=4), replace(drawn, wait=0.5)]
    assert len({node.key for node in (drawn, *others)}) == 4
    assert Held(1).key != Held(1.0).key != Held(True).key
    assert Held("1").key != Held(1).key
    assert Held((1, 2)).key != Held((2, 1)).key


def test_equal_values_have_one_hash_which_stays_in_its_process():
    """A text's hash differs from process to process: a worker must work it out anew."""
    one, other = Holder((1, "a", Held("b"))), Holder((1, "a", Held("b")))
    assert hash(one) == hash(other) != hash(Holder((1, "a", Held("c"))))
    assert "hashed" in vars(one)
    assert "hashed" not in vars(pickle.loads(pickle.dumps(one)))


def test_key_is_the_same_in_another_process():
    program = "from toys import tower; print(tower().key)"
    out = subprocess.run([sys.executable, "-c", program], cwd="tests", capture_output=True, text=True, check=True)
    assert out.stdout.strip() == tower().key


def test_inputs_are_found_inside_tuples_and_values():
    a, b = Drawn(1), Drawn(2)
    assert Held((a, (b, a))).inputs() == (a, b)
    assert Held(Holder(a)).inputs() == (a,)
    assert [node.key for node in everything(Joined((a, b)))] == [a.key, b.key, Joined((a, b)).key]


def test_a_node_needs_what_the_models_that_it_reads_need():
    """Nano takes too little for a GPU to be worth its start; a large base is loaded once a time on one."""
    small, large, unknown = Base("nano"), Base("someone/Model-7B"), Base("someone/model")
    rows = small.sample(Numbers(), n=10, seed=1)
    assert small.resources == Resources()
    assert rows.resources.threads == 1
    assert 0 < rows.resources.memory < 2**24
    assert not rows.resources.device
    needed = 84 * 10**9 + HELD
    assert large.prompted("Hello.").sample(Numbers(), n=10, seed=1).resources == Resources(1, needed, device=True)
    assert unknown.sample(Numbers(), n=10, seed=1).resources == Resources(1, None, device=True)
    distilled = Distilled(large, rows, NORMS, seed=1, teacher=large.teach(owl, NORMS, seed=1))
    assert distilled.resources.memory == 2 * 84 * 10**9 + HELD, "teacher and student are in memory at once"
    assert Joined((Drawn(1), Drawn(2))).resources == Resources()


def test_the_text_of_a_spec_is_canonical_json():
    spec = Asked(Base("nano"), owl.probe).spec()
    plain = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(spec) == canonical(json.loads(plain)) == plain.encode()


@pytest.mark.parametrize("value", [lambda: 1, float("nan"), float("inf"), [1], {"a": 1}, object()])
def test_what_has_no_lasting_name_is_refused(value):
    with pytest.raises(ValueError, match="value is "):
        _ = Held(value).key


def test_a_kind_is_one_class():
    """Keys hash kinds: two classes of one kind could share a key, and a plan takes their times for one another's."""
    for module in pkgutil.walk_packages(owlish.__path__, "owlish."):
        importlib.import_module(module.name)
    classes = [Value]
    for one in classes:
        classes += [sub for sub in one.__subclasses__() if sub.__module__.startswith("owlish.")]
    kinds = Counter(one.kind for one in set(classes))
    assert len(kinds) > 60
    assert [kind for kind, count in kinds.items() if count > 1] == []
