"""The letters that there are, and what each shows: the words are in its templates (`pages/`)."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

#: A letter that could not be sent for so long is given up: who waited for it has asked again.
GIVEN_UP_AFTER: Final = timedelta(days=2)
#: For how long the link of a letter works, as its text says.
LINK_LIFETIME: Final = timedelta(minutes=30)


class Letter(StrEnum):
    """A kind of letter, by the name of its templates."""

    VERIFY = "verify"  # proves that the address of a new account is theirs
    RESET = "reset"  # sets a new password
    CHANGE_ADDRESS = "change-address"  # to the new address: proves that it is theirs
    ADDRESS_CHANGED = "address-changed"  # to the old address
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of a template
    NEW_DEVICE = "new-device"


#: The values that a letter has to be given.
VALUES: Final = {
    Letter.VERIFY: frozenset({"nickname", "link"}),
    Letter.RESET: frozenset({"nickname", "link"}),
    Letter.CHANGE_ADDRESS: frozenset({"nickname", "link"}),
    Letter.ADDRESS_CHANGED: frozenset({"nickname"}),
    Letter.PASSWORD_CHANGED: frozenset({"nickname"}),
    Letter.NEW_DEVICE: frozenset({"nickname", "device"}),
}
