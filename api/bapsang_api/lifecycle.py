"""Where the process is in its life. The readiness probe and the middleware read it, the server changes it."""


class Lifecycle:
    """Starting, then serving, then draining."""

    def __init__(self) -> None:
        self._started = False
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here.

        Deliberately not whether the database or Redis answers: a blip of either would make every replica unready at the
        same moment and turn slow or partial answers into none at all. Those requests are answered 503 one by one
        instead.
        """
        return self._started and not self.draining

    def start(self) -> None:
        self._started = True

    def drain(self) -> None:
        self.draining = True
