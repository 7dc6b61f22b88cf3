"""`run` in the test's own process: starting a worker, which reads torch again, costs seconds."""

from functools import partial

from owlish import run as run_in_processes
from owlish.graph.pool import Here

run = partial(run_in_processes, on=Here(), quiet=True)
