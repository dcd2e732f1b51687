"""Two workers share the GPUs of one machine. Each GPU has one job at a time, and other jobs see no GPU."""

import itertools
import subprocess
import tempfile
import time
from pathlib import Path

import fitqueue
from benchmarks.gpu_trial.observations import job_without_xla, observe
from fitqueue.states import EventKind
from service.stack import Stack


def try_claims(stack: Stack, client: fitqueue.Client, gpus: list[str]) -> None:
    """Start a second worker, and submit three jobs that need the first GPU and one that does not."""
    gpu_count = len(gpus[:1])
    program = stack._programs["worker"]
    with tempfile.TemporaryFile() as log:
        second_worker = subprocess.Popen(
            program.command, env=dict(program.environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            while sum(worker.alive for worker in client.workers()) < 2:
                time.sleep(0.2)
            observe("two workers", workers=[(worker.id, worker.devices, worker.gpus) for worker in client.workers()])
            gpu_jobs = [client.submit(job_without_xla(15, gpu_count)).id for _ in range(3)]
            cpu_job = client.submit(job_without_xla(15, 0)).id
            _watch_jobs(stack, client, [*gpu_jobs, cpu_job])
            _observe_runs(client, gpu_jobs, cpu_job)
        finally:
            second_worker.terminate()
            second_worker.wait(30)


def _watch_jobs(stack: Stack, client: fitqueue.Client, job_ids: list[str]) -> None:
    """Until the jobs have ended, observe how many GPUs are held, and how many each job's process has open."""
    held: list[int] = []
    open_gpus: dict[str, int] = {}
    while any(not client.get(job_id).state.is_final for job_id in job_ids):
        held.append(sum(len(worker.gpus_held) for worker in client.workers()))
        for job_id, pid in training_processes(stack).items():
            open_gpus[job_id] = max(_count_open_gpus(pid), open_gpus.get(job_id, 0))
        time.sleep(0.2)
    observe("GPUs held at the same time", max=max(held, default=0), samples=len(held))
    observe("GPU devices that each job had open", max=open_gpus)


def _observe_runs(client: fitqueue.Client, gpu_jobs: list[str], cpu_job: str) -> None:
    for job_id in [*gpu_jobs, cpu_job]:
        job = client.get(job_id)
        claims = [event.data for event in client.events(job_id) if event.kind is EventKind.CLAIMED]
        times = {"started_at": job.started_at, "finished_at": job.finished_at}
        observe("a job ended", job=job_id, state=str(job.state), claims=claims, **times)
    runs = sorted((job.started_at, job.finished_at) for job in map(client.get, gpu_jobs))
    overlaps = [later[0] < earlier[1] for earlier, later in itertools.pairwise(runs)]
    observe("whether jobs on the GPU overlap", overlaps=overlaps)


def training_processes(stack: Stack) -> dict[str, int]:
    """Return the pid of each job's training process, from the files that workers write for the reaper."""
    processes = {}
    for note in Path(stack.folder, "work").glob("*/*/process"):
        try:
            processes[note.parent.name.rpartition(".")[0]] = int(note.read_text().split()[0])
        except (OSError, ValueError, IndexError):  # the attempt has just ended
            continue
    return processes


def _count_open_gpus(pid: int) -> int:
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            count += str(descriptor.readlink()).startswith("/dev/nvidia")
        except OSError:
            continue
    return count
