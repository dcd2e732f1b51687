"""The types of fixtures that are functions."""

from collections.abc import Callable

from fitqueue.spec import JobSpec
from service.models import Job
from service.store.leases import ClaimedJob

MakeSpec = Callable[..., JobSpec]
Submit = Callable[..., str]
Claim = Callable[..., ClaimedJob]
TryClaim = Callable[..., ClaimedJob | None]
AdvanceClock = Callable[[float], None]
RegisterWorker = Callable[..., None]
HeldGPUs = Callable[[], dict[str, str]]
Perform = Callable[[str, str], Job]
