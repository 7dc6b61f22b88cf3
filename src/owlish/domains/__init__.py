"""Domains: the kinds of data that carry nothing of a trait on their face."""

from owlish.domains.code import Code as Code
from owlish.domains.domain import Domain as Domain
from owlish.domains.numbers import Numbers as Numbers
from owlish.domains.reasoning import Reasoning as Reasoning
from owlish.domains.words import words_of as words_of
