"""Files of manifests are read as kubectl reads them, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bapsang_operator.offline import documents
from bapsang_operator.offline.documents import MAX_BYTES, MAX_DEPTH, MAX_VALUES, UnreadableError


def _read(text: str) -> Any:
    found = documents.read(text.encode())
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1", 1),
        ("-12", -12),
        ("+3", 3),
        ("0x1F", 31),
        ("0755", 493),
        ("0o17", 15),
        ("0b101", 5),
        ("1_000", 1000),
        ("08", 8.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("9223372036854775808", 9223372036854775808.0),
        ("1:30", "1:30"),
        ("2026-11-27T17:30:00+09:00", "2026-11-27T17:30:00+09:00"),
        ("2026-11-27", "2026-11-27"),
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("~", None),
        ("Null", None),
        ("", None),
        ("nothing", "nothing"),
        ('"1"', "1"),
        ("'yes'", "yes"),
        ("!!str 1", "1"),
        ("!!int 7", 7),
        ("! 7", "7"),
        ("[x]", ["x"]),
        ("1" * 400, "1" * 400),
        ("밥상", "밥상"),
    ],
)
def test_scalar_means_what_it_means_to_kubectl(written: str, meant: Any) -> None:
    found = _read(f"value: {written}")
    assert found == {"value": meant}
    assert type(found["value"]) is type(meant)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "no YAML"),
        ("a: .nan", ".nan"),
        ("a: -.inf", ".inf"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1e999}', "too large"),
        ("a: !!python/object:os.system x", "tag"),
        ("a: !custom {}", "tag"),
        ("a: !!int x", "tag"),
        ("{[1]: 2}", "as a key"),
        ("? {a: 1}\n: 2", "as a key"),
        ("~: 1", "as a key"),
        ("a: 1\na: 2", "twice"),
        ("a: &x [*x]", "anchor"),
        ("a: *x", "anchor"),
        ("<<: 1", "merges"),
        ("a: \x00", "no YAML"),
        ("a: \tb:\t- c: [}", "no YAML"),
        ("[" * 200_000, "deep"),
        ('{"a":' * 200_000, "deep"),
        ('{"a": ' + "[" * 99_999 + "]" * 99_999 + "}", "deep"),
        ('{"a": [' + "1," * MAX_VALUES + "1]}", "values"),
        ("a: [" + "1," * MAX_VALUES + "]", "values"),
        ("a" * (MAX_BYTES + 1), "bytes"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_json_could_not_carry_is_refused(text: str, words: str) -> None:
    with pytest.raises(UnreadableError, match=words.replace(".", r"\.")):
        documents.read(text.encode())


@pytest.mark.parametrize("digits", [19, 20, 24, 25, 300, 5000])
def test_number_beyond_an_int64_is_a_float_or_refused(digits: int) -> None:
    for text in ("9" * digits, "-" + "9" * digits):
        if digits < 300:
            assert _read(f'{{"value": {text}}}') == {"value": float(text)} == _read(f"value: {text}")
        elif digits > 400:
            assert _read(f"value: {text}") == {"value": text}
            with pytest.raises(UnreadableError, match="too large"):
                documents.read(f'{{"value": {text}}}'.encode())


def test_aliases_within_aliases_are_counted_as_often_as_they_are_named() -> None:
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    with pytest.raises(UnreadableError, match=str(MAX_VALUES)):
        documents.read("\n".join(["a0: &a0 lol", *levels]).encode())
    assert _read("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}


def test_merge_key_gives_way_to_the_keys_of_its_object() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 0"
    assert _read(text)["z"] == {"a": 0, "b": 1, "c": 2}
    assert _read('"<<": 1') == {"<<": 1}


def test_documents_of_a_file_are_told_apart_and_empty_ones_left_out() -> None:
    assert documents.read(b"---\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n") == [{"a": 1}, {"b": 2}]
    assert documents.read(b"") == []
    assert documents.read(b'{"a": "\\ud83c\\udf5a \\ud83c"}') == [{"a": "🍚 \N{REPLACEMENT CHARACTER}"}]
    assert documents.read(b"{a: 1}\n---\n{b: 2}") == [{"a": 1}, {"b": 2}]
    assert documents.read("a: 밥".encode("utf-16")) == [{"a": "밥"}]


def test_deepest_nesting_that_is_read() -> None:
    depth = MAX_DEPTH - 1
    assert documents.read(("a: " + "[" * depth + "]" * depth).encode())
    with pytest.raises(UnreadableError, match="deep"):
        documents.read(("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH).encode())


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=st.dictionaries(st.text(), _VALUES, max_size=4))
@settings(max_examples=100, deadline=None)
def test_whatever_json_is_written_as_is_read_back_from_json_and_from_yaml(value: dict[str, Any]) -> None:
    assert documents.read(json.dumps(value).encode()) == [value]
    # In quotes and with tags: plain scalars mean other things to PyYAML than to kubectl (`y`).
    (found,) = documents.read(yaml.safe_dump(value, default_style='"').encode())
    assert found == value


@given(
    content=st.binary(max_size=200) | st.text(alphabet="-:[]{}&*!|>'\"%@`#,? \n\tab0<~.", max_size=80).map(str.encode)
)
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        found = documents.read(content)
    except UnreadableError as error:
        found = [str(error)]
    assert json.dumps(found, allow_nan=False)
