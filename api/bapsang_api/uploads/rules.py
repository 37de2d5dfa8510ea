"""The rules for uploads: who may put what where, and which key is whose.

Pure, without the framework, the database or S3, because the upload function in the cloud follows the same rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bapsang_api.kit import text
from bapsang_api.kit.ids import is_ulid
from bapsang_api.media.kinds import MOST_BYTES
from bapsang_api.media.verdict import Use

URL_SECONDS: Final = 600
_LONGEST_NAME: Final = 255
# Clients know `image/jpg`, which is no registered type; what they name is what they send, so that is what is signed.
_EXTENSIONS: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/jpg": "jpg",
    "image/webp": "webp",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/avif": "avif",
    "image/gif": "gif",
}
CONTENT_TYPES: Final = tuple(_EXTENSIONS)
# What makes a photo of a phone so large is the film behind it, which its page can cut off.
_FILM_ADVICE: Final = "모션 포토는 동영상을 잘라 내고 사진만 올려 주세요."


class Category(StrEnum):
    """What an upload is for."""

    PROFILE_IMAGE = "PROFILE_IMAGE"
    POST_IMAGE = "POST_IMAGE"
    OTHER = "OTHER"
    TEMP_PROFILE_IMAGE = "TEMP_PROFILE_IMAGE"  # the picture of somebody who is about to sign up


_FOLDERS: Final[Mapping[Category, str]] = {
    Category.PROFILE_IMAGE: "profile",
    Category.POST_IMAGE: "post",
    Category.OTHER: "misc",
}
USERS_PREFIX: Final = "users/"
TEMP_PREFIX: Final = "temp/"
ORIGINALS_PREFIX: Final = "originals/"  # uploads that were used, as they were; nobody is shown them
PUBLIC_PREFIX: Final = "public/"  # variants; only the API and c-media write there
WITHHELD_PREFIX: Final = "withheld/"  # variants of hidden posts, which nobody but the API can read
CHECKED_PREFIX: Final = "checked/"  # variants made ahead of time by the check function; nobody is shown them


@dataclass(frozen=True)
class Upload:
    """An upload that is allowed: one object, of exactly that type and length."""

    object_key: str
    content_type: str
    size: int  # bytes


def checked_file_name(value: object) -> str:
    """Return the name that the file has for its owner. It becomes no part of the key. Raises ValueError."""
    return text.required(value if isinstance(value, str) else "", 1, _LONGEST_NAME)


def checked_content_type(value: object) -> str:
    """Return an image type that may be uploaded. Raises ValueError."""
    if not isinstance(value, str) or value not in _EXTENSIONS:
        raise ValueError(f"{', '.join(CONTENT_TYPES)} 중 하나여야 합니다.")
    return value


def checked_size(value: object) -> int:
    """Return the length of the file in bytes. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_BYTES:
        advice = f" {_FILM_ADVICE}" if isinstance(value, int) and value > MOST_BYTES else ""
        raise ValueError(f"1 이상 {MOST_BYTES} 이하의 정수여야 합니다.{advice}")
    return value


def checked_category(value: object) -> Category:
    """Return what a user uploads for. Raises ValueError."""
    return _one_of(value, tuple(Category))


def checked_temp_category(value: object) -> Category:
    """Return what may be uploaded for without an account. Raises ValueError."""
    return _one_of(value, (Category.TEMP_PROFILE_IMAGE,))


def plan(*, content_type: str, size: int, category: Category, user_id: str | None, upload_id: str) -> Upload:
    """Return the upload that checked values ask for; `upload_id` is a new id, `user_id` None for somebody unknown."""
    key = f"{prefix_of(category, user_id)}{upload_id}.{_EXTENSIONS[content_type]}"
    return Upload(key, content_type, size)


def prefix_of(category: Category, user_id: str | None) -> str:
    """Return where uploads of a category begin. Raises ValueError when it takes a user and there is none."""
    if category is Category.TEMP_PROFILE_IMAGE:
        return TEMP_PREFIX
    if user_id is None:
        raise ValueError(f"{category} without a user")
    return f"{USERS_PREFIX}{user_id}/{_FOLDERS[category]}/"


def is_upload(key: str, category: Category, user_id: str | None) -> bool:
    """Whether `key` is one that `plan` makes for this category and user."""
    prefix = prefix_of(category, user_id)
    name = key.removeprefix(prefix)
    return key.startswith(prefix) and "." in name and _id_in(name) is not None


def is_any_upload(key: str) -> bool:
    """Whether `key` is one that `plan` makes, for whomever."""
    if key.startswith(TEMP_PREFIX):
        return is_upload(key, Category.TEMP_PROFILE_IMAGE, None)
    user_id = key.removeprefix(USERS_PREFIX).partition("/")[0]
    return is_ulid(user_id) and any(is_upload(key, category, user_id) for category in _FOLDERS)


def original_key(image_id: str) -> str:
    """Return where the upload of an image is kept as it was."""
    return f"{ORIGINALS_PREFIX}{image_id}"


def checked_folder(upload_key: str, etag: str) -> str:
    """Return where the variants of an upload with that content lie that were made ahead of time."""
    return f"{CHECKED_PREFIX}{upload_key}/{etag}"


def withheld_key(object_key: str) -> str:
    """Return where a published object lies while nobody may load it."""
    return f"{WITHHELD_PREFIX}{object_key}"


def public_key(category: Category, image_id: str) -> str:
    """Return the key of an image that was uploaded for `category`; its variants are published below it."""
    return f"{_public_prefix(category)}{image_id}"


def public_id(key: str, category: Category) -> str | None:
    """Return the id in the key of an image of this category, None for any other key."""
    prefix = _public_prefix(category)
    return _id_in(key.removeprefix(prefix)) if key.startswith(prefix) else None


def folder_of(object_key: str) -> str:
    """Return what the keys of all published objects of an image begin with, and of no other image."""
    return object_key.partition(".")[0]


def image_id_of(object_key: str) -> str:
    """Return the id in the key of an image."""
    return folder_of(object_key).rpartition("/")[2]


def use_of(key: str) -> Use | None:
    """Return what the image of an upload's or a published key is for, None for what is never published."""
    folder = key.rpartition("/")[0].rpartition("/")[2]
    if key.startswith(TEMP_PREFIX) or folder == _FOLDERS[Category.PROFILE_IMAGE]:
        return Use.PROFILE
    return Use.POST if folder == _FOLDERS[Category.POST_IMAGE] else None


def _public_prefix(category: Category) -> str:
    # A picture of a sign-up is published as what it then is.
    shown_as = Category.PROFILE_IMAGE if category is Category.TEMP_PROFILE_IMAGE else category
    return f"{PUBLIC_PREFIX}{_FOLDERS[shown_as]}/"


def _id_in(name: str) -> str | None:
    stem, dot, extension = name.partition(".")
    return stem if is_ulid(stem) and (not dot or extension in _EXTENSIONS.values()) else None


def _one_of(value: object, allowed: tuple[Category, ...]) -> Category:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{', '.join(allowed)} 중 하나여야 합니다.")
    return Category(value)
