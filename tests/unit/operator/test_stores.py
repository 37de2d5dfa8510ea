"""What the operator generates for the stores that it runs: passwords, keys, the start-up of MySQL, Redis's memory."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bapsang_operator import build, names
from bapsang_operator.build import mysql, redis, secret

from .world import children, community, pod_templates


def test_redis_keeps_room_above_its_data() -> None:
    arguments = pod_templates(children(community()))["StatefulSet c-redis"]["spec"]["containers"][0]["args"]
    limit = int(arguments[arguments.index("--maxmemory") + 1])
    assert limit == int(256 * 2**20 * redis.DATA_SHARE)
    assert arguments[arguments.index("--maxmemory-policy") + 1] == "noeviction"


def test_generated_secrets_hold_what_their_users_read() -> None:
    wanted = community()
    content = {name: generate() for name, generate in secret.generators(wanted).items()}
    assert content["c-mysql"]["url"].startswith(
        f"mysql+pymysql://bapsang:{content['c-mysql']['password']}@c-mysql:3306/"
    )
    assert content["c-redis"]["url"] == f"redis://:{content['c-redis']['password']}@c-redis:6379/0"
    assert content["c-redis"]["redis.conf"] == f"requirepass {content['c-redis']['password']}\n"
    assert content["c-signing-key"]["signing-key.pem"].startswith("-----BEGIN PRIVATE KEY-----")
    assert "'root'@'localhost'" in content["c-mysql"]["init.sql"]
    assert "'root'@'%'" not in content["c-mysql"]["init.sql"]
    found = {(name, key) for name, values in content.items() for key in values}
    assert not [ref for child in build.children(wanted, dict.fromkeys(found, "x")) for ref in child.missing]


def test_generated_secrets_are_ours_and_every_password_is_one_of_its_own() -> None:
    wanted = community()
    made = [secret.generators(wanted)[name]() for name in ("c-mysql", "c-mysql", "c-redis", "c-redis")]
    passwords = [values[key] for values in made for key in ("password", "root-password") if key in values]
    assert len(set(passwords)) == len(passwords) == 6
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in passwords)
    key = load_pem_private_key(secret.generators(wanted)["c-signing-key"]()["signing-key.pem"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert (key.key_size, key.public_key().public_numbers().e) == (2048, 65537)
    found = secret.manifest(wanted, "c-mysql", {"password": "x"})
    assert (found["apiVersion"], found["kind"], found["type"]) == ("v1", "Secret", "Opaque")
    assert found["data"] == {"password": "eA=="}
    assert found["metadata"]["labels"][names.LABEL_COMPONENT] == "api"
    assert found["metadata"]["ownerReferences"][0]["uid"] == wanted.uid


def test_mysql_makes_its_database_and_user_anew_at_every_start_and_root_keeps_to_the_socket() -> None:
    assert mysql.init_sql("p", "r").splitlines() == [
        "CREATE DATABASE IF NOT EXISTS bapsang CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;",
        "CREATE USER IF NOT EXISTS 'bapsang'@'%' IDENTIFIED BY 'p';",
        "ALTER USER 'bapsang'@'%' IDENTIFIED BY 'p';",
        "GRANT ALL PRIVILEGES ON bapsang.* TO 'bapsang'@'%';",
        "ALTER USER 'root'@'localhost' IDENTIFIED BY 'r';",
    ]
    url = secret.generators(community())["c-mysql"]()["url"]
    assert re.fullmatch(r"mysql\+pymysql://bapsang:[0-9a-f]{48}@c-mysql:3306/bapsang\?charset=utf8mb4", url)
