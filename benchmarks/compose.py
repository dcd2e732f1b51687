"""Measure the containers: sizes of images, seconds to build, to start, and from there to the first step of a job."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import fitqueue
from benchmarks.common import cnn_job, console, report, require_success, wait_for_first_step
from benchmarks.containers import API_IMAGE, IMAGE, WORKER_IMAGE, Deployment, deployment, run
from fitqueue.errors import Unreachable
from fitqueue.views import JobView


def measure_seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def megabytes(image: str) -> float:
    """Return the size of an image, unpacked and with its base image."""
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def change_code(deployed: Deployment) -> None:
    """Change a line of the service, so that its images must be built again."""
    with (deployed.folder / "service" / "app.py").open("a") as file:
        file.write("# changed\n")


def seconds_to_first_step(deployed: Deployment, workers: int) -> float:
    """Return the seconds from `up`, with only the images there; the job is sent as soon as the API accepts it."""
    began = time.perf_counter()
    deployed.compose("up", "--detach", "--scale", f"worker={workers}")
    with deployed.client() as client:
        job = submit_when_ready(client)
        wait_for_first_step(client, job)
        seconds = time.perf_counter() - began
        require_success(client.wait(job.id))
    return seconds


def submit_when_ready(client: fitqueue.Client) -> JobView:
    while True:
        with suppress(Unreachable):
            return client.submit(cnn_job("digits", epochs=3))


def base_image_arguments() -> list[str]:
    """Return the build argument that selects the base image as Compose does: that of the environment, if it is set."""
    return [f"BASE_IMAGE={os.environ['BASE_IMAGE']}"] if "BASE_IMAGE" in os.environ else []


def measure_gpu_image(deployed: Deployment) -> dict[str, float]:
    tag = f"{IMAGE}-worker:gpu"
    arguments = [f"--build-arg={name}" for name in ("REQUIREMENTS=worker-gpu", *base_image_arguments())]
    build = ["docker", "build", "--no-cache", "--tag", tag, *arguments, "."]
    seconds = measure_seconds(lambda: run(*build, cwd=deployed.folder))
    size = megabytes(tag)
    run("docker", "image", "rm", tag)
    return {"gpu_build_seconds": seconds, "gpu_megabytes": size}


def measure(deployed: Deployment, workers: int) -> dict[str, float]:
    figures = {"build_seconds": measure_seconds(lambda: deployed.compose("build", "--no-cache"))}
    change_code(deployed)
    figures["rebuild_seconds"] = measure_seconds(lambda: deployed.compose("build"))
    figures |= {f"{image}_megabytes": megabytes(image) for image in (API_IMAGE, WORKER_IMAGE)}
    figures["up_seconds"] = measure_seconds(lambda: deployed.up(workers))
    deployed.down()
    figures["first_step_seconds"] = seconds_to_first_step(deployed, workers)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="how many workers are started")
    parser.add_argument("--gpu", action="store_true", help="build the GPU image, too; this downloads gigabytes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder, deployment(Path(folder)) as deployed:
        console.print("Building the images, then starting them twice …")
        figures = measure(deployed, options.workers)
        if options.gpu:
            figures |= measure_gpu_image(deployed)
    rows = [(name.replace("_", " "), f"{value:,.1f}") for name, value in figures.items()]
    report("compose", rows, {"workers": options.workers, **figures})


if __name__ == "__main__":
    main()
