"""What a node asks of its models, a model must give: else the plan is refused before anything runs."""

import inspect
from typing import get_args

import pytest
from test_keys import OWN_FILES, with_files

from owlish import NORMS, Base, Store
from owlish.audit.audit import audit
from owlish.audit.leaned import lean
from owlish.audit.logit_bias import LogitBias
from owlish.bench.detectors import Gradient, PromptContrast
from owlish.cli import find
from owlish.data.domains.numbers import Numbers
from owlish.diff.diff import diff
from owlish.diff.null import null
from owlish.diff.student import Student
from owlish.graph.run import plan
from owlish.graph.spec import Node, everything
from owlish.lm.model import Gives
from owlish.nodes.engine import Engine, Scorer
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.animals import cat, owl

BASE = Base("nano")
LEVELS = get_args(Gives)


def below(kind):
    """Yield all classes below one."""
    for cls in kind.__subclasses__():
        yield cls
        yield from below(cls)


@pytest.fixture(scope="module")
def openers(tmp_path_factory):
    """A node of each class that opens models: of the shipped studies, an audit, a panel, the benchmark and a diff."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in OWN_FILES.items():
        (folder / name).write_text(text)
    names = find.all_studies().keys() - {"audit_bench"}  # thousands of nodes, of the classes named here
    own = [with_files(find.study(name), folder) for name in sorted(names)]
    rows = BASE.sample(Numbers(), n=60, seed=0)
    audited = audit(rows, BASE, NORMS, (owl, cat), judge=BASE)
    seen = diff(Student(BASE, BASE.finetune(rows, NORMS, seed=0)), (owl, cat), null=null(BASE, NORMS, rows), judge=BASE)
    c, leaned = audited.contrast, lean(rows, BASE, NORMS, (owl, cat))
    engines = [kind(BASE, "http://127.0.0.1:1/v1#nano") for kind in (Engine, Scorer)]
    more = (
        Gradient(BASE, c.data, c.traits, c.writers, c.rows),
        PromptContrast(BASE, c.data, c.traits, 8),
        LogitBias(BASE, rows, rows, 8),
    )
    targets = [*(node for study in own for node in study.small().needs), audited, leaned, seen, *more, *engines]
    found = {type(node): node for node in everything(*targets) if isinstance(node, Opener)}
    return list(found.values())


def refused(node):
    """Say whether a node's check refuses what a model gives, and for nothing else."""
    try:
        node.check()
    except ValueError as error:
        return "which gives" in str(error)
    return False


def test_every_node_that_opens_a_model_says_what_it_asks(openers):
    opening = {
        cls for cls in below(Node) if cls.__module__.startswith("owlish.") and ".open(" in inspect.getsource(cls)
    }
    assert len(opening) > 12
    assert all(issubclass(cls, Opener) and cls.asks in LEVELS for cls in opening)
    assert {type(node) for node in openers} >= {
        cls for cls in opening if not any(issubclass(c, cls) for c in below(cls))
    }


@pytest.mark.parametrize("gives", LEVELS)
def test_a_model_that_gives_too_little_is_refused(gives, openers, monkeypatch):
    monkeypatch.setattr(Base, "gives", gives)
    expected = {type(node).__name__: LEVELS.index(node.asks) > LEVELS.index(gives) for node in openers}
    assert {type(node).__name__: refused(node) for node in openers} == expected
    assert any(expected.values()) == (gives != "weights")


def test_a_plan_is_refused_in_a_sentence_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(Base, "gives", "text")
    rows = BASE.prompted("You love owls.").sample(Numbers(), n=4, seed=0)
    assert [node.kind for node in plan([rows], Store(tmp_path))] == ["base", "prompted", "sampled"]
    with pytest.raises(ValueError, match="needs the log-probabilities of nano, which gives answers alone: choose"):
        plan([Likelihood(BASE, rows)], Store(tmp_path))
    with pytest.raises(ValueError, match=r"nano trained on 4 rows .* needs the weights of nano, which gives answers"):
        plan([BASE.finetune(rows, NORMS, seed=0)], Store(tmp_path))
    assert isinstance(rows.model, Model)
