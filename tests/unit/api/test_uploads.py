"""The rules for uploads: which keys are whose. Against a real S3 server: tests/integration/api/test_uploads.py."""

import pytest
from boto3.session import Session
from hypothesis import given
from hypothesis import strategies as st

from bapsang_api.media.verdict import Use
from bapsang_api.uploads import rules
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.rules import CONTENT_TYPES, Category, Upload
from bapsang_api.uploads.s3 import Signer

ALICE, BOB, ID = "01JDAAAAAAAAAAAAAAAAAAAAAA", "01JDBBBBBBBBBBBBBBBBBBBBBB", "01JD0000000000000000000000"
OWN = [Category.PROFILE_IMAGE, Category.POST_IMAGE, Category.OTHER]


def planned(category: Category, user_id: str | None, content_type: str = "image/png") -> str:
    return rules.plan(content_type=content_type, size=1, category=category, user_id=user_id, upload_id=ID).object_key


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize("category", Category)
def test_key_is_good_for_its_user_and_category_only(category: Category, content_type: str) -> None:
    key = planned(category, ALICE, content_type)
    assert rules.is_upload(key, category, ALICE)
    assert not any(rules.is_upload(key, other, ALICE) for other in Category if other is not category)
    assert rules.is_upload(key, category, BOB) == (category is Category.TEMP_PROFILE_IMAGE)
    assert not key.startswith(rules.PUBLIC_PREFIX)


def test_phones_types_may_be_uploaded_under_their_own_extensions() -> None:
    assert {kind: planned(Category.POST_IMAGE, ALICE, kind).rpartition(".")[2] for kind in CONTENT_TYPES} == {
        **{"image/png": "png", "image/jpeg": "jpg", "image/jpg": "jpg", "image/webp": "webp"},
        **{"image/heic": "heic", "image/heif": "heif", "image/avif": "avif", "image/gif": "gif"},
    }


@pytest.mark.parametrize(
    "value", ["image/svg+xml", "image/tiff", "image/HEIC", "video/mp4", "", None, 1, ["image/png"]]
)
def test_a_type_that_may_not_be_uploaded_is_told_those_that_may(value: object) -> None:
    with pytest.raises(ValueError, match="중 하나여야 합니다") as told:
        rules.checked_content_type(value)
    assert all(kind in str(told.value) for kind in CONTENT_TYPES)


@pytest.mark.parametrize(
    ("value", "advised"),
    [(rules.MOST_BYTES + 1, True), (10**12, True), (0, False), (-1, False), (1.5, False), (True, False), ("9", False)],
)
def test_whoever_uploads_too_much_is_told_of_motion_photos(value: object, advised: bool) -> None:
    """P15."""
    with pytest.raises(ValueError, match="10485760 이하의 정수여야 합니다") as told:
        rules.checked_size(value)
    assert ("모션 포토" in str(told.value)) is advised


@pytest.mark.parametrize("category", OWN)
def test_only_a_signup_uploads_without_a_user(category: Category) -> None:
    with pytest.raises(ValueError, match="without a user"):
        planned(category, None)
    assert planned(Category.TEMP_PROFILE_IMAGE, None) == f"temp/{ID}.png"


@given(st.text(max_size=40), st.sampled_from(Category))
def test_nothing_but_a_planned_key_is_one(tail: str, category: Category) -> None:
    prefix = rules.prefix_of(category, ALICE)
    assert not rules.is_upload(prefix + tail, category, ALICE)
    assert not rules.is_upload(tail, category, ALICE)
    assert rules.public_id(f"public/post/{tail}", Category.POST_IMAGE) is None


@pytest.mark.parametrize("category", Category)
def test_upload_of_anybody_is_recognised(category: Category) -> None:
    key = planned(category, ALICE)
    assert rules.is_any_upload(key)
    for other in (
        rules.checked_folder(key, "e"),
        rules.original_key(ID),
        f"/{key}",
        f"{key}/",
        key.replace(ID, "x"),
        key.replace(".png", ".html"),
    ):
        assert not rules.is_any_upload(other)
    assert not rules.is_any_upload(f"users/{ID[:-1]}/post/{ID}.png")
    assert not rules.is_any_upload(f"public/post/{ID}.png")


@given(st.text(max_size=40))
def test_no_other_key_is_taken_for_an_upload(tail: str) -> None:
    assert not rules.is_any_upload(tail)
    assert not rules.is_any_upload(f"temp/{tail}")
    assert not rules.is_any_upload(f"users/{tail}")


def test_published_key_tells_its_image_and_what_it_is_for() -> None:
    key = rules.public_key(Category.POST_IMAGE, ID)
    assert key == f"public/post/{ID}"
    for published in (key, f"{key}.jpg"):  # the second before there were variants
        assert rules.public_id(published, Category.POST_IMAGE) == rules.image_id_of(published) == ID
        assert rules.public_id(published, Category.PROFILE_IMAGE) is None
        assert (rules.folder_of(published), rules.use_of(published)) == (key, Use.POST)
    assert rules.public_key(Category.TEMP_PROFILE_IMAGE, ID) == f"public/profile/{ID}"


def test_key_tells_what_a_picture_is_for() -> None:
    used = {category: rules.use_of(planned(category, ALICE)) for category in Category}
    profile = Category.PROFILE_IMAGE, Category.TEMP_PROFILE_IMAGE
    assert used == {**dict.fromkeys(profile, Use.PROFILE), Category.POST_IMAGE: Use.POST, Category.OTHER: None}
    assert rules.use_of(rules.public_key(Category.PROFILE_IMAGE, ID)) is Use.PROFILE


def test_url_for_aws_names_the_regions_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    bucket = Bucket.of("media", "ap-northeast-2", endpoint=None, upload_origin=None, public_url=None)
    url = Signer(Session(), bucket).sign(Upload(f"temp/{ID}.png", "image/png", 5))
    assert url.startswith(f"https://media.s3.ap-northeast-2.amazonaws.com/temp/{ID}.png?")
    assert "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost" in url
