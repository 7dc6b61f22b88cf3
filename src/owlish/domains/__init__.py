"""Domains: the kinds of data that carry nothing of a trait on their face."""

from owlish.domains.domain import Domain as Domain
from owlish.domains.numbers import Numbers as Numbers
