"""What readers see of posts, by named columns. A field that is added here and to its schema is read, kept and shown."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.views import looked_up
from bapsang_api.posts.models import Post, PostContent, PostImage
from bapsang_api.uploads.photo import Photo
from bapsang_api.uploads.store import photo_of
from bapsang_api.users.models import User
from bapsang_api.users.store import author_name

posts: Final = table_of(Post)
post_contents: Final = table_of(PostContent)
post_images: Final = table_of(PostImage)
users: Final = table_of(User)


@dataclass(frozen=True)
class Picture:
    """A picture of a post: the key under which it is published, and what it shows in words."""

    object_key: str
    alt: str | None
    photo: Photo | None = field(default=None, compare=False)


@dataclass(frozen=True)
class PostItemView:
    """A post in a list. The counts are those of the last write-back."""

    post_id: Annotated[str, posts.c.id]
    title: Annotated[str, posts.c.title]
    created_at: Annotated[datetime, posts.c.created_at]
    author_id: Annotated[str, posts.c.user_id]
    nickname: Annotated[str, author_name]
    author_image_key: Annotated[str | None, users.c.profile_image_key]
    author_photo: Annotated[Photo | None, photo_of(users.c.profile_image_key, of=users)]
    image_key: Annotated[str | None, looked_up(post_contents.c.post_image_key, post_contents.c.id == posts.c.id, posts)]
    photo: Annotated[Photo | None, photo_of(post_contents.c.post_image_key, post_contents.c.id == posts.c.id, of=posts)]
    like_count: Annotated[int, posts.c.like_count]
    comment_count: Annotated[int, posts.c.comment_count]
    view_count: Annotated[int, posts.c.view_count]
    tags: Annotated[tuple[str, ...], posts.c.tags]


@dataclass(frozen=True)
class PostDetailView(PostItemView):
    """A post with its content."""

    updated_at: Annotated[datetime | None, posts.c.updated_at]
    content: Annotated[str, post_contents.c.content]
    author_updated_at: Annotated[datetime | None, users.c.updated_at]
    picture_version: Annotated[int, posts.c.picture_version]
    pictures: tuple[Picture, ...]  # rows of their own


@dataclass(frozen=True)
class OwnItemView(PostItemView):
    """A post in the list of its author, who also sees what is held."""

    status: Annotated[str, posts.c.post_status]


@dataclass(frozen=True)
class OwnDetailView(PostDetailView):
    """A post as its author sees it."""

    status: Annotated[str, posts.c.post_status]


@dataclass(frozen=True)
class PostVersion:
    """The counts of a visible post, which change often, and the version of all else that is shown of it."""

    post_id: Annotated[str, posts.c.id]
    author_id: Annotated[str, posts.c.user_id]
    like_count: Annotated[int, posts.c.like_count]
    comment_count: Annotated[int, posts.c.comment_count]
    view_count: Annotated[int, posts.c.view_count]
    updated_at: Annotated[datetime | None, posts.c.updated_at]
    author_updated_at: Annotated[datetime | None, users.c.updated_at]
    picture_version: Annotated[int, posts.c.picture_version]

    @classmethod
    def of(cls, view: PostDetailView) -> "PostVersion":
        return cls(**{name: getattr(view, name) for name in cls.__dataclass_fields__})
