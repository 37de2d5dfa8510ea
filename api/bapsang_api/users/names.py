"""How people are called where they are shown."""

from typing import Final

# No nickname can be equal to it: they hold no space.
WITHDRAWN_NAME: Final = "탈퇴한 사용자"


def shown_id(user_id: str, nickname: str) -> str | None:
    """Return the id of a person shown by this name, None of one who has withdrawn: what they wrote must not say that it is one's."""
    return None if nickname == WITHDRAWN_NAME else user_id
