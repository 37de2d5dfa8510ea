"""Rules for input fields and the words in which a refusal is explained."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from pydantic_core import PydanticCustomError

from bapsang_api.kit import text
from bapsang_api.kit.problem import FieldError, InvalidInput
from bapsang_api.kit.text import number_of

T = TypeVar("T")
V = TypeVar("V")
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


def ruled(rule: Callable[[T], V]) -> Callable[[T], V]:
    """Return the framework's form of a rule that raises ValueError with the words for the client."""

    def check(value: T) -> V:
        try:
            return rule(value)
        except ValueError as error:
            raise refuse(str(error)) from error

    return check


def text_between(shortest: int, longest: int) -> Callable[[str], str]:
    """Return a rule for text of that many characters, one of which can be seen."""
    return ruled(partial(text.required, shortest=shortest, longest=longest))


def at_most(longest: int) -> Callable[[str], str]:
    """Return a rule for text that is compared as it is, such as a key: nothing is done with more than `longest` code points."""
    return ruled(partial(text.bounded, most=longest, refusal=f"{longest}자 이하여야 합니다."))


def matching(pattern: str, longest: int, message: str) -> Callable[[str], str]:
    """Return a rule for text that in NFC has at most `longest` characters and matches `pattern` as a whole."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        value = text.normalised(value, longest, message)
        if len(value) > longest or compiled.fullmatch(value) is None:
            raise ValueError(message)
        return value

    return ruled(check)


def spelled(pattern: str, longest: int, message: str) -> Callable[[str], str]:
    """Return a rule for text that matches `pattern` as it is: nothing that merely normalises to such text is taken for it."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if len(value) > longest or compiled.fullmatch(value) is None:
            raise ValueError(message)
        return value

    return ruled(check)


def whole_number(value: object) -> object:
    """Rule for a number in a query, where everything is text; what is no text is for the framework to judge."""
    if not isinstance(value, str):
        return value
    try:
        return number_of(value)
    except ValueError as error:
        raise refuse(_MESSAGES["int_parsing"]) from error


def present(value: str) -> str:
    """Rule for text that must not be empty."""
    if not value:
        raise refuse(_MESSAGES["missing"])
    return value


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
