from __future__ import annotations

import asyncio
import gc
import logging

from labkit.cli import notebook


def leave_a_failed_task() -> None:
    """What an interrupted nbclient leaves: a task whose error nobody asked for, in a cycle of references."""

    async def fail() -> None:
        raise RuntimeError("Kernel died")

    async def run() -> None:
        kept: list = [asyncio.create_task(fail())]
        kept.append(kept)
        await asyncio.sleep(0)

    asyncio.run(run())


def test_tasks_left_behind_are_forgotten_unheard(caplog):
    leave_a_failed_task()
    notebook._forget_tasks()
    gc.collect()
    assert caplog.records == []
    assert not logging.getLogger("asyncio").disabled


def test_otherwise_asyncio_speaks_up(caplog):
    leave_a_failed_task()
    gc.collect()
    assert ["never retrieved" in record.message for record in caplog.records] == [True]
