"""Jobs: what an engine is asked to do, and how it runs."""

from engines.jobs.job import OTHER_WEIGHTS, Job
from engines.jobs.model_cache import ModelCache
from engines.jobs.registry import ENGINES
from engines.jobs.replay import job_from_recipe, replay_if_same
from engines.jobs.running import JobExecution, ResumableJob, ResumePoint, RunHistory, Workshop

__all__ = [
    "ENGINES",
    "OTHER_WEIGHTS",
    "Job",
    "JobExecution",
    "ModelCache",
    "ResumableJob",
    "ResumePoint",
    "RunHistory",
    "Workshop",
    "job_from_recipe",
    "replay_if_same",
]
