"""The mailbox that `make up` names, as the tests read it."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote


class Mailbox:
    """The API of the mailbox, as a browser of the user reaches its page."""

    def __init__(self, port: int, host: str) -> None:
        self._port, self._host = port, host

    def call(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": f"{self._host}:{self._port}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def letters(self, to: str) -> list[dict[str, Any]]:
        """Return the letters to an address, newest first."""
        status, body = self.call(f"/api/v1/search?query={quote(f'to:{chr(34)}{to}{chr(34)}')}")
        assert status == 200, body
        found: list[dict[str, Any]] = [
            json.loads(self.call(f"/api/v1/message/{one['ID']}")[1]) for one in json.loads(body)["messages"]
        ]
        return found
