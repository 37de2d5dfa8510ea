"""Where the process is in its life. The probes and the middleware read it, the server changes it."""

from collections.abc import Callable


class Lifecycle:
    """Starting, then serving, then draining."""

    def __init__(self) -> None:
        self._started = False
        self._conditions: list[Callable[[], bool]] = []
        self._on_drain: list[Callable[[], None]] = []
        self.draining = False
        self.alive = True

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here.

        Deliberately not whether the database or Redis answers: a blip of either would make every replica unready at the
        same moment and turn slow or partial answers into none at all. Those requests are answered 503 one by one
        instead.
        """
        return self._started and not self.draining and all(holds() for holds in self._conditions)

    def require(self, holds: Callable[[], bool]) -> None:
        """Have the process not ready while `holds()` is false."""
        self._conditions.append(holds)

    def give_up(self) -> None:
        """Have `/livez` fail, so that the kubelet starts the container again: it cannot recover by itself."""
        self.alive = False

    def start(self) -> None:
        self._started = True

    def on_drain(self, end: Callable[[], None]) -> None:
        """Have `end` called once the process drains."""
        self._on_drain.append(end)

    def drain(self) -> None:
        self.draining = True
        for end in self._on_drain:
            end()
