"""One job on a screen: a line for each thing that happens, a progress bar below, and the result at the end.

If the console is not a terminal, there is no bar and no control character, only the lines.
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
    """Show a job until it has ended, and return it in its final state."""
    narrator = _Narrator(client)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _plain_column("steps"),
        _plain_column("eta"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, steps="", eta="")
        for job in client.watch(job_id):
            for line in narrator.new_lines(job):
                console.print(line, soft_wrap=True)
            progress = job.progress
            has_steps = job.state is JobState.RUNNING and progress.steps
            bar.update(
                task,
                description=printable(_activity(job)),
                total=progress.steps if has_steps else None,
                completed=progress.step,
                steps=f"{progress.step}/{progress.steps} steps" if has_steps else "",
                eta=f"about {duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else "",
            )
    return job


def show_result(client: Client, job: JobView, console: Console) -> None:
    """Print how a job ended: state, reason, best epoch, reductions of the learning rate, and times."""
    console.print()
    reductions = _reductions(client.events(job.id))
    weights = f"fitqueue weights {job.id}" if job.best else ""
    rows = [*_outcome(job), ("Learning rate", reductions), *_times(job), ("Weights", weights)]
    console.print(facts(rows), soft_wrap=True)


def state_text(job: JobSummary) -> Text:
    """Return the state of a job in its colour."""
    return cell(job.state, STYLES[job.state])


def best_text(job: JobSummary) -> str:
    """Return the best epoch of a job in words; empty if there is none yet."""
    return f"{job.best.monitor} {number(job.best.value)} (epoch {job.best.epoch})" if job.best else ""


def diagnosis_text(job: JobView) -> str:
    """Return summary, advice and evidence, one per line; empty if there is no diagnosis yet."""
    diagnosis = job.diagnosis
    if diagnosis is None:
        return ""
    slopes = ", ".join(
        f"{movement.metric} {movement.trend} ({number(movement.slope)} per epoch)" for movement in diagnosis.movements
    )
    evidence = f"Epochs {diagnosis.first_epoch} to {diagnosis.last_epoch}: {slopes}" if slopes else ""
    return "\n".join(filter(None, [diagnosis.summary, diagnosis.advice, evidence]))


def queue_text(queue: QueuePosition) -> str:
    """Return the position of a job in the queue in words."""
    return f"Number {queue.position} in the queue, waiting for {queue.waiting_for}"


def _plain_column(field: str) -> TextColumn:
    return TextColumn(f"{{task.fields[{field}]}}", markup=False)


class _Narrator:
    """Turns the views of a watched job into lines, and remembers which epochs it has already shown."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._shown_epochs: set[tuple[int, int]] = set()
        self._last_epoch = 0
        self._status: object = None
        self._epoch_status: object = None

    def new_lines(self, job: JobView) -> Iterator[Text]:
        """Yield a line for each thing that has happened since the last call."""
        status = (job.state, job.attempt, job.cancel_requested_at, job.pause_requested_at)
        if status != self._status:
            self._last_epoch = 0  # another attempt may have started from the beginning
            if not job.state.is_final:
                yield cell(_status_line(job), STYLES[job.state])
        # Metrics are requested only if an epoch may have ended: progress changes twice a second, epochs can take hours.
        epoch_status = (status, job.phase, job.progress.epoch, job.best)
        if epoch_status != self._epoch_status or job.progress.step == job.progress.steps:
            yield from (epoch_line(row, job.progress.epochs) for row in self._new_epochs(job.id))
        self._status, self._epoch_status = status, epoch_status

    def _new_epochs(self, job_id: str) -> Iterator[EpochView]:
        for row in self._client.metrics(job_id, after=self._last_epoch):
            self._last_epoch = row.epoch
            if (row.attempt, row.epoch) not in self._shown_epochs:
                self._shown_epochs.add((row.attempt, row.epoch))
                yield row


def epoch_line(row: EpochView, epochs: int) -> Text:
    """Return the line for an epoch that has ended: its metrics, learning rate and duration."""
    width = len(str(epochs))
    line = Text(f"epoch {row.epoch:>{width}}/{epochs}", style="bold")
    for name, value in row.metrics.items():
        if name != "learning_rate":
            line.append(f"  {printable(name)} ", style="not bold dim").append(f"{number(value):<8}", style="not bold")
    line.append(f"  lr {number(row.learning_rate)}  {duration(row.seconds)}", style="not bold dim")
    return line


def _status_line(job: JobView) -> str:
    name = _name(job)
    if job.cancel_requested_at:
        return f"{name} was asked to stop"
    if job.pause_requested_at:
        return f"{name} was asked to pause"
    if job.state is JobState.PAUSED:
        return f"{name} is paused; to resume it: fitqueue resume {job.id}"
    if job.state is JobState.QUEUED:
        again = f" again, after attempt {job.attempt}" if job.attempt else ""
        return f"{name} is queued{again}"
    return f"{name} is running on {job.worker}, attempt {job.attempt} of {job.max_attempts}"


def _activity(job: JobView) -> str:
    if job.queue:
        return queue_text(job.queue)
    if job.progress.steps and job.phase in {None, "training"}:
        return f"Epoch {job.progress.epoch}/{job.progress.epochs}"
    return (job.phase or job.state).replace("_", " ").capitalize()


def _outcome(job: JobView) -> list[tuple[str, str | Text]]:
    return [
        ("Job", _name(job)),
        ("State", state_text(job)),
        ("Reason", job.reason or ""),
        ("Message", job.message or ""),
        ("Epochs", f"{job.progress.epoch} of {job.progress.epochs}"),
        ("Best", best_text(job)),
        ("Diagnosis", diagnosis_text(job)),
    ]


def _name(job: JobView) -> str:
    return f"{job.name} ({job.id})" if job.name else job.id


def _times(job: JobView) -> list[tuple[str, str | Text]]:
    return [
        ("Waited", between(job.created_at, job.started_at or job.finished_at)),
        ("Ran", between(job.started_at, job.finished_at)),
        ("Attempts", str(job.attempt) if job.attempt > 1 else ""),
    ]


def _reductions(events: Iterator[EventView]) -> str:
    """Return each reduction of the learning rate by a callback in the last attempt that had one, one per line."""
    reductions = [event for event in events if event.kind is EventKind.LEARNING_RATE_REDUCED]
    rows = [event.data for event in reductions if event.attempt == reductions[-1].attempt]
    lines = [f"{number(row['from'])} → {number(row['to'])} after epoch {row['epoch']}" for row in rows]
    more = [f"… {len(lines) - SHOWN_REDUCTIONS} more"] if len(lines) > SHOWN_REDUCTIONS else []
    return "\n".join(lines[:SHOWN_REDUCTIONS] + more)
