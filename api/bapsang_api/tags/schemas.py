"""Wire shapes of tags."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bapsang_api.http.validation import matching, refuse
from bapsang_api.http.wire import Wire
from bapsang_api.kit.text import folded

_PATTERN: Final = "[가-힣a-zA-Z0-9_]{1,20}"


def _distinct(names: list[str]) -> list[str]:
    if len(set(map(folded, names))) < len(names):
        raise refuse("같은 태그를 두 번 쓸 수 없습니다.")
    return names


TagName = Annotated[
    str,
    AfterValidator(matching(_PATTERN, 20, "한글, 영문, 숫자, 밑줄 1자 이상 20자 이하여야 합니다.")),
    Field(json_schema_extra={"pattern": f"^{_PATTERN}$"}, examples=["집밥"]),
]
TagNames = Annotated[list[TagName], Field(max_length=10), AfterValidator(_distinct)]


class TagItem(Wire):
    """A tag and how many posts have it."""

    name: str = Field(examples=["집밥"])
    post_count: int


class TagList(Wire):
    """Tags, those of the most posts first."""

    items: list[TagItem]
