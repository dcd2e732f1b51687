"""Waiting for a job, with a look at its training."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final

from fitqueue.client.jobs import JobMethods
from fitqueue.client.results import ResultMethods
from fitqueue.client.transport import LONG_RETRY_SECONDS
from fitqueue.views import JobView

if TYPE_CHECKING:
    from fitqueue.fit.followers import Follower


class WaitingMethods(JobMethods, ResultMethods):
    """The method of `Client` that waits for a job."""

    def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        on_update: Callable[[JobView], None] | None = None,
        progress: bool = False,
    ) -> JobView:
        """Wait until a job has ended, however it ends.

        Args:
            job_id: the job.
            timeout: how many seconds to wait at most; without it, until the job has ended.
            on_update: called with the job as it is now, and each time it has changed.
            progress: show the training as `fit` does: by a bar in a terminal, by a picture with curves in a notebook,
                and by a line for each epoch in a file or a pipe.

        Returns:
            The job in its final state.

        Raises:
            JobNotFound: there is no job with this id.
            WaitTimeout: the job has not ended after `timeout` seconds.
            Unreachable: the service has not answered for five minutes.
        """
        with self._shown(job_id) if progress else nullcontext() as follower:
            try:
                for job in self.watch(job_id, timeout=timeout):
                    if follower is not None:
                        follower.update(job)
                    if on_update is not None:
                        on_update(job)
            except KeyboardInterrupt:
                if follower is not None:
                    follower.detach(_INTERRUPTED.format(id=job_id))
                raise
        return job

    def _shown(self, job_id: str) -> AbstractContextManager["Follower"]:
        from fitqueue.fit.bars import following

        return following("auto", partial(self._epochs, job_id, retry_seconds=LONG_RETRY_SECONDS))


_INTERRUPTED: Final = """\
The job {id} goes on. To wait for it again: client.wait("{id}", progress=True). To end it: client.cancel("{id}")."""
