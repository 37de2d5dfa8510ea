"""Wire shapes of uploads."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bapsang_api.http.validation import at_most, ruled
from bapsang_api.http.wire import Wire
from bapsang_api.media.kinds import MOST_BYTES
from bapsang_api.uploads import rules
from bapsang_api.uploads.photo import State
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
        json_schema_extra={"minimum": 1, "maximum": MOST_BYTES}, examples=[204_800]
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


class ShownPhoto(Wire):
    """How a picture is loaded in the size that a page needs. While it is PENDING, and when it is REFUSED, there is no URL.

    `width` and `height` are pixels of the picture the right way up, for the room that it takes; `placeholder` is a ThumbHash in
    base64, to be shown until it is there (grey while it is PENDING), `color` the average. Of older pictures only the URL is known.
    """

    state: State
    width: int | None = Field(examples=[4032])
    height: int | None = Field(examples=[3024])
    placeholder: str | None = Field(examples=["1QcSHQRnh493V4dIh4eXh1h4kJUI"])
    color: str | None = Field(examples=["#a08060"])
    srcset: str | None = Field(
        description="For `srcset` of `<img>` or of a `<source type=image/webp>`.",
        examples=[
            "https://img.example.com/public/post/01J/320.webp 320w, https://img.example.com/public/post/01J/640.webp 640w"
        ],
    )
