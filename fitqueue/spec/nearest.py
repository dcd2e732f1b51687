"""The known word that was probably meant, for a suggestion in a message. Pure functions."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Final

_MAX_WORD: Final = 64
_MAX_LETTERS: Final = 16_000
"""How many letters of known words are compared: the names of layers are a user's, and may be many, long and alike."""
_MAX_ERRORS: Final = 3
_SIMILAR: Final = 0.6
_ABBREVIATIONS: Final = {
    "rmse": "RootMeanSquaredError",
    "f1": "F1Score",
    "r2": "R2Score",
    "topk": "TopKCategoricalAccuracy",
    "auroc": "AUC",
    "rocauc": "AUC",
    "iou": "MeanIoU",
    "bn": "BatchNormalization",
    "batchnorm": "BatchNormalization",
    **dict.fromkeys(["pool", "pooling", "maxpool", "maxpooling"], "MaxPooling2D"),
    "avgpool": "AveragePooling2D",
    "gap": "GlobalAveragePooling2D",
}
_SEPARATORS: Final = str.maketrans("", "", "_- .")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant; None if there is none.

    First come the words that are a few typing errors away, then those that look similar. Case and separators do not
    count, so `max_pooling_2d` is `MaxPooling2D`. Before both come abbreviations that everybody knows, such as `rmse`.
    Where there is a word for each number of dimensions, that for two is taken: `Conv` is `Conv2D`.
    """
    words = list(_first(known))
    by_plain = {_plain(name): name for name in words}
    plain = _plain(word)
    if plain not in by_plain and (meant := _ABBREVIATIONS.get(plain, by_plain.get(f"{plain}2d"))) in words:
        return meant
    guess = near_miss(word, words) or _similar(word, words)
    if guess is None and "." in word:
        return nearest(word.rpartition(".")[2], words)  # `keras.optimizers.Adam`
    has_digit = any(letter.isdigit() for letter in word)
    return guess if guess is None or has_digit else by_plain.get(_plain(re.sub("[13]D", "2D", guess)), guess)


def near_miss(word: str, known: Iterable[str]) -> str | None:
    """Return the known word with the fewest typing errors, at most one for each four letters; None without one."""
    plain = _plain(word)
    limit = min(max(1, len(plain) // 4), _MAX_ERRORS, len(plain) - 1)
    by_distance: dict[int, list[str]] = {}
    for name in _first(known):
        by_distance.setdefault(edit_distance(plain, _plain(name), limit), []).append(name)
    fewest = min(by_distance, default=limit + 1)
    return max(by_distance[fewest], key=lambda name: _likeness(word, name)) if fewest <= limit else None


def edit_distance(word: str, other: str, limit: int) -> int:
    """Return how many letters to insert, delete or replace, or neighbours to swap, to make one word of the other.

    No part is changed twice (the «optimal string alignment» distance).

    Args:
        limit: the highest distance of interest; one more stands for all above it.
    """
    if abs(len(word) - len(other)) > limit:
        return limit + 1
    before, row = [limit + 1] * (len(other) + 1), [min(j, limit + 1) for j in range(len(other) + 1)]
    for i, letter in enumerate(word):
        last, before, row = before, row, [min(i, limit) + 1] + [limit + 1] * len(other)
        for j in range(max(0, i - limit), min(len(other), i + limit + 1)):
            cost = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != other[j]))
            if i and j and letter == other[j - 1] and word[i - 1] == other[j]:
                cost = min(cost, last[j - 1] + 1)
            row[j + 1] = min(cost, limit + 1)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def _similar(word: str, known: Iterable[str]) -> str | None:
    by_plain = {_plain(name): name for name in known}
    matches = difflib.get_close_matches(_plain(word), by_plain, n=1, cutoff=_SIMILAR)
    return by_plain[matches[0]] if matches else None


def _first(known: Iterable[str]) -> Iterator[str]:
    letters = 0
    for name in known:
        letters += len(name)
        if letters > _MAX_LETTERS:
            return
        yield name


def _plain(word: str) -> str:
    """Return the word without what does not count; the word itself if nothing else would be left."""
    return word[:_MAX_WORD].lower().translate(_SEPARATORS) or word[:_MAX_WORD]


def _likeness(word: str, other: str) -> float:
    return difflib.SequenceMatcher(None, word[:_MAX_WORD], other[:_MAX_WORD]).ratio()
