"""The command line: the application, its commands, and how errors are shown.

One module per command, each with ``register(app)``. They are imported at every start, so they
import only what describes their flags; the libraries that do the work (torch, Optuna, NumPy,
matplotlib) are imported inside the commands.

Exit status: 0 done, 1 the work failed, 2 the user's input is wrong (one line on standard error says
what and how to mend it), 130 interrupted, 141 the reader of the output went away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer
from typer.exceptions import TyperException

from hybrid_nas import __version__
from hybrid_nas.cli.multivalue import join_values
from hybrid_nas.errors import HybridNasError
from hybrid_nas.threads import wait_passively

PROGRAM = "hybrid-nas"
COMMANDS: tuple[str, ...] = (
    "search",
    "worker",
    "status",
    "train",
    "evaluate",
    "export",
    "verify",
    "report",
    "route",
    "estimate",
    "boards",
    "spaces",
    "supernet",
    "latency",
)

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_OUTPUT_CLOSED = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program on `argv` (default: the process's arguments) and give the exit status."""
    wait_passively()
    return run(make_app(), join_values(sys.argv[1:] if argv is None else argv))


def make_app() -> typer.Typer:
    """The application with all its commands."""
    app = new_app()
    for name in COMMANDS:
        import_module(f"{__name__}.{name}").register(app)
    return app


def new_app() -> typer.Typer:
    """The application without commands: its help and ``--version``."""
    app = typer.Typer(
        name=PROGRAM,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Search for the network on a microcontroller and the router that sends its hard "
        "images to the cloud, together.",
    )

    @app.callback()
    def root(
        version: Annotated[
            bool,
            typer.Option(
                "--version", callback=_print_version, is_eager=True, help="Print the version."
            ),
        ] = False,
    ) -> None:
        pass

    return app


def run(app: typer.Typer, argv: Sequence[str]) -> int:
    """Run `app` on `argv`; what goes wrong in a foreseen way becomes one line and a status."""
    try:
        status = _invoke(app, list(argv) or ["--help"])
        sys.stdout.flush()
    except HybridNasError as error:
        return _fail(str(error), error.exit_status)
    except BrokenPipeError:
        _drop_output()
        return _OUTPUT_CLOSED
    except OSError as error:
        return _fail(_describe_os_error(error), HybridNasError.exit_status)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    return status


def _invoke(app: typer.Typer, argv: list[str]) -> int:
    # Typer's own `app()` prints usage errors in a box over several lines and exits the process.
    command = typer.main.get_command(app)
    try:
        with command.make_context(PROGRAM, argv) as context:
            command.invoke(context)
    except typer.Exit as request:
        return request.exit_code
    except typer.Abort:
        return _fail("interrupted", _INTERRUPTED)
    except TyperException as error:
        context_of_error = getattr(error, "ctx", None)
        path = context_of_error.command_path if context_of_error else PROGRAM
        message = error.format_message()
        if message:  # empty where a group without a command has printed its help instead
            _fail(f"{message} (see '{path} --help')", error.exit_code)
        return error.exit_code
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _fail(message: str, status: int) -> int:
    print(f"{PROGRAM}: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _describe_os_error(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {what}" if error.filename else what


def _drop_output() -> None:
    """Send what Python would still flush at exit, and complain about again, nowhere."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
