"""A smoke run as an end user, through the ingress: sign up, log in, post with a photo, like, and see the like in MySQL."""

from __future__ import annotations

import http.client
import json
import secrets
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .cluster import Cluster
from .failure import Failure
from .settings import COMMUNITY, COMMUNITY_NAMESPACE, HOST, Settings

DEMO_PASSWORD = "Bapsang-2026"  # noqa: S105  # of demo users on a local cluster, printed at the end of `make up`
USERS = {
    "demo@bapsang.localhost": "밥상데모",
    "friend1@bapsang.localhost": "밥친구하나",
    "friend2@bapsang.localhost": "밥친구둘",
}
SYNC_SECONDS = 90
PHOTO_SECONDS = 60  # several people may post at once, and one photo is made after the other


@dataclass(slots=True)
class Answer:
    """An HTTP answer: status, headers in lower case, body as bytes."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Client:
    """Speaks to the ingress at 127.0.0.1 as a browser would to the community's host."""

    port: int
    token: str = ""
    host: str = HOST

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request (10 s at most) and return the answer, whatever its status. Bytes go as they are, all else as JSON.

        Raises OSError when there is no answer or only a part of one.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = {"Host": self.host, **headers}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        payload = body if isinstance(body, bytes) else None
        if body is not None and payload is None:
            payload = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=payload, headers=sent)
            response = connection.getresponse()
            return Answer(
                response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
            )
        except http.client.HTTPException as error:  # an answer that is cut off, which is no OSError by itself
            raise ConnectionError(str(error) or type(error).__name__) from error
        finally:
            connection.close()


@dataclass(slots=True)
class Table:
    """The rows that are printed: what was done, what came of it, how long it took."""

    rows: list[tuple[str, str, float]] = field(default_factory=list)

    def do(self, name: str, action: Callable[[], str]) -> None:
        """Run one step. Raises Failure that names it."""
        begin = time.monotonic()
        try:
            result = action()
        except (Failure, OSError, AssertionError, KeyError, ValueError) as error:
            raise Failure(
                f"Smoke run, «{name}»: {str(error) or type(error).__name__}",
                "`kubectl get pods -n community` and the logs there tell more.",
            ) from error
        self.rows.append((name, result, time.monotonic() - begin))

    def text(self) -> str:
        width = max((len(name) for name, _, _ in self.rows), default=0)
        lines = [f"  {name:<{width}}  {result:<34} {_seconds(seconds):>8}" for name, result, seconds in self.rows]
        return "\n".join(lines)


def run(cluster: Cluster, settings: Settings) -> Table:
    """Do the whole smoke run and return its table. Raises Failure at the first step that does not do what it should."""
    clients = {email: Client(settings.ingress_port) for email in USERS}
    author = clients["demo@bapsang.localhost"]
    table = Table()
    post: dict[str, Any] = {}

    def healthy() -> str:
        return f"200, {_expect(author.call('GET', '/api/v1/health'), 200).body.decode()}"

    def create() -> str:
        key = upload(author, photo())
        # Other words each time: of a new account's, the same again would be held back.
        content = f"된장찌개, 고등어구이, 시금치나물. ({secrets.token_hex(4)})"
        body = {"title": "오늘의 밥상", "content": content, "postImageKey": key}
        post.update(_expect(author.call("POST", "/api/v1/posts", body), 201).json())
        return f"201, {post['postId']}"

    def shown() -> str:
        loaded = load(settings.ingress_port, photo_url(author, post))
        return f"200, {loaded.headers['content-type']}, {len(loaded.body)} bytes"

    def listed() -> str:
        items = _expect(author.call("GET", "/api/v1/posts?size=5"), 200).json()["items"]
        if post["postId"] not in [item["postId"] for item in items]:
            raise Failure("the new post is not in the list")
        return "200, newest first"

    def like_all() -> str:
        for client in clients.values():
            _expect(client.call("PUT", f"/api/v1/posts/{post['postId']}/likes"), 204)
        return _count(author, post["postId"], 3)

    def unlike_one() -> str:
        _expect(clients["friend2@bapsang.localhost"].call("DELETE", f"/api/v1/posts/{post['postId']}/likes"), 204)
        return _count(author, post["postId"], 2)

    table.do("health through the ingress", healthy)
    table.do("sign up (three users)", lambda: _sign_up(clients))
    table.do("log in", lambda: _log_in(clients))
    table.do("upload a photo, create a post with it", create)
    table.do("anybody loads the photo", shown)
    table.do("list posts", listed)
    table.do("three users like it", like_all)
    table.do("three likes in MySQL after a like-sync", lambda: _in_mysql(cluster, post["postId"], 3))
    table.do("one takes the like back", unlike_one)
    return table


