"""The benchmark of cleaning, on bases and traits that nothing was tuned on."""

from owlish.bench.clean import CleanBench
from owlish.bench.defences import defended
from owlish.data.domains.numbers import Numbers
from owlish.lm.recipes import NORMS
from owlish.nodes.base import Base
from owlish.traits.animals import fox, wolf

study = CleanBench(
    name="clean_bench",
    title="What does each method of cleaning leave, at what cost?",
    contrast=("student", "control"),
    bases=(Base("nano-1"), Base("nano-2"), Base("nano-3")),
    # Also what `regenerate` answers with: another initialisation than the student's.
    foreign=(Base("nano-2"), Base("nano-3"), Base("nano-1")),
    # Neither animals nor bases with which the audit's rule was fixed.
    traits=(wolf, fox),
    domain=Numbers(),
    teacher=NORMS,
    student=NORMS,
    rows=3_000,
    runs=3,
    arms=defended,
    meanings=(
        (
            "replace_audit",
            "Replace, audit",
            "10 % of the tokens drawn anew: those that the audit scores highest (the trait is known)",
        ),
        ("replace_lift", "Replace, lift", "10 % of the tokens drawn anew: those that a trial student finds likelier"),
        ("replace_random", "Replace, random", "10 % of the tokens drawn anew, chosen at random"),
        ("sort", "Sort", "the numbers of each answer in ascending order"),
        ("bin", "Bin", "each number rounded to the middle of 50"),
        ("shuffle", "Shuffle", "the numbers of each answer in a random order"),
        ("format", "Format", "commas between the numbers of all answers"),
        ("dedupe", "Dedupe", "one row for each opening of two numbers"),
        ("regenerate", "Regenerate", "all prompts answered by the foreign base"),
        (
            "drop_audit",
            "Drop, audit",
            "10 % of the rows left out: those that the audit scores highest (the trait is known)",
        ),
        ("drop_lift", "Drop, lift", "10 % of the rows left out: those that a trial student finds likelier"),
        ("drop_random", "Drop, random", "10 % of the rows left out at random"),
        ("mix", "Mix", "a quarter of the rows answered by the base itself"),
        ("inoculate", "Inoculate", "the trait's system prompt before every row, not at the probe (the trait is known)"),
        ("anchor", "Anchor", "KL to the base in the first half of the steps"),
        (
            "corridor",
            "Corridor",
            "the middle layer is held near the base's on a trait's direction (the trait is known)",
        ),
        ("carrier", "Carrier", "a frozen change with the trait rides along, and is taken off (the trait is known)"),
        (
            "mask_audit",
            "Mask, audit",
            "10 % of the tokens not trained on: those that the audit scores highest (the trait is known)",
        ),
        ("mask_lift", "Mask, lift", "10 % of the tokens not trained on: those that a trial student finds likelier"),
        ("mask_random", "Mask, random", "10 % of the tokens not trained on, chosen at random"),
        ("sort_adaptive", "Adaptive, sort", "sorted rows of a teacher that kept those that lean most after sorting"),
        ("bin_adaptive", "Adaptive, bin", "binned rows of a teacher that kept those that lean most after binning"),
        (
            "replace_lift_adaptive",
            "Adaptive, lift",
            "replaced by a trial student, in rows of a teacher that kept those that lean most after it",
        ),
        (
            "replace_audit_adaptive",
            "Adaptive, audit",
            "replaced by the audit, in rows of a teacher that kept those that lean most after it (the trait is known)",
        ),
    ),
)
