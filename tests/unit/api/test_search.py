"""What somebody searches for, taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from bapsang_api.search.query import Query, searchable


@pytest.mark.parametrize(
    ("text", "words", "grams"),
    [
        ("된장찌개", ("된장찌개",), ("된장", "장찌", "찌개")),
        ("  홍대  Pizza ", ("홍대", "Pizza"), ("홍대", "Pi", "iz", "zz", "za")),
        ("김 치찌 김", ("김", "치찌"), ("치찌",)),
        ('+된장* -"찌개"@3', ("+된장*", '-"찌개"@3'), ("된장", "찌개")),
        ("foo_bar", ("foo_bar",), ("fo", "oo", "ba", "ar")),
        ("\u200b김밥\u200b \ufeff \u3164천국\u00ad", ("김밥", "천국"), ("김밥", "천국")),
        ("👩\u200d🍳\u200d밥상", ("👩\u200d🍳\u200d밥상",), ("밥상",)),
        ("ก\u0e33ก\u0e34", ("ก\u0e33ก\u0e34",), ("ก\u0e33", "\u0e33ก")),
        ("하하하하", ("하하하하",), ("하하",)),
    ],
)
def test_text_becomes_words_and_pairs_of_letters(text: str, words: tuple[str, ...], grams: tuple[str, ...]) -> None:
    assert Query.of(text) == Query(words, grams)


@pytest.mark.parametrize("text", ["밥", "김 밥", "c++", "🍚🍚", "--", "_ _", "²²"])
def test_text_without_two_letters_in_a_row_is_refused(text: str) -> None:
    with pytest.raises(PydanticCustomError):
        searchable(text)


@given(st.text(max_size=50))
def test_operators_never_reach_the_index(text: str) -> None:
    query = Query.of(text)
    assert all(len(gram) == 2 and all(map(str.isalnum, gram)) for gram in query.grams)
    # What is looked up is in whatever holds the words.
    assert all(any(gram in word for word in query.words) for gram in query.grams)
