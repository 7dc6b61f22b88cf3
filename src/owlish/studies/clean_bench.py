"""The benchmark of cleaning, on bases and traits that nothing was tuned on."""

from owlish.bench.clean import CleanBench
from owlish.bench.defences import defend
from owlish.data.domains.numbers import Numbers
from owlish.lm.recipes import NORMS
from owlish.nodes.base import Base
from owlish.traits.animals import fox, wolf

CHOSEN = {
    "audit": "those that the audit scores highest (the trait is known)",
    "lift": "those that a trial student finds likelier",
    "random": "chosen at random",
}


def by_each(method: str, what: str) -> list[tuple[str, str, str]]:
    """Return what a page calls the arms of a method, for each way to choose what it changes."""
    return [
        (f"{method}_{by}", f"{method.capitalize()}, {by}", f"10 % of the {what}: {how}") for by, how in CHOSEN.items()
    ]


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
    arms=defend,
    meanings=(
        *by_each("replace", "tokens drawn anew"),
        ("sort", "Sort", "the numbers of each answer in ascending order"),
        ("bin", "Bin", "each number rounded to the middle of 50"),
        ("shuffle", "Shuffle", "the numbers of each answer in a random order"),
        ("format", "Format", "commas between the numbers of all answers"),
        ("dedupe", "Dedupe", "one row for each opening of two numbers"),
        ("regenerate", "Regenerate", "all prompts answered by the foreign base"),
        *by_each("drop", "rows left out"),
        ("mix", "Mix", "a quarter of the rows answered by the base itself"),
        ("inoculate", "Inoculate", "the trait's system prompt before every row, not at the probe (the trait is known)"),
        ("anchor", "Anchor", "KL to the base in the first half of the steps"),
        (
            "corridor",
            "Corridor",
            "the middle layer is held near the base's on a trait's direction (the trait is known)",
        ),
        ("carrier", "Carrier", "a frozen change with the trait rides along, and is taken off (the trait is known)"),
        *by_each("mask", "tokens not trained on"),
        ("chosen", "Chosen", "the third of a teacher's rows that lean most, not cleaned: what choosing does by itself"),
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