def photo(side: int = 16) -> bytes:
    """Return a small picture, a real PNG: `side` × `side` pixels from black to orange."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    shades = [255 * pixel // (side - 1) for pixel in range(side)]
    line = b"\0" + b"".join(bytes((shade, shade // 2, 0)) for shade in shades)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)  # 8 bits each of red, green and blue
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(line * side)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def presign(client: Client, size: int) -> dict[str, str]:
    """Ask for the upload of a PNG of `size` bytes to a post; returns presignedUrl, objectKey and contentType. Raises Failure."""
    body = {"fileName": "밥상.png", "contentType": "image/png", "fileSizeByte": size, "category": "POST_IMAGE"}
    found: dict[str, str] = _expect(client.call("POST", "/api/v1/uploads/presign", body), 200).json()
    return found


def put(port: int, url: str, content: bytes, content_type: str = "image/png") -> Answer:
    """Upload as browsers do: to the origin that the URL names, with no header but the type."""
    parts = urlsplit(url)
    return Client(port, host=parts.netloc).call(
        "PUT", f"{parts.path}?{parts.query}", content, **{"Content-Type": content_type}
    )


def upload(client: Client, content: bytes) -> str:
    """Upload a photo for a post and return its key. Raises Failure."""
    allowed = presign(client, len(content))
    _expect(put(client.port, allowed["presignedUrl"], content, allowed["contentType"]), 200)
    return allowed["objectKey"]


def photo_url(client: Client, post: dict[str, Any]) -> str:
    """Return where the first photo of a post is loaded, once it has been made. Raises Failure."""
    deadline = time.monotonic() + PHOTO_SECONDS
    while (image := post["contentDetail"]["images"][0])["url"] is None:
        if image["state"] != "PENDING" or time.monotonic() > deadline:
            raise Failure(f"the photo is {image['state']}: see the log of deployment/{COMMUNITY}-media")
        time.sleep(0.5)
        post = _expect(client.call("GET", f"/api/v1/posts/{post['postId']}"), 200).json()
    return str(image["url"])


def load(port: int, url: str) -> Answer:
    """Return the image at `url` as anybody gets it, without a login. Raises Failure unless browsers keep it for a year."""
    parts = urlsplit(url)
    answer = _expect(Client(port, host=parts.netloc).call("GET", parts.path), 200)
    if "max-age=31536000" not in answer.headers.get("cache-control", ""):
        raise Failure(f"{url} may not be cached: {answer.headers.get('cache-control')}")
    return answer


def mysql_likes(cluster: Cluster, post_id: str) -> int:
    """Return the likes that MySQL holds of a post: rows, which must equal the counter. Raises Failure."""
    if not (post_id.isalnum() and len(post_id) == 26):
        raise Failure(f"{post_id!r} is no post id")
    query = f"SELECT (SELECT COUNT(*) FROM user_post_likes WHERE post_id = '{post_id}'), like_count FROM posts WHERE id = '{post_id}'"  # noqa: S608
    secret = json.loads(cluster.kubectl("get", "secret", f"{COMMUNITY}-mysql", "-n", COMMUNITY_NAMESPACE, "-o", "json"))
    # The password goes by standard input: arguments can be read by everyone on the host and on the node.
    shell = (
        'read -r encoded; MYSQL_PWD=$(printf %s "$encoded" | base64 -d); export MYSQL_PWD; '
        'exec mysql --no-defaults -h 127.0.0.1 -u bapsang -N -B bapsang -e "$0"'
    )
    words = cluster.kubectl(
        "exec",
        "-i",
        "-n",
        COMMUNITY_NAMESPACE,
        f"{COMMUNITY}-mysql-0",
        "-c",
        "mysql",
        "--",
        "sh",
        "-c",
        shell,
        query,
        input=secret["data"]["password"].encode() + b"\n",
    ).split()
    if len(words) != 2 or words[0] != words[1]:
        raise Failure(f"rows and counter in MySQL differ: {words}")
    return int(words[0])


def _sign_up(clients: dict[str, Client]) -> str:
    made = 0
    for email, client in clients.items():
        body = {"email": email, "password": DEMO_PASSWORD, "nickname": USERS[email], "profileImageKey": None}
        answer = client.call("POST", "/api/v1/auth/users", body)
        if answer.status not in (201, 409):
            _expect(answer, 201)
        made += answer.status == 201
    return f"201, {made} new" if made else "409, already there"


def _log_in(clients: dict[str, Client]) -> str:
    for email, client in clients.items():
        answer = _expect(client.call("POST", "/api/v1/auth/tokens", {"email": email, "password": DEMO_PASSWORD}), 201)
        client.token = answer.headers["authorization"].removeprefix("Bearer ")
    return f"201, nickname {answer.json()['nickname']}"


def _count(client: Client, post_id: str, wanted: int) -> str:
    count = _expect(client.call("GET", f"/api/v1/posts/{post_id}"), 200).json()["stats"]["likeCount"]
    if count != wanted:
        raise Failure(f"likeCount is {count}, not {wanted}")
    return f"204, likeCount {count}"


def run_now(cluster: Cluster, namespace: str, cron_job: str) -> None:
    """Run a CronJob to its end without waiting for its minute. Raises Failure."""
    here, job = ("-n", namespace), f"{cron_job}-{secrets.token_hex(3)}"
    made = json.loads(cluster.kubectl("get", "cronjob", cron_job, *here, "-o", "json"))["spec"]["jobTemplate"]
    # Scheduled runs of many Communities wait to keep their distance.
    for container in made["spec"]["template"]["spec"]["containers"]:
        container.pop("command", None)
    made |= {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**made["metadata"], "name": job}}
    cluster.kubectl("create", "-f", "-", *here, input=json.dumps(made).encode())
    cluster.kubectl("wait", f"job/{job}", "--for=condition=Complete", f"--timeout={SYNC_SECONDS}s", *here)


def _in_mysql(cluster: Cluster, post_id: str, wanted: int) -> str:
    run_now(cluster, COMMUNITY_NAMESPACE, f"{COMMUNITY}-like-sync")
    # A like-sync that began before the likes may still hold the lock; the next one is a minute away.
    deadline = time.monotonic() + SYNC_SECONDS
    while (found := mysql_likes(cluster, post_id)) != wanted:
        if time.monotonic() > deadline:
            raise Failure(f"MySQL holds {found} likes after {SYNC_SECONDS} s, not {wanted}")
        time.sleep(2)
    return f"{found} rows, like_count {found}"


def _expect(answer: Answer, status: int) -> Answer:
    if answer.status != status:
        raise Failure(f"answer {answer.status} instead of {status}: {answer.body[:300].decode(errors='replace')}")
    return answer


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
