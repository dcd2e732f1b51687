"""The manifest of a backup."""

from datetime import UTC, datetime

from service.backup.manifest import Manifest, SavedFile, SavedTable, name_of


def test_names_sort_by_time() -> None:
    times = [datetime(2026, 11, 28, 2, 0, 0, microsecond, UTC) for microsecond in (0, 999, 1000, 20_000, 999_999)]
    names = [name_of(time) for time in [*times, datetime(2026, 11, 28, 2, 0, 1, 0, UTC)]]
    assert names[0] == "20261128T020000.000Z"
    assert names == sorted(names)


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = Manifest(
        created_at=datetime(2026, 11, 28, 2, tzinfo=UTC),
        revision="0014",
        fitqueue="0.1.0",
        storage_id="st_1",
        tables=(SavedTable(name="jobs", rows=3, size=10, sha256="a" * 64),),
        files=(SavedFile(key="datasets/ds_1.npz", size=20, sha256="b" * 64),),
        missing=("datasets/ds_2.npz",),
    )
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert (manifest.rows_of("jobs"), manifest.rows_of("events"), manifest.file_bytes) == (3, 0, 20)
