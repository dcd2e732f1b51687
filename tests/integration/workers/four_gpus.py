"""A worker on a machine that seems to have four GPUs: `python -m tests.integration.workers.four_gpus`.

The imports are inside the guard, as in `workers.__main__`.
"""

from datetime import timedelta

UUIDS = ["GPU-a", "GPU-b", "GPU-c", "GPU-d"]
RESERVATION_DELAY = timedelta(seconds=2)
TOTAL_BYTES = 80 * 2**30
UTILIZATION = 50


if __name__ == "__main__":
    from service.store import gpu_reservation
    from workers.supervisor.devices import GPU
    from workers.supervisor.worker import main

    gpu_reservation.RESERVATION_DELAY = RESERVATION_DELAY
    gpus = [GPU(uuid, "Simulated", 0, TOTAL_BYTES, UTILIZATION) for uuid in UUIDS]
    main(lambda: gpus, "tests.integration.workers.trains_on_gpus")
