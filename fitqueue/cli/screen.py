"""One job on a screen: a line for each thing that happens, a progress bar below, and the result at the end.

If the console is not a terminal, there is no bar and no control character, only the lines.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
from rich.table import Column
from rich.text import Text

from fitqueue.cli.output import cell, print_facts, width_of
from fitqueue.cli.tables import wrap
from fitqueue.cli.text import about, between, duration, estimate, local_time, number, printable
from fitqueue.client import Client
from fitqueue.states import EventKind, JobState
from fitqueue.views import EpochView, EventView, JobSummary, JobView, QueueForecast, QueuePosition

STYLES = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "blue",
    JobState.PAUSED: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}

SHOWN_REDUCTIONS = 8
_SPINNER_WIDTH = 2
_SHORTEST_BAR = 8
_LONGEST_BAR = 40


def watch(client: Client, job_id: str, console: Console) -> JobView:
    """Show a job until it has ended, and return it in its final state."""
    narrator = _Narrator(client)
    columns = (SpinnerColumn(), _JobColumn(console))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, steps="", eta="")
        for job in client.watch(job_id):
            for line in narrator.new_lines(job):
                console.print(in_width(line, width_of(console)), soft_wrap=True)
            progress = job.progress
            has_steps = job.state is JobState.RUNNING and progress.steps
            bar.update(
                task,
                description=printable(_activity(job)),
                total=progress.steps if has_steps else None,
                completed=progress.step,
                steps=f"{progress.step}/{progress.steps} steps" if has_steps else "",
                eta=left_text(job, "about"),
            )
    return job


def show_result(client: Client, job: JobView, console: Console) -> None:
    """Print how a job ended: state, reason, best epoch, reductions of the learning rate, and times."""
    console.print()
    reductions = _reductions(client.events(job.id))
    weights = f"fitqueue weights {job.id}" if job.best else ""
    rows = [*_outcome(job), ("Learning rate", reductions), *_times(job), ("Weights", weights)]
    print_facts(rows, console)


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
    starts = starts_text(queue)
    return f"Number {queue.position} in the queue, waiting for {queue.waiting_for}{starts and f', starts in {starts}'}"


def priority_text(job: JobView) -> str:
    """Return for example `priority 5, preemptible`."""
    return f"priority {job.priority}{', preemptible' if job.preemptible else ''}"


def starts_text(queue: QueueForecast) -> str:
    """Return in how long a job starts, in words; empty if nobody knows."""
    seconds = queue.starts_in_seconds
    return "" if seconds is None else estimate(seconds, is_upper_bound=queue.may_start_earlier)


def ends_text(job: JobSummary) -> str:
    """Return when a job ends, in words; empty if nobody knows."""
    if job.finishes_at is None:
        return ""
    seconds = max(0.0, (job.finishes_at - datetime.now(UTC)).total_seconds())
    return f"In {estimate(seconds, is_upper_bound=job.may_finish_earlier)}, {local_time(job.finishes_at)}"


def left_text(job: JobSummary, word: str = "") -> str:
    """Return how long a running job still trains; empty if nobody knows.

    Args:
        job: the job.
        word: stands before it, unless it is an upper bound.
    """
    seconds = job.progress.eta_seconds
    if seconds is None or job.state is not JobState.RUNNING:
        return ""
    return f"{'at most' if job.may_finish_earlier else word} {about(seconds)} left".strip()


def in_width(line: Text, width: int | None) -> Text:
    """Return a line as several ones of at most this width; pairs such as a metric and its value stay together."""
    if width is None or line.cell_len <= width:
        return line
    starts = [0, *(span.start for span in line.spans if line.plain.startswith("  ", span.start))]
    if len(starts) == 1:
        return Text("\n".join(wrap(line.plain, width)), style=line.style)
    pairs = [part for part in line.divide(starts[1:]) if part.plain.strip()]
    return _joined(pairs, width)


def _joined(pairs: Sequence[Text], width: int) -> Text:
    """Join pairs, each with the two spaces before it, and begin a new line where the width ends."""
    lines = [pairs[0]]
    for pair in pairs[1:]:
        if lines[-1].cell_len + len(pair.plain.rstrip()) <= width:
            lines[-1] = Text.assemble(lines[-1], pair)
        else:
            lines.append(pair)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


class _JobColumn(ProgressColumn):
    """What the job does, a bar where there is room for one, the steps, and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        super().__init__(Column(no_wrap=False))

    def render(self, task: Task) -> Text:
        """Return the line, or several ones if it is longer than the terminal is wide."""
        width = self._console.width - _SPINNER_WIDTH
        words = [task.description, *filter(None, [task.fields["steps"], task.fields["eta"]])]
        room = width - sum(len(word) + 2 for word in words)
        if task.total and room >= _SHORTEST_BAR:
            length = min(room, _LONGEST_BAR)
            done = min(length, round(length * task.completed / task.total))
            bar = Text.assemble(("━" * done, "bar.complete"), ("━" * (length - done), "bar.back"))
            return Text("  ").join([Text(words[0]), bar, *map(Text, words[1:])])
        return Text("\n".join(wrap("  ".join(words), width)))


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
        requests = job.cancel_requested_at, job.pause_requested_at, job.preempt_requested_at
        status = (job.state, job.attempt, *requests)
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
    line.append(f"  lr {number(row.learning_rate)}", style="not bold dim")
    line.append(f"  {duration(row.seconds)}", style="not bold dim")
    return line


def _status_line(job: JobView) -> str:
    name = _name(job)
    if job.cancel_requested_at:
        return f"{name} was asked to stop"
    if job.pause_requested_at:
        return f"{name} was asked to pause"
    if job.preempt_requested_at:
        return f"{name} was asked to make room for another job; it goes on by itself"
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
