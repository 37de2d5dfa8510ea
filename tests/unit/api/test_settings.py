"""Settings: what a process starts with, and what it refuses to start with."""

import traceback
from pathlib import Path

import pytest
from tests.certificates import Authority

from bapsang_api import endings
from bapsang_api.http.ratelimit import DEFAULTS, Limit, Rate
from bapsang_api.kit.db.connections import Limits
from bapsang_api.settings import VARIABLES, Settings, SettingsError, ignored
from bapsang_api.uploads.bucket import Bucket

SERVERS = {
    "BAPSANG_DATABASE_URL": "mysql+pymysql://user:secret@db:3306/bapsang?charset=utf8mb4",
    "BAPSANG_REDIS_URL": "redis://:secret@redis:6379/0",
}
#: Settings that hold an address of HTTP, and what stands for no host there.
HTTP = ("ISSUER", "PUBLIC_URL", "CORS_ORIGINS", "S3_ENDPOINT", "S3_UPLOAD_URL", "S3_PUBLIC_URL")
#: Settings that take every text. One that is new and stands not here has to check its value.
ANY_TEXT = {"BAPSANG_AUDIENCE", "BAPSANG_OPERATOR_NAME", "BAPSANG_SIGNING_KEY_FILE", "BAPSANG_TERMINATION_LOG"}
NO_HOST = ("", ":80", "[", "a b", "a:1:2", "a:", "s3.example.com:0", "s3.example.com:99999", "user:secret@a")


def test_nothing_set_works_on_one_machine() -> None:
    settings = Settings.from_environment({"PATH": "/bin"})
    assert settings.local_database
    assert settings.embedded_redis
    assert settings.signing_key_file is None
    assert (settings.audience, settings.admin_port, settings.log_level) == ("bapsang", 9000, "info")
    assert settings.cors_origins == ("http://localhost:3000", "http://127.0.0.1:3000")


def test_empty_values_count_as_unset() -> None:
    assert Settings.from_environment({"BAPSANG_REDIS_URL": "", "BAPSANG_ISSUER": "  "}) == Settings.from_environment({})


