"""What a process knows to have changed a moment ago."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

# After a change the replica may not have it yet.
CURRENT_SECONDS: Final = 5.0


class Recent:
    """Which posts and authors have been changed within the last seconds, and when."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._changed: OrderedDict[str, float] = OrderedDict()
        self.last = 0.0
        self._forgotten = float("-inf")  # when the latest of those changed that are not known any more

    def note(self, names: Iterable[str]) -> None:
        self.last = now = self._timer()
        for name in names:
            self._changed[name] = now
            self._changed.move_to_end(name)
        while self._changed and next(iter(self._changed.values())) < now - CURRENT_SECONDS:
            _, self._forgotten = self._changed.popitem(last=False)

    def since(self, moment: float, *names: str) -> bool:
        """Return whether one of these was changed after `moment`, or may have been: it is so long ago that nobody knows."""
        if moment <= self._forgotten:
            return True
        return self.last >= moment and any(self._changed.get(name, 0.0) >= moment for name in names)
