"""Which worker a word on the command line means: an id, the beginning of one, or the name of its host."""

from fitqueue.client import Client
from fitqueue.errors import WorkerNotFound
from fitqueue.text import truncate


def find_worker(client: Client, word: str) -> str:
    """Return the id of the live worker that a word means.

    Raises:
        WorkerNotFound: no live worker matches, or several do, which the message lists.
    """
    alive = [worker for worker in client.workers() if worker.alive]
    matching = [worker for worker in alive if word in {worker.id, worker.host}]
    matching = matching or [worker for worker in alive if word and worker.id.startswith(word)]
    if len(matching) == 1:
        return matching[0].id
    shown = truncate(word, 200)
    if not matching:
        raise WorkerNotFound(f"There is no live worker '{shown}'; `fitqueue workers` lists them.")
    lines = [f"  {worker.id}  {worker.host}" for worker in matching]
    raise WorkerNotFound("\n".join([f"'{shown}' may be one of several workers; use its id:", *lines]))
