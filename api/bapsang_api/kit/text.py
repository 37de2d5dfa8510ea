"""Text that clients write: how much of it is read, in which form it is stored, when it is blank, when two names are the same.

Pure, without the framework, because the functions in the cloud follow the same rules. Every rule looks at the length before it
does anything else: sorting a run of n combining marks takes n² steps, in all interpreters but the latest patch releases.
"""

import re
import string
import unicodedata
from typing import Final

RAW_PER_CHARACTER: Final = 4  # a name typed on a Mac comes decomposed: up to three code points a Hangul syllable
MOST_MARKS: Final = 30  # in a row, as in the stream-safe text format of UAX #15
_TOO_MANY_MARKS: Final = re.compile(rb"[^\0]{%d}" % (MOST_MARKS + 1))
# The characters that are nothing but two marks. Three of them have the combining class 0 themselves: counted by that, a run of
# them would have no end.
_TWO_MARKS: Final = re.compile("[\u0344\u0f73\u0f75\u0f81]")
# White space, control and format characters, surrogates.
_UNDRAWN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# Combining characters: alone they are nothing.
_MARKS: Final = frozenset({"Mc", "Me", "Mn"})
# Hangul fillers, the blank Braille pattern and the null note head are letters and symbols, and drawn as nothing. The others
# are not assigned, but reserved for what is not drawn.
_FILLERS: Final = re.compile("[\u115f\u1160\u2065\u2800\u3164\uffa0\ufff0-\ufff8\U0001d159\U000e0000-\U000e0fff]")
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Eighteen digits are more than any number here needs. Python's int() takes other scripts, signs, spaces and underscores as well,
# and raises an error of its own for more than 4,300 digits.
_DECIMAL: Final = re.compile("0|[1-9][0-9]{0,17}", re.ASCII)


def bounded(value: str, most: int, refusal: str) -> str:
    """Return text of at most `most` code points that can be encoded, as it is. Raises ValueError, with `refusal` for its length.

    JSON can spell lone surrogates, which no encoding can store.
    """
    if len(value) > most:
        raise ValueError(refusal)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("올바른 유니코드 문자열이어야 합니다.") from error
    return value


def normalised(value: str, longest: int, refusal: str) -> str:
    """Return text in NFC, in which equal text is equal: otherwise one visible letter could be several characters.

    Raises ValueError, with `refusal` for more than RAW_PER_CHARACTER code points a character of the `longest` text that is
    allowed (what comes back may still be longer than `longest`), and for more than MOST_MARKS marks in a row: characters whose
    canonical combining class is not 0, one that decomposes into two marks counted as two. So the longest run that has to be
    sorted is that and the marks, at most three, that the letter before it decomposes into.
    """
    value = bounded(value, RAW_PER_CHARACTER * longest, refusal)
    if value.isascii():
        return value
    if _TOO_MANY_MARKS.search(bytes(map(unicodedata.combining, _TWO_MARKS.sub("\u0301\u0301", value)))):
        raise ValueError(f"결합 문자는 {MOST_MARKS}개까지만 이어 쓸 수 있습니다.")
    return unicodedata.normalize("NFC", value)


def required(value: str, shortest: int, longest: int) -> str:
    """Return text in NFC that has so many characters and at least one that can be seen. Raises ValueError."""
    refusal = f"{shortest}자 이상 {longest}자 이하여야 합니다."
    value = normalised(value, longest, refusal)
    if not shortest <= len(value) <= longest or not any(map(_is_seen, value)):
        raise ValueError(refusal)
    return value


def trimmed(word: str) -> str:
    """Return a word without what is not drawn at its ends. Marks stay: at the end of a word they belong to its last letter."""
    begin, end = 0, len(word)
    while begin < end and _is_undrawn(word[begin]):
        begin += 1
    while begin < end and _is_undrawn(word[end - 1]):
        end -= 1
    return word[begin:end]


def folded(name: str) -> str:
    """Return what all spellings of one name (an e-mail, a nickname, a tag) have in common: two are the same if these are equal.

    Only the case of ASCII letters does not matter. Databases have notions of their own: for MySQL's collation `é` is `e`, and
    control characters are nothing.
    """
    return name.translate(_LOWER)


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) not in _MARKS and not _is_undrawn(character)


def _is_undrawn(character: str) -> bool:
    return unicodedata.category(character) in _UNDRAWN or _FILLERS.match(character) is not None


def number_of(text: str) -> int:
    """Return the number that ASCII digits without a leading zero spell. Raises ValueError for any other text."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("no decimal number")
    return int(text)
