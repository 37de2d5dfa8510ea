"""Rules for input fields and the words in which a refusal is explained."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic_core import PydanticCustomError

from bapsang_api.kit.problem import FieldError, InvalidInput

_RULE: Final = "rule"
_MESSAGES: Final = {
    "missing": "필수 값입니다.",
    "json_invalid": "JSON 형식이 올바르지 않습니다.",
    "string_type": "문자열이어야 합니다.",
    "int_parsing": "정수여야 합니다.",
    "int_parsing_size": "정수여야 합니다.",
    "int_from_float": "정수여야 합니다.",
    "int_type": "정수여야 합니다.",
    "model_attributes_type": "JSON 객체여야 합니다.",
    "model_type": "JSON 객체여야 합니다.",
    "list_type": "배열이어야 합니다.",
    "dict_type": "JSON 객체여야 합니다.",
}


def refuse(message: str) -> PydanticCustomError:
    """Return the error that a field rule raises; `message` reaches the client as it is."""
    return PydanticCustomError(_RULE, "{message}", {"message": message})


def well_formed(value: str) -> str:
    """Return text in NFC: otherwise one visible letter could be several characters, and equal names different ones.

    Refuses lone surrogates, which JSON can spell but no encoding can store.
    """
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise refuse("올바른 유니코드 문자열이어야 합니다.")
    return unicodedata.normalize("NFC", value)


def text_between(shortest: int, longest: int) -> Callable[[str], str]:
    """Return a rule for well-formed text of that many characters, not only white space."""
    message = f"{shortest}자 이상 {longest}자 이하여야 합니다."

    def check(value: str) -> str:
        value = well_formed(value)
        if not shortest <= len(value) <= longest or not value.strip():
            raise refuse(message)
        return value

    return check


def matching(pattern: str, message: str) -> Callable[[str], str]:
    """Return a rule for text that is well-formed and matches `pattern` as a whole."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        value = well_formed(value)
        if compiled.fullmatch(value) is None:
            raise refuse(message)
        return value

    return check


def empty_as_absent(value: object) -> object:
    """Clients send `?size=&cursorId=`: an empty parameter counts as absent."""
    return None if value == "" else value


def invalid_input(errors: Iterable[Mapping[str, Any]]) -> InvalidInput:
    """Return the 400 for the framework's validation errors, without a word of the input itself."""
    return InvalidInput(*(FieldError(_field(error), _message(error)) for error in errors))


def _field(error: Mapping[str, Any]) -> str:
    where = [str(part) for part in error["loc"]]
    if error["type"] == "json_invalid" or len(where) == 1:
        return where[0]
    return ".".join(where[1:])


def _message(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == _RULE:
        return str(context["message"])
    if kind == "greater_than_equal":
        return f"{context['ge']} 이상이어야 합니다."
    if kind == "less_than_equal":
        return f"{context['le']} 이하여야 합니다."
    if kind == "too_long":
        return f"{context['max_length']}개 이하여야 합니다."
    return _MESSAGES.get(kind, "올바르지 않은 값입니다.")
