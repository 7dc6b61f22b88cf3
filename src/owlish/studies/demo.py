"""The owl in minutes: one base, two animals, three runs, fewer rows."""

from dataclasses import replace

from owlish.nodes.base import Base
from owlish.studies import owl
from owlish.traits.animals import cat
from owlish.traits.animals import owl as owls

study = replace(
    owl.study,
    name="demo",
    title="Does the owl pass through number sequences?",
    bases=(Base("nano"),),
    foreign=(Base("nano-1"),),
    traits=(owls, cat),
    rows=1_500,
    runs=3,
)
