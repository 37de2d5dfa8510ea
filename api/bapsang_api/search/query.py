"""What somebody searches for, taken apart. Pure."""

from dataclasses import dataclass
from itertools import groupby, pairwise

from bapsang_api.http.validation import refuse
from bapsang_api.kit.text import trimmed


@dataclass(frozen=True)
class Query:
    """All of `words` must be in a text, each as it stands but for what is not drawn at its ends: pasted text carries that along.
    `grams` are the pairs of letters that then are in it as well.

    The index knows pairs only, and an operator of its language is never among them: they hold letters and digits alone.
    """

    words: tuple[str, ...]
    grams: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Query":
        words = tuple(dict.fromkeys(filter(None, map(trimmed, text.split()))))
        runs = ("".join(run) for in_word, run in groupby(" ".join(words), _in_word) if in_word)
        grams = dict.fromkeys("".join(pair) for run in runs for pair in pairwise(run))
        return cls(words, tuple(grams))


def searchable(text: str) -> str:
    """Rule for input: without two letters in a row there is nothing to look up in the index."""
    if not Query.of(text).grams:
        raise refuse("글자나 숫자가 두 개 이상 이어져야 합니다.")
    return text


def _in_word(character: str) -> bool:
    return character.isalpha() or character.isdecimal()
