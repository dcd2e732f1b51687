"""A time that is not known exactly."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """Some seconds from now.

    `is_upper_bound`: something may happen earlier, because a callback may end a training before its last epoch.
    """

    seconds: float
    is_upper_bound: bool = False

    def after(self, start: "Estimate") -> "Estimate":
        """Return when this much time is over that begins at `start`."""
        return Estimate(start.seconds + self.seconds, self.is_upper_bound or start.is_upper_bound)
