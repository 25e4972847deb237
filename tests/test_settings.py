"""The settings: what they default to, how they are given, and what is said of a wrong one."""

import os
from pathlib import Path

import msgspec
import pytest

from app import settings as subject
from app.settings import CHECKOUT, SECRETS, Settings, read_settings
from domain.errors import Malformed

SECRET = "postgresql://ada:s3cret@db.example/deedbook"
DOCUMENT = CHECKOUT / "docs" / "operations.md"


def refused(environment: dict[str, str]) -> str:
    with pytest.raises(Malformed) as caught:
        read_settings(environment)
    assert caught.value.code == "invalid-parameter"
    return caught.value.detail


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = read_settings({})
    assert settings == Settings()
    assert settings.embedded
    assert settings.data_folder == Path.cwd() / ".deedbook"
    assert (settings.deedbook_listen, settings.deedbook_port) == ("127.0.0.1", 8000)


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEDBOOK_PORT", "9000")
    assert read_settings().deedbook_port == 9000


def test_each_is_the_variable_of_its_name_and_the_rest_is_left_alone() -> None:
    settings = read_settings(
        {
            "DATABASE_URL": SECRET,
            "DEEDBOOK_POOLED": "true",
            "DEEDBOOK_DATA": "~/kept",
            "DEEDBOOK_PORT": "0",
            "DEEDBOOK_ACCESS_LOG": "1",
            "DEEDBOOK_REPOSITORY": "~/code",
            "PATH": "elsewhere",
        }
    )
    assert settings.database_url == SECRET
    assert not settings.embedded
    assert settings.deedbook_pooled
    assert settings.data_folder == Path.home() / "kept"
    assert settings.deedbook_port == 0
    assert settings.deedbook_access_log
    assert settings.repository == Path.home() / "code"


@pytest.mark.parametrize("host", ["vector.example", "10.0.0.7:8080", "localhost.example"])
def test_the_token_of_a_hosted_index_is_not_sent_where_others_can_read_it(host: str) -> None:
    settings = read_settings(
        {"UPSTASH_VECTOR_REST_URL": f"http://{host}", "UPSTASH_VECTOR_REST_TOKEN": "t"}
    )
    with pytest.raises(Malformed, match="use https://"):
        _ = settings.vector_index
    for good in (f"https://{host}", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9"):
        settings = msgspec.structs.replace(settings, upstash_vector_rest_url=good)
        assert settings.vector_index is not None


def test_contents_that_come_with_an_append_stay_in_the_database() -> None:
    name = "DEEDBOOK_BLOB_STORE_ABOVE_BYTES"
    assert read_settings({name: "1048576"}).deedbook_blob_store_above_bytes == 1_048_576
    assert name in refused({name: "1048575"})


def test_an_empty_variable_is_an_unset_one() -> None:
    assert read_settings({"DATABASE_URL": "", "DEEDBOOK_PORT": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEEDBOOK_PORT", "many"),
        ("DEEDBOOK_PORT", "65536"),
        ("DEEDBOOK_PORT", "-1"),
        ("DEEDBOOK_POOLED", "perhaps"),
        ("DEEDBOOK_HOST", "UPPER.example"),
        ("DEEDBOOK_HOST", "ends.with.newline\n"),
        ("DEEDBOOK_HOST", "a/b"),
    ],
)
def test_a_wrong_one_is_named(name: str, value: str) -> None:
    assert refused({name: value}).startswith(f"The setting {name} is wrong: Expected ")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_can_come_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    settings = read_settings({f"{name}_FILE": str(file)})
    assert getattr(settings, name.lower()) == SECRET


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    said = refused({"DATABASE_URL": SECRET, "DATABASE_URL_FILE": str(tmp_path)})
    assert said == "Set DATABASE_URL or DATABASE_URL_FILE, not both."


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff", b"x" * 8_193])
def test_a_file_without_a_secret_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    assert refused({"DEEDBOOK_TOKEN_FILE": str(file)}).startswith("DEEDBOOK_TOKEN_FILE ")


def test_secrets_do_not_show(tmp_path: Path) -> None:
    settings = read_settings(dict.fromkeys(SECRETS, "s3cret"))
    assert "s3cret" not in f"{settings!r} {settings} {[settings]}"


def test_the_repository_is_the_one_of_the_checkout_or_of_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings().repository == CHECKOUT
    monkeypatch.setattr(subject, "CHECKOUT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert Settings().repository == tmp_path


def test_a_hosted_index_is_an_address_and_a_token(tmp_path: Path) -> None:
    url = {"UPSTASH_VECTOR_REST_URL": "https://name-1-us1-vector.upstash.io"}
    token = {"UPSTASH_VECTOR_REST_TOKEN": "s3cret"}
    found = read_settings(url | token).vector_index
    assert found is not None
    assert (found.url, found.token) == ("https://name-1-us1-vector.upstash.io", "s3cret")
    assert "s3cret" not in f"{found!r} {found} {[found]}"
    assert read_settings({}).vector_index is None


@pytest.mark.parametrize(("given", "missing"), [("URL", "TOKEN"), ("TOKEN", "URL")])
def test_one_of_them_without_the_other_is_refused(given: str, missing: str) -> None:
    settings = read_settings({f"UPSTASH_VECTOR_REST_{given}": "http://127.0.0.1:1"})
    with pytest.raises(
        Malformed, match=f"_{given} is set and UPSTASH_VECTOR_REST_{missing} is not"
    ):
        _ = settings.vector_index


@pytest.mark.parametrize(
    "url",
    [
        "name.upstash.io",
        "ftp://a.example",
        "https://a.example/?all",
        "https://a b",
        "https://",
        "https://a.example:65536",
        "https://a.example:99999",
    ],
)
def test_the_address_of_an_index_is_one(url: str) -> None:
    said = refused({"UPSTASH_VECTOR_REST_URL": url})
    assert said.startswith("The setting UPSTASH_VECTOR_REST_URL is wrong")


@pytest.mark.parametrize(
    "port", ["", ":1", ":8080", ":59999", ":64999", ":65499", ":65529", ":65535"]
)
def test_an_index_may_be_at_any_port(port: str) -> None:
    url = f"https://a.example{port}"
    assert read_settings({"UPSTASH_VECTOR_REST_URL": url}).upstash_vector_rest_url == url


def test_every_setting_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    missing = [name for name in Settings.__struct_encode_fields__ if f"| `{name}` |" not in text]
    assert missing == []
    for name in msgspec.structs.fields(Settings):
        assert name.name in (Settings.__doc__ or "")


def test_only_the_settings_read_the_environment() -> None:
    folder = CHECKOUT / "app"
    readers = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*.py")
        if "os.environ" in file.read_text("utf-8")
    }
    assert os.environ
    # The verifier's one file is a program of its own, and has no settings.
    assert readers <= {"settings.py", "cli/root.py", "offline/verifier/main.py"}
