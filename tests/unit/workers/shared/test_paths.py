"""The directories of attempts."""

from pathlib import Path

from workers.shared.paths import Attempt, attempt_dir, attempt_of


def test_the_directory_of_an_attempt_names_it() -> None:
    assert attempt_of(attempt_dir(Path("work"), "job_1", 12)) == Attempt("job_1", 12)


def test_other_directories_do_not_belong_to_an_attempt() -> None:
    assert [attempt_of(Path(name)) for name in ("lock", "job_1", "job_1.x", ".3", "job_1.")] == [None] * 5
