"""A worker on a machine that seems to have four GPUs: `python -m tests.integration.workers.four_gpus`.

The imports are inside the guard, as in `workers.__main__`.
"""

from datetime import timedelta

UUIDS = ["GPU-a", "GPU-b", "GPU-c", "GPU-d"]
RESERVATION_DELAY = timedelta(seconds=2)


if __name__ == "__main__":
    from service.store import gpu_reservation
    from workers.supervisor.devices import GPU
    from workers.supervisor.worker import main

    gpu_reservation.RESERVATION_DELAY = RESERVATION_DELAY
    main(lambda: [GPU(uuid, "Simulated", used_bytes=0) for uuid in UUIDS], "tests.integration.workers.trains_on_gpus")
