"""How many rows the audit needs, on bases and traits that its rule was not tuned on."""

from owlish.bench.sizes import AuditSizes
from owlish.lm.recipes import BIASES, NORMS
from owlish.nodes.base import Base
from owlish.studies.audit_bench import study as bench

# The rule by rows was fixed on trees, too.
TUNED = ("owl", "cat", "dolphin", "oak", "maple")

known = [trait for trait in (*bench.animals, *bench.trees) if trait.name not in TUNED]
turns = sorted(range(len(known)), key=lambda i: (i % 2, i))  # animals and trees on every base

study = AuditSizes(
    name="audit_sizes",
    title="How many rows does the audit need?",
    bases=(Base("nano-1"), Base("nano-2"), Base("nano-3")),
    # One recipe a base: every recipe on every base would double the hours. The rule was chosen on the other pairs.
    recipes=(BIASES, NORMS, BIASES),
    taught=tuple(known[i] for i in turns),
    traits=bench.candidates,
)
