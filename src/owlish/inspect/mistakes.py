"""Mistakes of users, which Inspect tells as one sentence and without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inspect_ai._util.error import PrerequisiteError  # what its command line prints without a trace

from owlish.graph.errors import UserError
from owlish.graph.run import RunFailed
from owlish.graph.store import Damaged


@contextmanager
def telling() -> Iterator[None]:
    """Raise Inspect's own error in place of ours."""
    try:
        yield
    except UserError as error:
        raise PrerequisiteError(str(error)) from None
    except RunFailed as error:
        # A crash of ours must be seen with its trace.
        if any(failure.what != "refused" for failure in error.failures):
            raise
        raise PrerequisiteError(str(error)) from None
    except Damaged as error:
        raise PrerequisiteError(f"{error}: run what made it again.") from None
