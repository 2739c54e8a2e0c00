"""The command line: the table of commands and how errors end them.

Exit codes: 0 success; 1 some inputs failed (each named on stderr); 2 wrong usage; 3 the system does
not let a file be used now (full disk, rights, a lock): try again; 70 a fault of Satchel itself; 130
stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from satchel._version import __version__
from satchel.cli.adapt import adapt
from satchel.cli.admin import admin
from satchel.cli.annotate import annotate
from satchel.cli.backup import backup, restore
from satchel.cli.calibrate import calibrate
from satchel.cli.catalog import catalog
from satchel.cli.check import check
from satchel.cli.collect import collect
from satchel.cli.curate import curate
from satchel.cli.encoder import encoder
from satchel.cli.evaluate import evaluate
from satchel.cli.experiment import experiment
from satchel.cli.facets import facets
from satchel.cli.feedback import feedback
from satchel.cli.identify import identify
from satchel.cli.import_ import import_
from satchel.cli.index import index
from satchel.cli.init import init
from satchel.cli.jobs import jobs
from satchel.cli.learn import learn
from satchel.cli.locate import locate
from satchel.cli.lookalikes import lookalikes
from satchel.cli.output import Verbosity, complain, say, set_verbosity, verbosity, write_anything
from satchel.cli.promote import export, promote
from satchel.cli.read import read
from satchel.cli.remove import remove
from satchel.cli.runs import runs
from satchel.cli.serve import serve
from satchel.cli.shared import NOT_NOW, OUR_FAULT, SOME_FAILED, WRONG_USAGE
from satchel.cli.split import split
from satchel.cli.status import doctor, status
from satchel.cli.train import train
from satchel.cli.tree import Commands
from satchel.cli.webhooks import webhooks
from satchel.cli.worker import worker
from satchel.errors import MissingExtra, SatchelError, StorageError, UsageError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help, which takes half the time
    pretty_exceptions_enable=False,
    help="Names the exact model of a second-hand luxury good from photos.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"satchel {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(help="Workspace folder; default $SATCHEL_WORKSPACE or the current directory."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print answers and problems only.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Name every problem; say what the command took at its end."
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    if quiet and verbose:
        raise UsageError("expected --quiet or --verbose, got both")
    set_verbosity(Verbosity(Verbosity.NORMAL + verbose - quiet))
    context.obj = workspace


app.command()(init)
app.command("import")(import_)
app.command()(collect)
app.add_typer(catalog, name="catalog")
app.command()(index)
app.command()(curate)
app.command()(calibrate)
app.command()(identify)
app.command()(locate)
app.command()(read)
app.command()(facets)
app.add_typer(feedback, name="feedback")
app.command()(serve)
app.command()(worker)
app.command()(learn)
app.add_typer(jobs, name="jobs")
app.add_typer(webhooks, name="webhooks")
app.add_typer(admin, name="admin")
app.command()(lookalikes)
app.add_typer(annotate, name="annotate")
app.command()(split)
app.add_typer(train, name="train")
app.command()(adapt)
app.command()(runs)
app.add_typer(remove, name="remove")
app.command()(evaluate)
app.add_typer(encoder, name="encoder")
app.command()(export)
app.command()(promote)
app.add_typer(experiment, name="experiment")
app.command()(status)
app.command()(doctor)
app.command()(check)
app.command()(backup)
app.command()(restore)


def main() -> None:
    """Run the command line; an error becomes one message and an exit code.

    Commands import what they need as they run. So a missing extra shows here, whatever the command.
    """
    write_anything()
    signal.signal(signal.SIGTERM, _stop)  # by systemd or docker: as orderly as Ctrl-C
    warnings.filterwarnings("ignore", module="PIL")  # decoding errors are reported as messages
    began = time.monotonic()
    try:
        app()
    except SatchelError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        missing = MissingExtra.behind(error)
        if missing is None:
            _fail_unforeseen(error)
        _fail(missing)
    except OSError as error:
        from satchel.files import storage_error

        _fail(storage_error(error))
    except Exception as error:
        _fail_unforeseen(error)
    finally:
        if verbosity() is Verbosity.VERBOSE:
            _say_cost(time.monotonic() - began)


def _fail(error: SatchelError) -> NoReturn:
    complain(f"satchel: {error}")
    sys.exit(exit_code(error))


def _fail_unforeseen(error: Exception) -> NoReturn:
    """A fault of the program: one line for people, the traceback in a file."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="satchel-fault-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"satchel {__version__}, Python {sys.version}\n")
        traceback.print_exception(error, file=file)
    complain(
        f"satchel: this is a fault of Satchel itself ({type(error).__name__}: {error}); please "
        f"report it with what is in {file.name}"
    )
    sys.exit(OUR_FAULT)


def _say_cost(seconds: float) -> None:
    from satchel.cli.stage_display import duration

    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:  # not on Windows
        say(f"took {duration(seconds)}")
        return
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    peak = getrusage(RUSAGE_SELF).ru_maxrss * unit
    say(f"took {duration(seconds)} and {peak / 1e6:,.0f} MB of memory at most")


def exit_code(error: SatchelError) -> int:
    """The exit code of a command that ends with an error."""
    match error:
        case UsageError():
            return WRONG_USAGE
        case StorageError():
            return NOT_NOW
    return SOME_FAILED


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
