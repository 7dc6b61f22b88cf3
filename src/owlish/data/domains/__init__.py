"""Domains: the kinds of data that carry nothing of a trait on their face."""

from owlish.data.domains.code import Code as Code
from owlish.data.domains.domain import Domain as Domain
from owlish.data.domains.numbers import Numbers as Numbers
from owlish.data.domains.reasoning import Reasoning as Reasoning
