"""Words of notifications."""

from enum import StrEnum


class Kind(StrEnum):
    """What somebody is told of."""

    COMMENT = "COMMENT"  # on their post
    REPLY = "REPLY"  # to their comment
    MENTION = "MENTION"  # of their nickname in a comment
    LIKE = "LIKE"  # of their post, one for all likes of a post
    FOLLOW = "FOLLOW"
    MODERATION = "MODERATION"  # what a moderator did with something of theirs
    SYSTEM = "SYSTEM"  # such as a photo that could not be used
