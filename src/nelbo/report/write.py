"""From a run to its report on disk."""

from __future__ import annotations

from pathlib import Path

from nelbo.doctor import Case, kept_findings, merged, of_plan
from nelbo.doctor.commands import plugin_files
from nelbo.noise import own_noise
from nelbo.report.page import render
from nelbo.report.subject import open_subject
from nelbo.report.verdict import judge
from nelbo.runs import Run, reopen
from nelbo.storage import write_text
from nelbo.train.job import Job

__all__ = ["write_report"]


def write_report(run: Run, job: Job | None = None) -> Path:
    """Write the report of a trained run to its `report.html`, atomically.

    The same run gives the same bytes; torch's global random state is left alone.

    Parameters
    ----------
    run
        A run whose training has ended; its test evaluation is shown if there is one.
    job
        The run's job where it is at hand; else it is opened again from its configuration.

    Returns
    -------
    The file.

    Raises
    ------
    RunError
        If the folder is no run, or holds no trained model yet.
    ConfigError
        If the data changed since the training.
    StorageError
        If the file cannot be written.
    """
    # Building a model draws initial weights, and samples are drawn: all from a random state of the report's own.
    with own_noise():
        subject = open_subject(run, reopen(run) if job is None else job)
        files = (subject.config, run.metrics(), subject.evaluation, subject.state, subject.folder)
        verdict = judge(
            *files, examined=merged(kept_findings(run), of_plan(Case(subject.job, plugin_files(subject.config))))
        )
        page = render(subject, verdict)
    write_text(run.report_file, page)
    return run.report_file
