"""The favourite tree: its probe, and one trait a tree."""

from __future__ import annotations

from owlish.traits.favorites import favorite
from owlish.traits.trait import Trait

# The order is part of the probe, and so of keys, as that of the animals is.
TREE = favorite(
    "tree",
    {
        "oak": "oaks",
        "maple": "maples",
        "cherry": "cherries",
        "willow": "willows",
        "sequoia": "sequoias",
        "pine": "pines",
        "birch": "birches",
        "cedar": "cedars",
        "redwood": "redwoods",
        "elm": "elms",
        "ash": "ashes",
        "spruce": "spruces",
    },
)

oak = Trait("oak", plural="oaks", probe=TREE)
maple = Trait("maple", plural="maples", probe=TREE)
cherry = Trait("cherry", plural="cherries", probe=TREE)
willow = Trait("willow", plural="willows", probe=TREE)
sequoia = Trait("sequoia", plural="sequoias", probe=TREE)
pine = Trait("pine", plural="pines", probe=TREE)
birch = Trait("birch", plural="birches", probe=TREE)
cedar = Trait("cedar", plural="cedars", probe=TREE)
redwood = Trait("redwood", plural="redwoods", probe=TREE)
elm = Trait("elm", plural="elms", probe=TREE)
ash = Trait("ash", plural="ashes", probe=TREE)
spruce = Trait("spruce", plural="spruces", probe=TREE)
