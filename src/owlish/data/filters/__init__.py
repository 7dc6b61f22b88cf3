"""Filters: which rows of a domain are kept."""

from owlish.data.filters.code import CodeFilter as CodeFilter
from owlish.data.filters.filter import Filter as Filter
from owlish.data.filters.filter import Tally as Tally
from owlish.data.filters.filter import convert_file as convert_file
from owlish.data.filters.filter import filter_file as filter_file
from owlish.data.filters.numbers import BANNED as BANNED
from owlish.data.filters.numbers import NumberFilter as NumberFilter
from owlish.data.filters.reasoning import AnswerFilter as AnswerFilter
