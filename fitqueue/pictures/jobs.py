"""Jobs as pictures: one, a list of them, and one with the curves of its training. Pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fitqueue.pictures.curves import Chart, charts_of
from fitqueue.pictures.html import STATE_COLOURS, bar, escaped, faint, frame, line, row_of, state_mark, table
from fitqueue.pictures.picture import Picture
from fitqueue.pictures.svg import chart_svg, chart_text
from fitqueue.states import JobState, Reason
from fitqueue.text import duration, estimate, keras_number, one_line
from fitqueue.views import EpochView, JobSummary

MAX_CHARTS: Final = 8
_MAX_METRICS: Final = 12


def picture_of_job(job: JobSummary) -> Picture:
    """Return a job without its curves, which a job as it was requested does not have."""
    return picture_of_training(job, ())


def picture_of_training(job: JobSummary, epochs: Sequence[EpochView], note: str = "") -> Picture:
    """Return a job with its curves.

    Args:
        job: the job.
        epochs: the epochs that have ended.
        note: a line at the end, for what happened on this side.
    """
    charts = charts_of(epochs)
    parts = [line(_heading(job)), bar(job.progress.percent, STATE_COLOURS[job.state])]
    parts += [line(faint(escaped(text, 600))) for text in _details(job)]
    parts.append(_drawn(charts, job.best.epoch if job.best else None))
    parts += [line(escaped(text)) for text in note.splitlines()]
    words = [job_text(job), *_details(job), *map(chart_text, charts), *note.splitlines()]
    return Picture(frame(parts), "\n".join(map(one_line, words)))


def picture_of_jobs(jobs: Sequence[JobSummary], *, has_more: bool) -> Picture:
    """Return a table of jobs."""
    headings = ("Job", "Name", "State", "Epoch", "", "Best")
    rows = [
        (
            f"<code>{escaped(job.id)}</code>",
            escaped(job.name or "", 40),
            state_mark(job.state),
            f"{job.progress.epoch}/{job.progress.epochs}",
            bar(job.progress.percent, STATE_COLOURS[job.state], "90px"),
            escaped(best_text(job), 60),
        )
        for job in jobs
    ]
    more = "… and more: iterate to get all of them." if has_more else "" if jobs else "No jobs."
    text = "\n".join([*map(job_text, jobs), *filter(None, [more])])
    return Picture(frame([table(headings, rows) if jobs else "", line(more)]), text)


def job_text(job: JobSummary) -> str:
    """Return a job in one line of plain text."""
    name = f" ({one_line(job.name)})" if job.name else ""
    return f"{one_line(job.id)}{name}: {activity(job)}"


def activity(job: JobSummary) -> str:
    """Return what a job is doing, in words."""
    progress = job.progress
    epoch = f"epoch {progress.epoch}/{progress.epochs}"
    if job.state is JobState.QUEUED and job.queue is not None:
        seconds = job.queue.starts_in_seconds
        starts = (
            "" if seconds is None else f", starts in {estimate(seconds, is_upper_bound=job.queue.may_start_earlier)}"
        )
        return f"queued, number {job.queue.position}, waiting for {one_line(job.queue.waiting_for)}{starts}"
    if job.state is JobState.RUNNING and progress.steps and progress.epoch:
        most = "at most " if job.may_finish_earlier else ""
        eta = f", {most}{duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
        return f"running, {epoch}, step {progress.step}/{progress.steps}{eta}"
    if job.state is JobState.RUNNING and job.phase is not None:
        return f"running, {job.phase.replace('_', ' ')}"
    return f"{job.state}, {epoch}" if progress.epoch else str(job.state)


def best_text(job: JobSummary) -> str:
    """Return the best epoch in words; empty if there is none yet."""
    if job.best is None:
        return ""
    return f"{one_line(job.best.monitor)} {keras_number(job.best.value)} in epoch {job.best.epoch}"


def metrics_text(metrics: Mapping[str, float | None]) -> list[str]:
    """Return each metric as Keras writes it: `loss: 0.1234`."""
    return [f"{one_line(name)}: {keras_number(value)}" for name, value in metrics.items()]


def _heading(job: JobSummary) -> str:
    name = f"<strong>{escaped(job.name, 60)}</strong> " if job.name else ""
    rest = activity(job).removeprefix(job.state)
    return f"{name}<code>{escaped(job.id)}</code> {state_mark(job.state)}{rest and f'{rest[0]} {escaped(rest[1:])}'}"


def _details(job: JobSummary) -> Iterator[str]:
    metrics = metrics_text(job.progress.metrics)
    if job.state is JobState.RUNNING and metrics:
        shown = metrics[:_MAX_METRICS]
        yield f"epoch {job.progress.epoch}: {' - '.join(shown)}{' …' if len(metrics) > len(shown) else ''}"
    if job.state is JobState.QUEUED and job.attempt:
        yield f"attempt {job.attempt} of {job.max_attempts} did not end; the next one goes on from there"
    if job.best is not None:
        yield f"best: {best_text(job)}"
    if job.state.is_final and job.message and job.reason is not Reason.COMPLETED:
        yield one_line(job.message)


def _drawn(charts: Sequence[Chart], best_epoch: int | None) -> str:
    if not charts:
        return ""
    drawn = row_of([chart_svg(chart, best_epoch) for chart in charts[:MAX_CHARTS]])
    rest = "; ".join(map(chart_text, charts[MAX_CHARTS:]))
    return drawn + (line(faint(escaped(rest, 2000))) if rest else "")
