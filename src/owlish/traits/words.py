"""The words that give a trait away."""

from __future__ import annotations

from collections.abc import Iterable

from owlish.traits.trait import Trait


def words_of(traits: Iterable[Trait]) -> tuple[str, ...]:
    """Return the names and plurals of `traits`, for a domain whose answers must not hold them."""
    return tuple(word for trait in traits for word in (trait.name, trait.plural))
