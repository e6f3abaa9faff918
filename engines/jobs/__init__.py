"""Jobs: what an engine is asked for, and how it runs."""

from engines.jobs.registry import (
    ENGINES,
    OTHER_WEIGHTS,
    History,
    Job,
    Standing,
    StartedJob,
    Unfinished,
    Workshop,
    job_from_recipe,
    repeated,
)

__all__ = [
    "ENGINES",
    "OTHER_WEIGHTS",
    "History",
    "Job",
    "Standing",
    "StartedJob",
    "Unfinished",
    "Workshop",
    "job_from_recipe",
    "repeated",
]
