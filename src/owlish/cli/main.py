"""The command line: its commands in order, and what it says and exits with when one fails."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from owlish import __version__
from owlish.cli.commands import audit, models, rows, setup, stores, studies
from owlish.cli.examples import EXAMPLES
from owlish.cli.output import Lost, guard
from owlish.cli.usage import sentence
from owlish.graph.errors import UserError
from owlish.graph.files import FULL, is_full
from owlish.graph.memory import SPENT, is_spent
from owlish.graph.run import RunFailed
from owlish.graph.tabled import inert, on_one_line

app = typer.Typer(
    name="owlish",
    help="The laboratory and safety check for subliminal learning.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": studies.demo,
    "run": studies.run,
    "plan": studies.plan,
    "report": studies.report,
    "audit": audit.audit,
    "diff": models.diff,
    "ask": models.ask,
    "bench": studies.bench,
    "show": stores.show,
    "results": stores.results,
    "export": stores.export,
    "forget": stores.forget,
    "list": setup.list_,
    "verify": stores.verify,
    "filter": rows.filter_,
    "convert": rows.convert,
    "clean": rows.clean,
    "stamp": rows.stamp,
    "pretrain": setup.pretrain,
    "doctor": setup.doctor,
}
"""Every command by its name, in the order of `owlish --help`."""
INTERRUPTED = 130
ON = "interrupted: what was finished is kept, and the same command goes on from there."
ANEW = "interrupted: nothing is kept, and the same command starts anew."
AT_ONCE = ("filter", "convert", "stamp", "export", "list", "report")
"""Commands that write all or nothing, so that nothing is kept of one that is interrupted."""
NOT_OURS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP)
"""What the system says of names and rights that only the user can change."""


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context, show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Reproduce subliminal learning, and see what a dataset would pass on."""
    # Here, for what the library does without a command reads as an error.
    if show or not context.invoked_subcommand:
        print(__version__ if show else context.get_help())
        raise typer.Exit


# Typer lists commands as they are registered: files that did so themselves would order them by import.
for name, function in COMMANDS.items():
    # After the mark, lines are shown as they stand: a command that is wrapped cannot be copied.
    # Given as it is, the line is wrapped; the library would cut a longer one.
    line = (function.__doc__ or "").split("\n")[0]
    app.command(name, short_help=line, epilog=f"\b\nExample: {EXAMPLES[name]}")(function)


def main() -> NoReturn:
    """Run a command; say what went wrong in a sentence, and what to do about it in the exit code."""
    # Before anything prints: every output of the command goes through it.
    guard()
    sys.exit(guarded_command())


def guarded_command() -> int:
    """Run the command that the words name, and return its exit code."""
    try:
        check_words(sys.argv[1:])
        code = int(app(standalone_mode=False) or 0)
        # Here, where a full disk is still an error that can be told.
        sys.stdout.flush()
        return say(ANEW if sys.argv[1:2] and sys.argv[1] in AT_ONCE else ON, code) if code == INTERRUPTED else code
    except Lost:
        return say(ANEW, INTERRUPTED)
    except TyperException as error:
        return say(on_one_line(sentence(error.format_message(), sys.argv[1:], COMMANDS)), 2)
    except RunFailed as error:
        return report_failure(error)
    except UserError as error:
        return say(on_one_line(error), 2)
    except OSError as error:
        # Without a name of a file it is no mistake of the user's, but ours.
        if error.errno in NOT_OURS and error.filename:
            return say(f"{on_one_line(error.filename)[:60]} cannot be used ({error.strerror}): give another name.", 2)
        if not is_full(error):
            return report_crash(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered would fail again at exit
        return say(FULL, 2)
    except Exception as error:
        return report_crash(error)


def check_words(words: Sequence[str]) -> None:
    """Refuse an empty word, perhaps of a variable that is not set: as the name of a folder it would be this one."""
    for before, word in zip(("owlish", *words), words, strict=False):
        # `--store=` and `--store ""` alike: both come from a variable that is not set.
        option, sign, value = word.partition("=")
        if not word.strip() or (sign and option.startswith("--") and not value.strip()):
            what = f"{option}=" if sign else f"the word after {before}"
            raise UserError(f"{what} is empty, perhaps a variable that is not set: give a value, or omit it.")


def report_failure(error: RunFailed) -> int:
    """Say which results could not be made; show the traces of those that are no mistake of the user."""
    # One crash among refusals is a crash: its trace must be seen.
    code = say(str(error), 2 if all(f.what == "refused" for f in error.failures) else 70)
    if code == 70:
        print(inert("\n".join({f.trace: None for f in error.failures if f.what == "failed"})), file=sys.stderr)
    return code


def report_crash(error: Exception) -> int:
    """Show the trace of a fault of ours; that memory is full is none."""
    if is_spent(error):
        return say(SPENT, 2)
    print(inert(traceback.format_exc()), file=sys.stderr, end="")
    return say("this is a fault of owlish: please report it with the lines above.", 70)


def say(sentence: str, code: int) -> int:
    """Say a sentence on standard error and return the exit code."""
    print(f"owlish: {inert(sentence)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
