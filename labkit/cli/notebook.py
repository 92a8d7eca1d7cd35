"""Executing one notebook through papermill, with errors that fit in a line."""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from labkit.errors import BadInput, ClaimFailed, LabError

LIVE = ("JPY_SESSION_NAME", "LABKIT_LIVE")


class NotebookInput(BadInput):
    """A BadInput that was raised inside a notebook; its text is the kernel's."""

    def __init__(self, text: str) -> None:
        super().__init__("notebook", text, text)

    def __str__(self) -> str:
        return self.value


def execute(notebook: Path, output: Path, given: Mapping[str, str]) -> None:
    """Execute a notebook in this very environment, with a progress bar on stderr; its kernel works in this folder.

    Args:
        given: parameters to inject, as typed; the notebook's Spec parses them.

    Raises:
        ClaimFailed, BadInput: raised by a cell.
        KeyboardInterrupt: so was this, or Ctrl-C was pressed.
        LabError: any other error of a cell, its last line; the kernel died; or the notebook lacks a parameter.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    refused = set(given) - set(papermill.inspect_notebook(str(notebook)))
    if refused:  # papermill would inject them all the same, to no effect
        raise LabError(f"the parameters cell of {notebook} lacks {', '.join(sorted(refused))}")
    _make(output)
    interrupted = False
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        try:
            papermill.execute_notebook(
                str(notebook),
                str(output),
                parameters=dict(given),
                kernel_name="python3",
                kernel_manager_class=kernel_manager(said),
            )
        except PapermillExecutionError as error:
            _raise(error.ename, error.evalue, output)
        except DeadKernelError as error:
            said.seek(0)
            last = said.read().strip().rpartition("\n")[2]
            raise LabError(f"the kernel died (out of memory?) {last}; see {output}") from error
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:  # outside the handler, whose traceback holds on to nbclient's tasks
        _forget_tasks()
        raise KeyboardInterrupt


def _make(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.open("ab").close()
    except OSError as error:
        raise BadInput("output", str(output), f"a file that can be written ({error.strerror})") from error


def _forget_tasks() -> None:
    """Collect what an interrupted nbclient left behind now, unheard: later asyncio would print, with a traceback, that
    nobody asked its task why the kernel died."""
    log = logging.getLogger("asyncio")
    heard, log.disabled = log.disabled, True
    gc.collect()
    log.disabled = heard


def _raise(name: str, text: str, output: Path) -> None:
    if name == "KeyboardInterrupt":
        raise KeyboardInterrupt from None
    kinds = {"ClaimFailed": ClaimFailed, "BadInput": NotebookInput}
    if name in kinds:
        raise kinds[name](text) from None
    last = text.strip().rpartition("\n")[2]
    raise LabError(f"{name}: {last}; see {output}") from None


def kernel_manager(said: IO[str], more: Mapping[str, str] | None = None) -> type:
    """A kernel manager for this interpreter, whatever kernels are registered under the name python3 on this machine.

    Args:
        said: what the kernel's machinery says goes there: it greets every start with a warning, and a stop with a
            traceback.
        more: variables of its environment beside those of this process.
    """
    from ipykernel.kernelspec import make_ipkernel_cmd
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    # Called from a cell or a terminal of JupyterLab, the notebook's panel must not believe that a browser watches it.
    headless = {name: value for name, value in os.environ.items() if name not in LIVE} | dict(more or {})

    class ThisInterpreter(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            argv = make_ipkernel_cmd(executable=sys.executable)
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

        async def start_kernel(self, **options: Any) -> None:
            await super().start_kernel(**options, env=headless, stderr=said)

    return ThisInterpreter
