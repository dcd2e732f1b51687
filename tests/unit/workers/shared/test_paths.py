from pathlib import Path

from workers.shared.paths import Attempt, attempt_dir, attempt_of


def test_a_directory_tells_its_attempt() -> None:
    assert attempt_of(attempt_dir(Path("work"), "job_1", 12)) == Attempt("job_1", 12)


def test_other_directories_are_no_attempts() -> None:
    assert [attempt_of(Path(name)) for name in ("lock", "job_1", "job_1.x", ".3", "job_1.")] == [None] * 5
