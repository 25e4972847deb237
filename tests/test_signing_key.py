"""The key's file: private from its first moment, made once, and refused when others could have it."""

import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from adapters.ed25519_key import make_key, open_key
from adapters.key_file import key_file
from adapters.signature_check import verify_signature
from domain.errors import DeedbookError, Forbidden, NotFound, Unavailable
from tests.note_samples import PUBLIC, published_signer


def test_a_new_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "log.key"
    before = os.umask(0)
    try:
        assert make_key(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]
    signer = open_key(file)
    assert verify_signature(signer.public_key, b"text", signer.sign_note(b"text"))
    assert not verify_signature(signer.public_key, b"texts", signer.sign_note(b"text"))


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "log.key"
    assert make_key(file)
    first = file.read_bytes()
    assert not make_key(file)
    assert file.read_bytes() == first
    assert list(tmp_path.iterdir()) == [file]


def test_of_many_that_make_the_key_at_once_one_does(tmp_path: Path) -> None:
    file = tmp_path / "log.key"
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(make_key(file))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(made) == [False] * 7 + [True]
    open_key(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644, 0o610])
def test_a_key_that_others_could_have_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "log.key"
    make_key(file)
    file.chmod(mode)
    with pytest.raises(Forbidden) as caught:
        open_key(file)
    assert caught.value.code == "signing-key-exposed"


def test_an_absent_key_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        open_key(tmp_path / "log.key")
    assert caught.value.code == "signing-key-absent"


def pem(encryption: KeySerializationEncryption) -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"secret words\n",
        pem(BestAvailableEncryption(b"pw")),
        pem(NoEncryption())[:60],
        generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    ],
    ids=["nothing", "words", "with a password", "cut short", "another kind"],
)
def test_what_is_no_such_key_is_refused_and_never_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "log.key"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(Unavailable) as caught:
        open_key(file)
    assert caught.value.code == "signing-key-unusable"
    assert "secret" not in caught.value.detail


def test_a_folder_or_an_unwritable_place_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_key(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        make_key(tmp_path / "file" / "log.key")


def test_a_place_is_a_file_until_more_can_be_reached(tmp_path: Path) -> None:
    assert key_file("file:/etc/deedbook/log.key") == Path("/etc/deedbook/log.key")
    assert key_file("file:///etc/deedbook/log.key") == Path("/etc/deedbook/log.key")
    assert key_file("file:log.key") == Path.cwd() / "log.key"
    for uri in ("gcpkms://projects/p", "awskms:///alias/x", "/etc/log.key", ""):
        with pytest.raises(DeedbookError) as caught:
            key_file(uri)
        assert caught.value.code == "signing-key-unsupported"


def test_a_signer_shows_no_secret() -> None:
    assert repr(published_signer()) == f"FileSigner({PUBLIC.hex()})"
    assert not verify_signature(b"short", b"text", bytes(64))
