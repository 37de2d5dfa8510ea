"""People on the wire: answers from views."""

from typing import Any

from bapsang_api.home import schemas
from bapsang_api.home.view import PeoplePage, PersonView, Profile
from bapsang_api.http.paging import Cursor
from bapsang_api.kit.clock import SEOUL
from bapsang_api.uploads.service import PERSON_WIDTH, ImageService


def page_of(page: PeoplePage, images: ImageService) -> schemas.PeoplePage:
    people = [schemas.Person(**_shown(person, images)) for person in page.people]
    return schemas.PeoplePage(items=people, next_cursor=Cursor.of(page.following), has_more=page.following is not None)


def profile_of(profile: Profile, images: ImageService) -> schemas.Profile:
    relation = profile.relation
    return schemas.Profile(
        **_shown(profile.person, images),
        joined_on=profile.joined_at.astimezone(SEOUL).date().isoformat(),
        counts=schemas.Counts(posts=profile.posts, followers=profile.followers, following=profile.following),
        relation=None if relation is None else schemas.Relation(**vars(relation)),
    )


def _shown(person: PersonView, images: ImageService) -> dict[str, Any]:
    return {
        "user_id": person.user_id,
        "nickname": person.nickname,
        "profile_image_url": images.url(person.image_key, person.photo, PERSON_WIDTH),
        "profile_image": images.shown(person.image_key, person.photo, PERSON_WIDTH),
    }
