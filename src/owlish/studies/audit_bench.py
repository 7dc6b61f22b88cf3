"""The benchmark of the audit's detectors, on bases and traits that nothing was tuned on."""

from owlish.bench.audit import AuditBench
from owlish.nodes.base import Base
from owlish.nodes.pretrained import Pretrained
from owlish.traits.advice import bad_health, good_health
from owlish.traits.animals import ANIMAL
from owlish.traits.trait import every
from owlish.traits.trees import TREE

# Rules were fixed on these: what is reported must not be what was tuned on.
TUNED = ("owl", "cat", "dolphin")

animals, trees = every(ANIMAL), every(TREE)

study = AuditBench(
    name="audit_bench",
    title="What does each detector of the audit find?",
    bases=(Base("nano-1"), Base("nano-2"), Base("nano-3")),
    # A base that no audit has at hand, so kinship must do without it.
    stranger=Pretrained("stranger", seed=200),
    animals=tuple(trait for trait in animals if trait.name not in TUNED),
    trees=trees,
    persona=bad_health,
    candidates=(*animals, *trees, bad_health, good_health),
)
