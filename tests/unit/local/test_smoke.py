"""The client of the smoke run and of the end-to-end tests."""

import socket
import threading

import pytest

from bapsang_local.failure import Failure
from bapsang_local.smoke import Client, Table

CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it"


@pytest.mark.parametrize("sent", [CUT, b"no HTTP at all\r\n\r\n", b""])
def test_an_answer_that_is_cut_off_is_an_error_of_the_connection(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(sent)

        thread = threading.Thread(target=answer)
        thread.start()
        client = Client(server.getsockname()[1])
        with pytest.raises(Failure, match="«list posts»") as failed:
            Table().do("list posts", lambda: str(client.call("GET", "/api/v1/posts").status))
        thread.join()
    assert isinstance(failed.value.__cause__, OSError)
    assert str(failed.value.__cause__)
