"""The command line: `labkit COMMAND ...`, one file per command.

Exit codes: 0 finished and claims held, 1 failed, 2 bad input, 3 a claim failed, 130 stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import labkit
from labkit.cli import doctor, export, fetch, remove, run, runs, show, sweep
from labkit.cli.table import printable
from labkit.errors import BadInput, ClaimFailed, LabError

COMMANDS = (run, sweep, runs, show, export, remove, fetch, doctor)
FAILED, BAD_INPUT, CLAIM_FAILED, STOPPED = 1, 2, 3, 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        """Leave with the code for bad input."""
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `call`, which takes the parsed arguments and returns the exit code."""
    top = Parser(prog="labkit", description="Sparse networks and private training against their neutral baseline.")
    top.add_argument("--version", action="version", version=f"labkit {labkit.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors become one line on stderr and an exit code."""
    args = parser().parse_args(argv)
    try:
        code = args.call(args)
        sys.stdout.flush()
        return code
    except BadInput as error:
        return _say(error, BAD_INPUT)
    except ClaimFailed as error:
        return _say(f"claim failed: {error}", CLAIM_FAILED)
    except LabError as error:
        return _say(error, FAILED)
    except KeyboardInterrupt:
        return _say("stopped; the same command resumes", STOPPED)
    except BrokenPipeError:  # the reader of a pipe has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _say(what: object, code: int) -> int:
    line = printable(" ".join(str(what).split()))
    print(f"labkit: {line}", file=sys.stderr)
    return code
