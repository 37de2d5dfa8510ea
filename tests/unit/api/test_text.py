"""Text and numbers that clients write: bounds come first, one form is stored, and what cannot be seen is no text."""

import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bapsang_api.kit import text
from bapsang_api.kit.clock import from_wire
from bapsang_api.kit.text import number_of
from bapsang_api.uploads import rules

INVISIBLE = (
    *"\u3164\u200b\u00ad\ufeff\u2060\u115f\u1160\uffa0\u2800\u034f\u180e\u202e\ufe0f\u0301\u0b3e \t\n\u3000\u0000",
    "\U000e0041",
)
SEEN = ("a", "밥", "!", "👍", "👩‍👩‍👧", "❤️", "e\u0301", "한\u200b글", "\u00ad밥\u00ad", "ㅋㅋ", "\u1112\u1161\u11ab")


@pytest.mark.parametrize("letter", INVISIBLE)
def test_text_that_nobody_can_see_is_none(letter: str) -> None:
    for value in (letter, letter * 9, f" {letter}\u200b\u3164"):
        with pytest.raises(ValueError, match="1자 이상 10자 이하여야 합니다"):
            text.required(value, 1, 10)


@pytest.mark.parametrize("value", SEEN)
def test_text_with_something_to_see_stays_as_it_is_but_for_its_form(value: str) -> None:
    assert text.required(value, 1, 10) == unicodedata.normalize("NFC", value)
    assert text.required(f"\u200b{value}\u3164", 1, 20) == f"\u200b{unicodedata.normalize('NFC', value)}\u3164"


def test_a_name_typed_on_a_mac_may_be_as_long_as_any_other() -> None:
    name = "각" * 255
    decomposed = unicodedata.normalize("NFD", name)
    assert len(decomposed) == 3 * 255
    assert text.required(decomposed, 1, 255) == name
    assert rules.checked_file_name(decomposed) == name
    with pytest.raises(ValueError, match="255자 이하"):
        text.required(decomposed + "a", 1, 255)


class Normalising:
    """`unicodedata`, and how long the texts were that it normalised."""

    combining, category = staticmethod(unicodedata.combining), staticmethod(unicodedata.category)

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def normalize(self, form: Literal["NFC"], value: str) -> str:
        self.lengths.append(len(value))
        return unicodedata.normalize(form, value)


def test_text_of_more_than_four_times_its_limit_is_never_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    normalising = Normalising()
    monkeypatch.setattr(text, "unicodedata", normalising)
    with pytest.raises(ValueError, match="10자"):
        text.required("é" * 40, 1, 10)
    for long in ("é" * 41, "a" + "\u0300" * 6_000 + "\u0316" * 6_000):
        with pytest.raises(ValueError, match="10자"):
            text.required(long, 1, 10)
    assert normalising.lengths == [40]


@pytest.mark.parametrize("mark", ["\u0300", "\u0316", "\u0301\u0316", "\u0344", "\u0f73", "\u0f75", "\u0f81", "\u05b0"])
def test_no_run_of_marks_is_longer_than_thirty(mark: str) -> None:
    """Sorting a run takes the square of its length. Three Tibetan vowels have the class 0 and decompose into two marks."""
    marks = len(unicodedata.normalize("NFD", mark))
    fits = "a" + mark * (text.MOST_MARKS // marks)
    assert text.normalised(fits * 20, 10_000, "") == unicodedata.normalize("NFC", fits * 20)
    for run in (fits + mark, mark * 31, "각" + mark * 31 + "각"):
        with pytest.raises(ValueError, match="30개"):
            text.normalised(run, 10_000, "")


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\u0300\u0316\u0344\u0f73\u0f81\u1fb7"), max_size=200))
def test_what_is_normalised_never_has_a_long_run_to_sort(value: str) -> None:
    try:
        text.normalised(value, 1_000, "")
    except ValueError:
        return
    run = longest = 0
    for character in unicodedata.normalize("NFD", value):
        run = run + 1 if unicodedata.combining(character) else 0
        longest = max(longest, run)
    assert longest <= text.MOST_MARKS + 3  # those of the letter before it


def test_no_letter_decomposes_into_more_marks_than_are_counted() -> None:
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code))
        if parts and not parts.startswith("<"):
            classes = [unicodedata.combining(part) for part in unicodedata.normalize("NFD", chr(code))]
            if all(classes):
                assert len(classes) == (2 if text._TWO_MARKS.match(chr(code)) else 1)
            else:
                assert classes[0] == 0
                assert sum(map(bool, classes)) <= 3


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(ValueError, match="유니코드"):
        text.required("밥\ud800", 1, 10)


def test_two_names_are_the_same_only_by_the_case_of_ascii_letters() -> None:
    assert text.folded("Alice@Example.COM") == text.folded("alice@example.com")
    for other in ("álice@example.com", "\u212ajm@example.com", "a\u0001lice@example.com", "alıce@example.com"):
        assert text.folded(other) == other
    assert text.folded("밥Bap") == "밥bap"


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("7", 7), ("100", 100), ("9" * 18, 10**18 - 1)])
def test_decimal_digits_are_a_number(value: str, number: int) -> None:
    assert number_of(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        "07",
        "+7",
        "-7",
        " 7",
        "7 ",
        "7\n",
        "1_0",
        "７",
        "٣",
        "7.0",
        "1e2",
        "0x7",
        "9" * 19,
        "9" * 4301,
        "0" * 4301,
    ],
)
def test_anything_else_is_none(value: str) -> None:
    with pytest.raises(ValueError, match="no decimal number"):
        number_of(value)


def test_a_long_time_is_refused_without_a_look() -> None:
    assert from_wire("2026-11-23T10:10:12.781554000000") == from_wire("2026-11-23T10:10:12.781554")
    for long in ("2026-11-23T10:10:12." + "7" * 4_301, "2026-11-23T10:10:12" + "0" * 100):
        with pytest.raises(ValueError, match="not an ISO"):
            from_wire(long)
