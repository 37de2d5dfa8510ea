"""People among each other: whom somebody follows, and whom they do not see."""
