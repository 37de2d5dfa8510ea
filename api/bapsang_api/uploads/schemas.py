"""Wire shapes of uploads."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bapsang_api.http.validation import at_most, ruled
from bapsang_api.http.wire import Wire
from bapsang_api.uploads import rules
from bapsang_api.uploads.rules import Category

# How requests name an image. Whether there is one is asked later; its column holds no more.
ObjectKey = Annotated[str, AfterValidator(at_most(255)), Field(json_schema_extra={"maxLength": 255})]


class PresignTempRequest(Wire):
    """A picture that is about to be uploaded for a sign-up."""

    file_name: Annotated[str, BeforeValidator(ruled(rules.checked_file_name))] = Field(
        json_schema_extra={"minLength": 1, "maxLength": 255}, examples=["된장찌개.jpg"]
    )
    content_type: Annotated[str, BeforeValidator(ruled(rules.checked_content_type))] = Field(
        json_schema_extra={"enum": list(rules.CONTENT_TYPES)}, examples=["image/jpeg"]
    )
    file_size_byte: Annotated[int, BeforeValidator(ruled(rules.checked_size))] = Field(
        json_schema_extra={"minimum": 1, "maximum": rules.MOST_BYTES}, examples=[204_800]
    )
    category: Annotated[Category, BeforeValidator(ruled(rules.checked_temp_category))] = Field(
        json_schema_extra={"enum": [Category.TEMP_PROFILE_IMAGE]}, examples=[Category.TEMP_PROFILE_IMAGE]
    )


class PresignRequest(PresignTempRequest):
    """A picture that is about to be uploaded."""

    category: Annotated[Category, BeforeValidator(ruled(rules.checked_category))] = Field(
        examples=[Category.POST_IMAGE]
    )


class PresignResponse(Wire):
    """Where to upload to. `contentType` is the `Content-Type` to send, `objectKey` what names the image later."""

    presigned_url: str
    object_key: str
    content_type: str