def test_servers_are_taken_as_given() -> None:
    settings = Settings.from_environment({**SERVERS, "BAPSANG_CORS_ORIGINS": "https://a.example.com, http://b:81"})
    assert not settings.local_database
    assert not settings.embedded_redis
    assert settings.cors_origins == ("https://a.example.com", "http://b:81")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BAPSANG_DATABASE_URI", "x"),
        ("BAPSANG_DATABASE_URI", ""),
        ("BAPSANG_issuer", "https://a.example.com"),
        ("BAPSANG_API_SERVICE_HOST", "10.0.0.1"),
        ("BAPSANG_DATABASE_URL", "not a url"),
        ("BAPSANG_DATABASE_URL", "mysql+pymysql://user:secret@db:3306"),
        ("BAPSANG_DATABASE_URL", "mysql://user:secret@db/x"),
        ("BAPSANG_DATABASE_URL", "sqlite://"),
        ("BAPSANG_DATABASE_URL", "sqlite:///:memory:"),
        ("BAPSANG_DATABASE_READER_URL", "postgresql://user:secret@db/x"),
        ("BAPSANG_DATABASE_READER_URL", "sqlite:///copy"),
        ("BAPSANG_DATABASE_POOL_SIZE", "0"),
        ("BAPSANG_DATABASE_POOL_SIZE", "65"),
        ("BAPSANG_DATABASE_POOL_SIZE", "eight"),
        ("BAPSANG_DATABASE_POOL_SIZE", "²"),
        *(("BAPSANG_DATABASE_POOL_SIZE", text) for text in ("+5", "5.0", "1_0", "9" * 5000)),
        ("BAPSANG_DATABASE_QUEUE_SIZE", "-1"),
        ("BAPSANG_DATABASE_CONNECT_SECONDS", "0"),
        ("BAPSANG_DATABASE_STATEMENT_SECONDS", "2"),
        ("BAPSANG_DATABASE_STATEMENT_SECONDS", "5.5"),
        ("BAPSANG_REDIS_URL", "http://:secret@redis:6379"),
        ("BAPSANG_REDIS_URL", "redis://"),
        ("BAPSANG_DATABASE_TLS_CA", "/nowhere/ca.pem"),
        ("BAPSANG_DATABASE_TLS_CA", "/dev/null"),
        ("BAPSANG_REDIS_TLS_CA", "off"),
        ("BAPSANG_REDIS_TLS_CA", "/tmp"),
        ("BAPSANG_ISSUER", "community.example.com"),
        ("BAPSANG_CORS_ORIGINS", "*"),
        ("BAPSANG_CORS_ORIGINS", "https://a.example.com/path"),
        ("BAPSANG_ADMIN_PORT", "70000"),
        ("BAPSANG_ADMIN_PORT", "-1"),
        ("BAPSANG_LOG_LEVEL", "loud"),
        ("BAPSANG_MAX_IN_FLIGHT", "0"),
        ("BAPSANG_REDIS_REPLICA_MS", "1000"),
        ("BAPSANG_MAX_IN_FLIGHT", "many"),
        ("BAPSANG_CONTACT_EMAIL", "nobody"),
        ("BAPSANG_MAIL_FROM", "밥상 <no-reply@example.com>"),
        ("BAPSANG_MAIL_FROM", "a@example.com\nBcc: b@example.com"),
        ("BAPSANG_MAIL_FROM", "secret"),
        ("BAPSANG_SMTP_TLS_CA", "/dev/null"),
        ("BAPSANG_SMTP_URL", "smtp://user:secret@mail.example.com?tls=none"),
        ("BAPSANG_SMTP_URL", "smtp://user:se@cret@mail.example.com"),
        ("BAPSANG_SMTP_URL", "http://user:secret@mail.example.com"),
        ("BAPSANG_S3_BUCKET", "Media"),
        ("BAPSANG_S3_BUCKET", "a/b"),
        ("BAPSANG_S3_REGION", "Seoul!"),
        ("BAPSANG_S3_ENDPOINT", "s3.example.com"),
        ("BAPSANG_S3_ENDPOINT", "https://s3.example.com/path"),
        ("BAPSANG_S3_UPLOAD_URL", "https://user:secret@s3.example.com"),
        ("BAPSANG_S3_PUBLIC_URL", "images.example.com"),
        *((f"BAPSANG_{name}", f"https://{text}") for name in HTTP for text in NO_HOST),
        ("BAPSANG_RATE_LIMITS", "none"),
        ("BAPSANG_RATE_LIMITS", "ip=0/60"),
        ("BAPSANG_RATE_LIMITS", "ip=5/60,read=5/60"),
        ("BAPSANG_RATE_LIMITS", "ip=5/86401"),
    ],
)
def test_bad_value_is_refused_in_one_line_that_names_it_and_hides_secrets(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({**SERVERS, variable: value})
    text = str(refused.value)
    assert text.startswith(f"{variable} ")
    assert "\n" not in text
    assert "secret" not in text


@pytest.mark.parametrize("variable", sorted(VARIABLES))
@pytest.mark.parametrize("value", ["Wonder land", "Wonder\udcffland"], ids=["text", "no UTF-8"])
def test_no_setting_takes_what_does_not_fit_or_repeats_it(variable: str, value: str) -> None:
    if variable in ANY_TEXT and value.isascii():
        Settings.from_environment({variable: value})
        return
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({variable: value})
    text = str(refused.value)
    assert text.startswith(f"{variable} ")
    assert ": give " in text
    assert endings.of(refused.value) == endings.Ending(endings.Code.SETTING_REFUSED, setting=variable)
    assert "Wonder" not in "".join(traceback.format_exception(refused.value))


def test_optional_settings_count_where_they_are_known_and_stop_nobody_where_they_are_not() -> None:
    """A newer operator sets them for images of any age; what people set themselves is refused as before."""
    given = {
        "OPTIONAL_BAPSANG_PUBLIC_URL": "https://new.example.com",
        "OPTIONAL_BAPSANG_AUDIENCE": "optional",
        "BAPSANG_AUDIENCE": "said",
        "OPTIONAL_BAPSANG_OF_NEXT_YEAR": "x",
        "OPTIONAL_OTHER": "x",
    }
    settings = Settings.from_environment(given)
    assert (settings.public_url, settings.audience) == ("https://new.example.com", "said")
    assert ignored(given) == ["OPTIONAL_BAPSANG_OF_NEXT_YEAR"]
    with pytest.raises(SettingsError, match=r"^BAPSANG_PUBLIC_URL "):
        Settings.from_environment({"OPTIONAL_BAPSANG_PUBLIC_URL": "nowhere"})


def test_a_mail_server_needs_a_sender_and_one_word_on_tls(tmp_path: Path) -> None:
    assert Settings.from_environment({"BAPSANG_MAIL_FROM": "a@b.example"}).mail is None
    near = {"BAPSANG_SMTP_URL": "smtp://mail?tls=none", "BAPSANG_MAIL_FROM": "a@b.example"}
    assert Settings.from_environment(near).mail
    with pytest.raises(SettingsError, match=r"^BAPSANG_SMTP_TLS_CA is set beside tls=none"):
        _ = Settings.from_environment(near | {"BAPSANG_SMTP_TLS_CA": Authority().save(tmp_path)}).mail
    far = Settings.from_environment({"BAPSANG_SMTP_URL": "smtp://user:secret@mail.example.com"})
    with pytest.raises(SettingsError, match=r"^BAPSANG_MAIL_FROM is not set: give "):
        _ = far.mail


def test_nothing_is_read_but_what_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("BAPSANG_AUDIENCE=file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAPSANG_AUDIENCE", "process")
    monkeypatch.setenv("BAPSANG_UNKNOWN", "process")
    assert Settings.from_environment({}).audience == "bapsang"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.from_environment({}).audience = "another"  # type: ignore[misc]


def test_connections_and_waits_are_limited_as_given() -> None:
    given = {
        "BAPSANG_DATABASE_POOL_SIZE": "20",
        "BAPSANG_DATABASE_QUEUE_SIZE": "0",
        "BAPSANG_DATABASE_CONNECT_SECONDS": "1",
        "BAPSANG_DATABASE_STATEMENT_SECONDS": "10",
    }
    assert Settings.from_environment({**SERVERS, **given}).database_limits == Limits(20, 0, 1, 10)
    assert Settings.from_environment(SERVERS).database_limits == Limits()


def test_a_sqlite_file_has_no_replica() -> None:
    with pytest.raises(SettingsError, match="BAPSANG_DATABASE_READER_URL needs MySQL on both sides"):
        Settings.from_environment({"BAPSANG_DATABASE_READER_URL": SERVERS["BAPSANG_DATABASE_URL"]})


def test_mysql_with_the_embedded_redis_is_refused() -> None:
    settings = Settings.from_environment({"BAPSANG_DATABASE_URL": SERVERS["BAPSANG_DATABASE_URL"]})
    with pytest.raises(SettingsError, match="BAPSANG_REDIS_URL is not set"):
        _ = settings.shared_redis


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("host", ["s3.example.com:65535", "[fd00::1]:1", "127.0.0.1", "localhost"])
def test_addresses_with_a_port_that_exists_are_taken(name: str, host: str) -> None:
    Settings.from_environment({f"BAPSANG_{name}": f"https://{host}"})


def test_rate_limits_change_by_name_or_are_off() -> None:
    changed = Settings.from_environment({"BAPSANG_RATE_LIMITS": "ip=5/60, write=off"}).rate_limits
    assert changed == {name: rate for name, rate in DEFAULTS.items() if name != Limit.WRITE} | {Limit.IP: Rate(5, 60)}
    assert Settings.from_environment({"BAPSANG_RATE_LIMITS": "off"}).rate_limits == {}


def bucket_of(**given: str) -> Bucket:
    names = {f"BAPSANG_S3_{name.upper()}": value for name, value in given.items()}
    bucket = Settings.from_environment({"BAPSANG_S3_BUCKET": "media", **names}).bucket
    assert bucket is not None
    return bucket


def test_without_a_bucket_uploads_are_off() -> None:
    assert Settings.from_environment({"BAPSANG_S3_ENDPOINT": "http://s3:7070"}).bucket is None


def test_bucket_on_aws_is_addressed_by_its_name() -> None:
    bucket = bucket_of()
    assert (bucket.region, bucket.endpoint, bucket.upload_origin) == ("ap-northeast-2", None, None)
    assert bucket.url("public/post/x.jpg") == "https://media.s3.ap-northeast-2.amazonaws.com/public/post/x.jpg"


def test_bucket_at_an_endpoint_is_addressed_by_path_everywhere() -> None:
    bucket = bucket_of(endpoint="http://s3:7070/")
    assert (bucket.endpoint, bucket.upload_origin) == ("http://s3:7070", "http://s3:7070")
    assert bucket.url("public/post/x.jpg") == "http://s3:7070/media/public/post/x.jpg"


def test_clients_and_pages_may_have_addresses_of_their_own() -> None:
    bucket = bucket_of(
        endpoint="http://s3:7070", upload_url="https://a.example.com", public_url="https://cdn.example.com/i/"
    )
    assert (bucket.endpoint, bucket.upload_origin) == ("http://s3:7070", "https://a.example.com")
    assert bucket.url("public/post/x.jpg") == "https://cdn.example.com/i/public/post/x.jpg"


def test_what_verifies_a_server_goes_into_each_of_its_urls(tmp_path: Path) -> None:
    """So whoever connects by one of them verifies."""
    ca = Authority().save(tmp_path)
    reader = "mysql+pymysql://user:se?cret@replica/bapsang"
    given = {**SERVERS, "BAPSANG_DATABASE_READER_URL": reader, "BAPSANG_DATABASE_TLS_CA": ca}
    settings = Settings.from_environment({**given, "OPTIONAL_BAPSANG_REDIS_TLS_CA": "system"})
    assert settings.database_url == f"{SERVERS['BAPSANG_DATABASE_URL']}&tls_ca={ca}"
    assert settings.database_reader_url == f"{reader}?tls_ca={ca}"
    assert settings.redis_url == f"{SERVERS['BAPSANG_REDIS_URL']}?tls_ca=system"
    assert Settings.from_environment(SERVERS).database_url == SERVERS["BAPSANG_DATABASE_URL"]


@pytest.mark.parametrize(
    ("variable", "url", "option"),
    [
        ("BAPSANG_DATABASE_URL", "mysql+pymysql://user:secret@db/x?ssl_disabled=true", "ssl_disabled"),
        (
            "BAPSANG_DATABASE_READER_URL",
            "mysql+pymysql://u:secret@db/x?a=b&ssl_check_hostname=false",
            "ssl_check_hostname",
        ),
        ("BAPSANG_DATABASE_URL", "mysql+pymysql://user:secret@db/x?SSL=off", "SSL"),
        ("BAPSANG_REDIS_URL", "rediss://:secret@redis/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("BAPSANG_REDIS_URL", "redis://:secret@redis/0?tls_ca=system", "tls_ca"),
    ],
)
def test_url_has_no_say_where_its_server_is_verified(variable: str, url: str, option: str) -> None:
    """`ssl_disabled` would send the password in clear, with a setting beside it that forbids it."""
    given = {**SERVERS, variable: url}
    Settings.from_environment(given)
    verified = {"BAPSANG_DATABASE_TLS_CA": "system", "BAPSANG_REDIS_TLS_CA": "system"}
    with pytest.raises(SettingsError, match=f"^{variable} has the option {option}, ") as refused:
        Settings.from_environment({**given, **verified})
    assert "secret" not in str(refused.value)
