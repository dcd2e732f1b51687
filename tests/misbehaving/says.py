"""What the misbehaving children have in common: they read their start and say a word, then each goes its own way."""

from workers.entry import ChildPipes
from workers.protocol import Message, PhaseChanged
from workers.trainer import stdio
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter


def begin(pipes: ChildPipes, *messages: Message) -> tuple[Control, Reporter]:
    stdio.capture(pipes.stdout, pipes.stderr)
    control, reporter = Control(pipes.control), Reporter(pipes.events)
    control.read_start()
    control.watch()
    for message in messages or (PhaseChanged(phase="training"),):
        reporter.say(message)
    return control, reporter
