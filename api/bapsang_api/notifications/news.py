"""What somebody is told of, and the bundles that keep each thing from being told twice."""

from dataclasses import dataclass

from bapsang_api.notifications.vocabulary import Kind

PHOTO_REFUSED = "올리신 사진을 사용할 수 없습니다. 다른 사진으로 바꿔 주세요."


@dataclass(frozen=True)
class News:
    """What `user_id` is to be told of.

    `bundle` says what it is about, at most 64 ASCII characters, once an inbox. The same bundle again changes nothing, or, if it
    `renews`, moves the notification to the end, unread. Who does not see the actor or the author of the post is not told.
    """

    user_id: str
    kind: Kind
    bundle: str
    actor_id: str | None = None
    post_id: str | None = None
    author_id: str | None = None  # of the post
    comment_id: str | None = None
    detail: str | None = None  # the whole text of a MODERATION or SYSTEM, at most 255 characters
    renews: bool = False


def followed(user_id: str, follower_id: str) -> News:
    """Return that somebody is followed."""
    return News(user_id, Kind.FOLLOW, follow_of(follower_id), actor_id=follower_id)


def commented(user_id: str, kind: Kind, *, actor_id: str, post_id: str, author_id: str, comment_id: str) -> News:
    """Return that somebody's post got a comment, their comment a reply, or that a comment mentions them.

    Of one comment somebody is told once, whatever it is to them.
    """
    return News(
        user_id,
        kind,
        f"COMMENT:{comment_id}",
        actor_id=actor_id,
        post_id=post_id,
        author_id=author_id,
        comment_id=comment_id,
    )


def liked(author_id: str, post_id: str, liker_id: str) -> News:
    """Return that somebody's post is liked: one notification for all its likes, renewed by each write-back."""
    return News(author_id, Kind.LIKE, likes_of(post_id), actor_id=liker_id, post_id=post_id, renews=True)


def moderated(user_id: str, text: str, *, post_id: str | None = None, comment_id: str | None = None) -> News:
    """Return what a moderator did to somebody's comment, post or account, in Korean as it is shown: it names no moderator.

    It takes the place of what was told before of the same.
    """
    bundle = f"MODERATION:{comment_id or post_id or user_id}"
    return News(user_id, Kind.MODERATION, bundle, post_id=post_id, comment_id=comment_id, detail=text, renews=True)


def content_moderated(user_id: str, text: str) -> News:
    """Return what a moderator did to all that somebody wrote, in Korean as it is shown."""
    return News(user_id, Kind.MODERATION, f"MODERATION:CONTENT:{user_id}", detail=text, renews=True)


def photo_refused(user_id: str, image_id: str, post_id: str | None) -> News:
    """Return that a picture was refused after it was used, of a post or of a profile."""
    return News(user_id, Kind.SYSTEM, f"PHOTO:{image_id}", post_id=post_id, detail=PHOTO_REFUSED)


def follow_of(follower_id: str) -> str:
    """Return the bundle of a follow."""
    return f"FOLLOW:{follower_id}"


def likes_of(post_id: str) -> str:
    """Return the bundle of a post's likes."""
    return f"LIKE:{post_id}"
