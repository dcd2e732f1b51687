"""Following one job on a screen: a line for each thing that happens, a bar below them, and the result at the end.

Where the console is no terminal there is no bar and no control character, only the lines.
"""

from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from fitqueue.cli.output import cell, facts
from fitqueue.cli.text import between, duration, number, printable
from fitqueue.client import Client
from fitqueue.states import EventKind, JobState
from fitqueue.views import EpochView, EventView, JobSummary, JobView, QueuePosition

STYLES = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "blue",
    JobState.PAUSED: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}

SHOWN_REDUCTIONS = 8


def watch(client: Client, job_id: str, console: Console) -> JobView:
    """Shows the job until it has ended, and returns it as it ended."""
    story = _Story(client)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _plain("steps"),
        _plain("eta"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, steps="", eta="")
        for job in client.watch(job_id):
            for line in story.news(job):
                console.print(line, soft_wrap=True)
            place = job.progress
            running = job.state is JobState.RUNNING and place.steps
            progress.update(
                task,
                description=printable(_now(job)),
                total=place.steps if running else None,
                completed=place.step,
                steps=f"{place.step}/{place.steps} steps" if running else "",
                eta=f"about {duration(place.eta_seconds)} left" if place.eta_seconds is not None else "",
            )
    return job


def show_result(client: Client, job: JobView, console: Console) -> None:
    """The end of a job as a table: state, reason, best epoch and value, the learning rate's way down, times."""
    console.print()
    reductions = _reductions(client.events(job.id))
    weights = f"fitqueue weights {job.id}" if job.best else ""
    rows = [*_outcome(job), ("Learning rate", reductions), *_times(job), ("Weights", weights)]
    console.print(facts(rows), soft_wrap=True)


def state_text(job: JobSummary) -> Text:
    return cell(job.state, STYLES[job.state])


def best_text(job: JobSummary) -> str:
    return f"{job.best.monitor} {number(job.best.value)} (epoch {job.best.epoch})" if job.best else ""


def diagnosis_text(job: JobView) -> str:
    """What was found, what to do, and the evidence; empty where there is nothing to say yet."""
    found = job.diagnosis
    if found is None:
        return ""
    moved = ", ".join(f"{each.metric} {each.trend} ({number(each.slope)} an epoch)" for each in found.movements)
    evidence = f"Epochs {found.first_epoch} to {found.last_epoch}: {moved}" if moved else ""
    return "\n".join(filter(None, [found.summary, found.advice, evidence]))


def queue_text(place: QueuePosition) -> str:
    return f"Number {place.position} in the queue, waits for {place.waiting_for}"


def _plain(field: str) -> TextColumn:
    return TextColumn(f"{{task.fields[{field}]}}", markup=False)


class _Story:
    """Remembers what was told of a job, so that each thing is told once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: set[tuple[int, int]] = set()
        self._last_epoch = 0
        self._stage: object = None
        self._place: object = None

    def news(self, job: JobView) -> Iterator[Text]:
        stage = (job.state, job.attempt, job.cancel_requested_at, job.pause_requested_at)
        if stage != self._stage:
            self._last_epoch = 0  # another attempt may have begun anew
            if not job.state.is_final:
                yield cell(_stage(job), STYLES[job.state])
        # Asked only when an epoch may have ended: progress comes twice a second, an epoch perhaps once an hour.
        place = (stage, job.phase, job.progress.epoch, job.best)
        if place != self._place or job.progress.step == job.progress.steps:
            yield from (epoch_line(row, job.progress.epochs) for row in self._new_epochs(job.id))
        self._stage, self._place = stage, place

    def _new_epochs(self, job_id: str) -> Iterator[EpochView]:
        for row in self._client.metrics(job_id, after=self._last_epoch):
            self._last_epoch = row.epoch
            if (row.attempt, row.epoch) not in self._told:
                self._told.add((row.attempt, row.epoch))
                yield row


def epoch_line(row: EpochView, epochs: int) -> Text:
    width = len(str(epochs))
    line = Text(f"epoch {row.epoch:>{width}}/{epochs}", style="bold")
    for name, value in row.metrics.items():
        if name != "learning_rate":
            line.append(f"  {printable(name)} ", style="not bold dim").append(f"{number(value):<8}", style="not bold")
    line.append(f"  lr {number(row.learning_rate)}  {duration(row.seconds)}", style="not bold dim")
    return line


def _stage(job: JobView) -> str:
    name = f"{job.name} ({job.id})" if job.name else job.id
    if job.cancel_requested_at:
        return f"{name} was asked to stop"
    if job.pause_requested_at:
        return f"{name} was asked to wait"
    if job.state is JobState.PAUSED:
        return f"{name} is paused; to let it go on: fitqueue resume {job.id}"
    if job.state is JobState.QUEUED:
        again = f" again, after attempt {job.attempt}" if job.attempt else ""
        return f"{name} is queued{again}"
    return f"{name} runs on {job.worker}, attempt {job.attempt} of {job.max_attempts}"


def _now(job: JobView) -> str:
    if job.queue:
        return queue_text(job.queue)
    if job.progress.steps and job.phase in {None, "training"}:
        return f"Epoch {job.progress.epoch}/{job.progress.epochs}"
    return (job.phase or job.state).replace("_", " ").capitalize()


def _outcome(job: JobView) -> list[tuple[str, str | Text]]:
    return [
        ("Job", f"{job.name} ({job.id})" if job.name else job.id),
        ("State", state_text(job)),
        ("Reason", job.reason or ""),
        ("Message", job.message or ""),
        ("Epochs", f"{job.progress.epoch} of {job.progress.epochs}"),
        ("Best", best_text(job)),
        ("Diagnosis", diagnosis_text(job)),
    ]


def _times(job: JobView) -> list[tuple[str, str | Text]]:
    return [
        ("Waited", between(job.created_at, job.started_at or job.finished_at)),
        ("Ran", between(job.started_at, job.finished_at)),
        ("Attempts", str(job.attempt) if job.attempt > 1 else ""),
    ]


def _reductions(events: Iterator[EventView]) -> str:
    """Each drop of the learning rate by a callback; an attempt that was begun anew counts from the start."""
    drops = [event for event in events if event.kind is EventKind.LEARNING_RATE_REDUCED]
    last = [event.data for event in drops if event.attempt == drops[-1].attempt]
    lines = [f"{number(data['from'])} → {number(data['to'])} after epoch {data['epoch']}" for data in last]
    more = [f"… {len(lines) - SHOWN_REDUCTIONS} more"] if len(lines) > SHOWN_REDUCTIONS else []
    return "\n".join(lines[:SHOWN_REDUCTIONS] + more)
