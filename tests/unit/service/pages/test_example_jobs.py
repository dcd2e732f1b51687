from pathlib import Path

from service.pages import example_jobs

EXAMPLES = Path(__file__).parents[4] / "examples"


def test_the_package_carries_the_examples_as_they_are() -> None:
    carried = example_jobs.texts()
    assert carried == {path.stem: path.read_text("utf-8") for path in EXAMPLES.glob("*.json")}
    assert next(iter(carried)) == example_jobs.QUICKEST
