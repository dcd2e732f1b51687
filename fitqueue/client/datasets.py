"""The data sets of a service."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from fitqueue.client import files
from fitqueue.client.base import ClientBase
from fitqueue.client.wrong_types import not_a_file
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.views import DatasetPreview, DatasetView


class DatasetMethods(ClientBase):
    """The methods of `Client` about data sets."""

    def upload(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        project: str = DEFAULT_PROJECT,
        on_progress: files.OnProgress | None = None,
    ) -> DatasetView:
        """Upload a data set: an `.npz` of arrays, or a single `.npy`. What the service already has is not sent.

        Weights for `initial_weights` are uploaded in the same way: a `.weights.h5`, a `.keras` or a legacy `.h5`.

        Args:
            path: the file.
            name: the name by which jobs refer to it. Without one, it is deleted when it has not been used for a while.
            project: the project that it belongs to. Whoever sees the project sees the data set.
            on_progress: called with the bytes that have been sent and the bytes in all.

        Returns:
            The data set: the new one, or the one of the project that already has this content and name.

        Raises:
            TypeError: `path` is something else; says what to do with it.
            InvalidDataset: the file is not an `.npz` of arrays, or has no array of plain numbers.
            NameTaken: another data set of the project already has this name.
            ProjectNotFound: there is no project with this name that you see.
            BodyTooLarge: the file is larger than the service accepts.
        """
        if not isinstance(path, str | os.PathLike):
            raise not_a_file(path)
        existing = self.find_dataset(files.sha256_of(Path(path)), name, project=project)
        return existing or files.upload(self._transport, Path(path), name, on_progress, project=project)

    def find_dataset(self, sha256: str, name: str | None = None, *, project: str | None = None) -> DatasetView | None:
        """Return the oldest data set with this content; None if the service has none. It takes one request.

        Args:
            sha256: the sha256 of a file, as it was uploaded.
            name: the name that the data set must have; by default any, or none.
            project: the project that it must belong to; by default any that you see.
        """
        filters = {"sha256": sha256, "project": project}
        found = list(self._pages("/datasets", DatasetView, _present(filters)))
        return next((dataset for dataset in reversed(found) if name in {None, dataset.name}), None)

    def datasets(
        self,
        *,
        unnamed: bool = False,
        owner: str | None = None,
        project: str | None = None,
        submitted_by: str | None = None,
    ) -> Iterator[DatasetView]:
        """Yield the data sets that pass all filters; without any, all that you see, the built-in ones first.

        Args:
            unnamed: those that were uploaded without a name, too.
            owner: only those of the user with this name.
            project: only those of the project with this name.
            submitted_by: only those that were uploaded with a token of this name.
        """
        filters = {
            "unnamed": "true" if unnamed else None,
            "owner": owner,
            "project": project,
            "submitted_by": submitted_by,
        }
        return self._pages("/datasets", DatasetView, _present(filters))

    def dataset(self, name_or_id: str) -> DatasetView:
        """Return one data set.

        Raises:
            DatasetNotFound: there is no data set with this id or name.
        """
        return DatasetView.model_validate_json(self._call("GET", _dataset_path(name_or_id)))

    def preview_dataset(self, name_or_id: str, array: str, *, first: int = 0, rows: int = 20) -> DatasetPreview:
        """Return some rows of an array of a data set.

        Args:
            name_or_id: the data set: uploaded, or a built-in one that comes with the package.
            array: the name of the array.
            first: the index of the first row.
            rows: how many rows to return, 100 at most. There are fewer if they have too many values.

        Raises:
            DatasetNotFound: there is no data set with this id or name.
            ArrayNotFound: it has no array with this name, or the service does not have its values.
            InvalidRequest: the rows are too far from the beginning of a compressed array.
        """
        params = {"array": array, "first": first, "rows": rows}
        answer = self._call("GET", f"{_dataset_path(name_or_id)}/preview", params=params)
        return DatasetPreview.model_validate_json(answer)

    def delete_dataset(self, name_or_id: str) -> None:
        """Delete an uploaded data set.

        Raises:
            DatasetNotFound: there is no data set with this id or name.
            DatasetInUse: a job that has not ended needs it.
            Forbidden: it belongs to somebody else, and you are not an admin.
        """
        self._call("DELETE", _dataset_path(name_or_id), repeatable=False)


def _dataset_path(name_or_id: str) -> str:
    return f"/datasets/{quote(name_or_id, safe='')}"


def _present(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value}
