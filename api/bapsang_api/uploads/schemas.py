"""Wire shapes of uploads."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from bapsang_api.kit.validation import refuse
from bapsang_api.kit.wire import Wire
from bapsang_api.uploads import rules
from bapsang_api.uploads.rules import Category


def _by(rule: Callable[[object], Any]) -> BeforeValidator:
    """Return the framework's form of one of the rules."""

    def check(value: object) -> Any:
        try:
            return rule(value)
        except ValueError as error:
            raise refuse(str(error)) from error

    return BeforeValidator(check)


class PresignTempRequest(Wire):
    """A picture that is about to be uploaded for a sign-up."""

    file_name: Annotated[str, _by(rules.checked_file_name)] = Field(
        json_schema_extra={"minLength": 1, "maxLength": 255}, examples=["된장찌개.jpg"]
    )
    content_type: Annotated[str, _by(rules.checked_content_type)] = Field(
        json_schema_extra={"enum": list(rules.CONTENT_TYPES)}, examples=["image/jpeg"]
    )
    file_size_byte: Annotated[int, _by(rules.checked_size)] = Field(
        json_schema_extra={"minimum": 1, "maximum": rules.MOST_BYTES}, examples=[204_800]
    )
    category: Annotated[Category, _by(rules.checked_temp_category)] = Field(
        json_schema_extra={"enum": [Category.TEMP_PROFILE_IMAGE]}, examples=[Category.TEMP_PROFILE_IMAGE]
    )


class PresignRequest(PresignTempRequest):
    """A picture that is about to be uploaded."""

    category: Annotated[Category, _by(rules.checked_category)] = Field(examples=[Category.POST_IMAGE])


class PresignResponse(Wire):
    """Where to upload to. `contentType` is the `Content-Type` to send, `objectKey` what names the image later."""

    presigned_url: str
    object_key: str
    content_type: str
