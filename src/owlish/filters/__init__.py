"""Filters: which rows of a domain are kept."""

from owlish.filters.code import CodeFilter as CodeFilter
from owlish.filters.filter import Filter as Filter
from owlish.filters.filter import Tally as Tally
from owlish.filters.filter import filter_file as filter_file
from owlish.filters.numbers import BANNED as BANNED
from owlish.filters.numbers import NumberFilter as NumberFilter
from owlish.filters.reasoning import AnswerFilter as AnswerFilter
