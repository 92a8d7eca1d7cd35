"""The fake experiment's replicates as one program: in turns, an event each; their chunks bear their names."""

from __future__ import annotations

import contextlib
import dataclasses

from fake_experiment import EXPERIMENT as ALONE
from fake_experiment import run

from labkit.runs.events import Checkpoint, Chunk
from labkit.runs.experiment import Resources, Together


def interleaved(jobs, resources):
    """The events of all jobs; what one keeps is none of the others'."""
    with contextlib.ExitStack() as stack:
        running = {}
        for place, job in enumerate(jobs):
            prefix = f"{job.point.sparsity[0]}-{job.seed}-"

            def own(kept, prefix=prefix):
                return {key.removeprefix(prefix): value for key, value in kept.items() if key.startswith(prefix)}

            mine = Resources(resources.device, resources.data, own(resources.chunks), own(resources.checkpoints))
            running[place] = prefix, stack.enter_context(contextlib.closing(run(job.point, job.seed, mine)))
        while running:
            for place, (prefix, events) in list(running.items()):
                event = next(events, None)
                if event is None:
                    del running[place]
                elif isinstance(event, Chunk | Checkpoint):
                    yield place, dataclasses.replace(event, key=prefix + event.key)
                else:
                    yield place, event


TOGETHER = EXPERIMENT = dataclasses.replace(ALONE, together=Together(lambda job: job.point.sparsity, interleaved))
