"""The letters that there are. What each shows is in its templates."""

from enum import StrEnum


class Letter(StrEnum):
    """A kind of letter, by the name of its templates."""

    VERIFY = "verify"  # proves that the address of a new account is theirs
    RESET = "reset"  # sets a new password
    CHANGE_ADDRESS = "change-address"  # to the new address: proves that it is theirs
    ADDRESS_CHANGED = "address-changed"  # to the old address
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of a template
    NEW_DEVICE = "new-device"
