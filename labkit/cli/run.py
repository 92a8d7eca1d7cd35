"""`labkit run`: a notebook, executed headless with its parameters."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import experiments
from labkit.cli import dry_run, parameters
from labkit.errors import LabError
from labkit.runs import notebooks_path
from labkit.runs.naming import canonical

if TYPE_CHECKING:
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec

SHORT_DIGITS = 8


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("run", help="run a notebook headless", description=__doc__)
    parameters.add_experiment(command)
    command.add_argument("-o", "--output", metavar="OUT.ipynb", help="default: outputs/NOTEBOOK-SHORT.ipynb")
    command.add_argument(
        "--dry-run", action="store_true", help="print expected time, memory and epsilon, and run nothing"
    )
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Check every parameter, then execute the notebook; what the store holds already is not run again."""
    experiment = experiments.get(args.experiment)
    given = parameters.given(args)
    spec = experiment.spec.of(**given)
    notebook = find(experiment)
    store, data = parameters.checked(experiment, spec)
    with store:
        if args.dry_run:
            print(dry_run.words(experiment, spec, store, data))
            return 0
    del data  # the kernel loads its own
    from labkit.cli.notebook import execute

    output = Path(args.output) if args.output else default_output(experiment, spec)
    execute(notebook, output, given)
    print(output)
    return 0


def find(experiment: Experiment) -> Path:
    """The experiment's notebook, relative to the working folder, since papermill writes it into the output.

    Raises:
        LabError: it is not there.
    """
    path = notebooks_path() / f"{experiment.notebook}.ipynb"
    if not path.is_file():
        raise LabError(f"no notebook {path.name} in {path.parent}")
    return Path(os.path.relpath(path))


def default_output(experiment: Experiment, spec: Spec) -> Path:
    """outputs/NOTEBOOK-SHORT.ipynb; SHORT is the same for the same parameters."""
    digest = hashlib.sha256(canonical(spec.model_dump(mode="json", exclude={"store"})).encode()).hexdigest()
    return Path("outputs") / f"{experiment.notebook}-{digest[:SHORT_DIGITS]}.ipynb"
