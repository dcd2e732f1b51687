"""Measure the containers: sizes of images, seconds to build, to start, and from there to the first step of a job."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import fitqueue
from benchmarks.common import cnn_job, console, report, succeeded, until_first_step
from benchmarks.containers import API_IMAGE, IMAGE, WORKER_IMAGE, Deployment, deployment, run
from fitqueue.errors import Unreachable
from fitqueue.views import JobView


def seconds_of(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def megabytes(image: str) -> float:
    """Return the size of an image, unpacked and with its base image."""
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def change_code(deployed: Deployment) -> None:
    with (deployed.folder / "service" / "app.py").open("a") as file:
        file.write("# changed\n")


def seconds_to_first_step(deployed: Deployment, workers: int) -> float:
    """Return the seconds from `up`, with only the images there; the job is sent as soon as the API accepts it."""
    began = time.perf_counter()
    deployed.compose("up", "--detach", "--scale", f"worker={workers}")
    with deployed.client() as client:
        job = submitted(client)
        until_first_step(client, job)
        seconds = time.perf_counter() - began
        succeeded(client.wait(job.id))
    return seconds


def submitted(client: fitqueue.Client) -> JobView:
    while True:
        with suppress(Unreachable):
            return client.submit(cnn_job("digits", epochs=3))


def base_image() -> list[str]:
    """Return the base image that Compose uses: that of the environment, or else that of the Dockerfile."""
    return [f"BASE_IMAGE={os.environ['BASE_IMAGE']}"] if "BASE_IMAGE" in os.environ else []


def gpu_figures(deployed: Deployment) -> dict[str, float]:
    tag = f"{IMAGE}-worker:gpu"
    arguments = [f"--build-arg={name}" for name in ("REQUIREMENTS=worker-gpu", *base_image())]
    build = ["docker", "build", "--no-cache", "--tag", tag, *arguments, "."]
    seconds = seconds_of(lambda: run(*build, cwd=deployed.folder))
    size = megabytes(tag)
    run("docker", "image", "rm", tag)
    return {"gpu_build_seconds": seconds, "gpu_megabytes": size}


def measure(deployed: Deployment, workers: int) -> dict[str, float]:
    figures = {"build_seconds": seconds_of(lambda: deployed.compose("build", "--no-cache"))}
    change_code(deployed)
    figures["rebuild_seconds"] = seconds_of(lambda: deployed.compose("build"))
    figures |= {f"{image}_megabytes": megabytes(image) for image in (API_IMAGE, WORKER_IMAGE)}
    figures["up_seconds"] = seconds_of(lambda: deployed.up(workers))
    deployed.down()
    figures["first_step_seconds"] = seconds_to_first_step(deployed, workers)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--gpu", action="store_true", help="build the GPU image, too: gigabytes to download")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder, deployment(Path(folder)) as deployed:
        console.print("Building the images, then starting them twice …")
        figures = measure(deployed, options.workers)
        if options.gpu:
            figures |= gpu_figures(deployed)
    rows = [(name.replace("_", " "), f"{value:,.1f}") for name, value in figures.items()]
    report("compose", rows, {"workers": options.workers, **figures})


if __name__ == "__main__":
    main()
