"""The keys of an issuer: which signatures hold, how often it is asked, and what it can do to us."""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import httpx2
import pytest

from adapters import issuer_keys
from adapters.issuer_keys import IssuerKeys, Presented
from domain.errors import Unauthenticated, Unavailable
from tests.issuer_double import (
    DISCOVERY,
    KEYS,
    IssuerDouble,
    confuse,
    encoded,
    jwk,
    private_key,
    send,
    sign,
)


@pytest.fixture
def issuer() -> Iterator[IssuerDouble]:
    with IssuerDouble().running() as double:
        yield double


class Seconds:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def keys(seconds: Seconds) -> IssuerKeys:
    return IssuerKeys(monotonic=seconds)


def refused(keys: IssuerKeys, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        keys.verify(Presented(token))
    assert caught.value.code == "oidc-token-refused"
    return caught.value.detail


def away(keys: IssuerKeys, token: str) -> str:
    with pytest.raises(Unavailable) as caught:
        keys.verify(Presented(token))
    assert caught.value.code == "issuer-unavailable"
    return caught.value.detail


def header(**members: object) -> dict[str, object]:
    return {"typ": "JWT", "alg": "RS256", "kid": "first", **members}


def test_a_signature_of_the_issuer_holds(issuer: IssuerDouble, keys: IssuerKeys) -> None:
    presented = Presented(issuer.token())
    assert presented.issuer == issuer.url
    keys.verify(presented)
    keys.verify(Presented(issuer.token()))
    assert issuer.requests == [DISCOVERY, KEYS]


def test_every_other_algorithm_is_refused(issuer: IssuerDouble, keys: IssuerKeys) -> None:
    payload = json.dumps(issuer.payload()).encode()
    start = encoded(json.dumps(header(alg="none")).encode()) + "." + encoded(payload)
    refused(keys, confuse("first", header(), payload))
    for token in (
        confuse("first", header(alg="HS256"), payload),
        sign("first", header(alg="none"), payload),
        sign("first", header(alg="RS512"), payload),
        sign("first", header(alg="PS256"), payload),
        sign("first", header(alg=["RS256"]), payload),
        sign("first", {"typ": "JWT", "kid": "first"}, payload),
        f"{start}.{encoded(b'x')}",
    ):
        assert "not signed with RS256" in refused(keys, token)
    refused(keys, f"{start}.")


def test_every_changed_byte_is_refused(issuer: IssuerDouble, keys: IssuerKeys) -> None:
    parts = issuer.token().split(".")
    for place, part in enumerate(parts):
        for at in range(0, len(part), 37):
            other = "A" if part[at] != "A" else "B"
            changed = [*parts]
            changed[place] = part[:at] + other + part[at + 1 :]
            with pytest.raises(Unauthenticated):
                keys.verify(Presented(".".join(changed)))
    keys.verify(Presented(".".join(parts)))


def test_a_key_of_somebody_else_does_not_help(issuer: IssuerDouble, keys: IssuerKeys) -> None:
    payload = json.dumps(issuer.payload()).encode()
    assert "signature" in refused(keys, sign("other", header(), payload))
    # A key in the header, or an address of one, is never looked at.
    for name, value in (
        ("jwk", jwk("other")),
        ("jku", f"{issuer.url}/evil"),
        ("x5u", f"{issuer.url}/evil"),
    ):
        refused(keys, sign("other", header(**{name: value}), payload))
    assert set(issuer.requests) == {DISCOVERY, KEYS}


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": True},
        {"typ": "at+jwt"},
        {"kid": None},
        {"kid": ""},
        {"kid": 7},
        {"kid": "x" * 257},
    ],
)
def test_a_header_that_asks_for_more_is_refused(
    issuer: IssuerDouble, keys: IssuerKeys, members: Mapping[str, object]
) -> None:
    payload = json.dumps(issuer.payload()).encode()
    refused(keys, sign("first", header(**members), payload))
    assert issuer.requests == []


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"7",
        b"{",
        b"\xff",
        b'{"iss": 1, "iss": 2}',
        b'{"iss": "x", "f": 1.5}',
        b'{"iss": "x", "f": NaN}',
        b'{"iss": "\\u0000"}',
        b'{"iss": ' + b"[" * 100 + b"]" * 100 + b"}",
    ],
)
def test_a_payload_that_is_no_object_or_has_two_meanings_is_refused(
    keys: IssuerKeys, payload: bytes
) -> None:
    refused(keys, sign("first", header(), payload))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c.d", "é.b.c", "a.b.c", "eyJ9.eyJ9.eyJ9", "x" * 20_000, "a b.c.d"],
)
def test_what_is_no_token_is_refused(keys: IssuerKeys, token: str) -> None:
    refused(keys, token)


def test_a_token_has_one_spelling(issuer: IssuerDouble, keys: IssuerKeys) -> None:
    token = issuer.token()
    start, payload, signature = token.split(".")
    # The last character of 256 bytes has four bits that mean nothing.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(signature[-1]) + 1]
    assert base64.urlsafe_b64decode(f"{signature[:-1]}{last}==") == base64.urlsafe_b64decode(
        f"{signature}=="
    )
    refused(keys, f"{start}.{payload}.{signature[:-1]}{last}")
    for spelled in (
        f"{start}.{payload}.{signature}=",
        f"{start}.{payload}=.{signature}",
        f"{token}\n",
        f" {token}",
        token.replace("-", "+").replace("_", "/") + "=",
    ):
        refused(keys, spelled)


def test_an_oversize_token_is_refused_before_anybody_is_asked(
    issuer: IssuerDouble, keys: IssuerKeys
) -> None:
    assert "at most" in refused(keys, issuer.token(filler="x" * 16_000))
    assert issuer.requests == []


def test_a_rotated_key_is_found_and_an_unknown_one_asked_for_once_a_minute(
    issuer: IssuerDouble, keys: IssuerKeys, seconds: Seconds
) -> None:
    keys.verify(Presented(issuer.token()))
    issuer.keys = [jwk("second")]
    assert "no key of that name" in refused(keys, issuer.token("second"))
    seconds.now += issuer_keys.RELOAD_SECONDS - 1
    refused(keys, issuer.token("second"))
    assert len(issuer.requests) == 2
    seconds.now += 1
    keys.verify(Presented(issuer.token("second")))
    assert len(issuer.requests) == 4
    # The old one is gone with its publication.
    refused(keys, issuer.token("first"))
    assert len(issuer.requests) == 4


def test_a_key_that_is_published_no_more_ends_within_an_hour(
    issuer: IssuerDouble, keys: IssuerKeys, seconds: Seconds
) -> None:
    keys.verify(Presented(issuer.token()))
    issuer.keys = [jwk("second")]
    seconds.now += issuer_keys.KEEP_SECONDS - 1
    keys.verify(Presented(issuer.token()))
    seconds.now += 1
    refused(keys, issuer.token())
    assert len(issuer.requests) == 4


def test_an_issuer_that_is_away_is_said_and_not_asked_again_at_once(
    issuer: IssuerDouble, keys: IssuerKeys, seconds: Seconds
) -> None:
    issuer.answers[DISCOVERY] = lambda request: send(request, {}, 500)
    token = issuer.token()
    assert "status 500" in away(keys, token)
    assert "status 500" in away(keys, token)
    assert len(issuer.requests) == 1
    seconds.now += issuer_keys.FAILURE_SECONDS
    issuer.answers.clear()
    keys.verify(Presented(token))


def test_an_issuer_that_is_away_does_not_spoil_the_keys_that_are_known(
    issuer: IssuerDouble, keys: IssuerKeys, seconds: Seconds
) -> None:
    keys.verify(Presented(issuer.token()))
    issuer.answers[KEYS] = lambda request: send(request, {}, 503)
    seconds.now += issuer_keys.RELOAD_SECONDS
    away(keys, issuer.token("second"))
    keys.verify(Presented(issuer.token()))
    away(keys, issuer.token("second"))
    assert len(issuer.requests) == 4


def test_nobody_answers_at_the_issuers_address(keys: IssuerKeys) -> None:
    with IssuerDouble().running() as gone:
        token = gone.token()
    away(keys, token)


def drip(request: BaseHTTPRequestHandler) -> None:
    """Announces an answer and never ends it."""
    request.send_response(200)
    request.end_headers()
    for _ in range(2_000):
        try:
            request.wfile.write(b" ")
        except OSError:
            return
        time.sleep(0.005)


def test_an_answer_without_an_end_is_given_up(
    issuer: IssuerDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_keys, "ANSWER_SECONDS", 0.05)
    issuer.answers[DISCOVERY] = drip
    assert "too long" in away(IssuerKeys(), issuer.token())


def test_an_issuer_that_never_answers_is_given_up(issuer: IssuerDouble) -> None:
    issuer.released.clear()

    def impatient(_: str) -> httpx2.Client:
        return httpx2.Client(timeout=0.05, trust_env=False)

    away(IssuerKeys(impatient), issuer.token())


def test_what_an_issuer_answers_is_not_believed_blindly(
    issuer: IssuerDouble, keys: IssuerKeys, seconds: Seconds
) -> None:
    token = issuer.token()
    elsewhere = {"issuer": issuer.url, "jwks_uri": "http://localhost:1/keys"}
    answers = {
        "another issuer": {"issuer": f"{issuer.url}/", "jwks_uri": issuer.url + KEYS},
        "own host": elsewhere,
        "own host ": {"issuer": issuer.url},
        "own host  ": {"issuer": issuer.url, "jwks_uri": 7},
        "own host   ": {"issuer": issuer.url, "jwks_uri": "http://[x"},
        "not a JSON object": [],
        "not a JSON object ": b"<html>",
        f"more than {issuer_keys.MAX_ANSWER_BYTES}": {"x": "y" * issuer_keys.MAX_ANSWER_BYTES},
    }
    for said, answer in answers.items():
        issuer.answers[DISCOVERY] = lambda request, answer=answer: send(request, answer)  # type: ignore[misc]
        assert said.strip() in away(keys, token)
        seconds.now += issuer_keys.FAILURE_SECONDS
    issuer.answers[DISCOVERY] = lambda request: send(request, {}, 302, Location=issuer.url + KEYS)
    assert "status 302" in away(keys, token)
    seconds.now += issuer_keys.FAILURE_SECONDS
    issuer.answers[DISCOVERY] = lambda request: send(request, b"x", Content_Encoding="gzip")
    assert "compressed" in away(keys, token)
    assert KEYS not in issuer.requests


def test_keys_that_cannot_have_signed_are_passed_over(
    issuer: IssuerDouble, keys: IssuerKeys
) -> None:
    small = private_key("small").public_key().public_numbers().n
    issuer.keys = [
        {"kty": "oct", "kid": "first", "k": "AAAA"},
        jwk("other", kid="first", use="enc"),
        jwk("other", kid="first", alg="RS512"),
        jwk("other", kid="first", n="%"),
        jwk("other", kid="first", e="AQABAQABAQAB"),
        jwk("other", kid=7),
        jwk("other", kid="small", n=encoded(small.to_bytes(128, "big"))),
        jwk("first"),
        jwk("other", kid="first"),
        jwk("private", kid="private", d="AAAA"),
    ]
    keys.verify(Presented(issuer.token()))
    payload = json.dumps(issuer.payload()).encode()
    token = sign("small", header(kid="small"), payload)
    assert "no key of that name" in refused(keys, token)
    issuer.keys = 7  # type: ignore[assignment]  # an answer that must be borne
    assert "no key of that name" in refused(IssuerKeys(), issuer.token())


def test_many_that_come_at_once_ask_once(issuer: IssuerDouble) -> None:
    keys = IssuerKeys()
    issuer.released.clear()
    with ThreadPoolExecutor(8) as pool:
        under_way = [pool.submit(keys.verify, Presented(issuer.token())) for _ in range(8)]
        assert issuer.asked.wait(30)
        issuer.released.set()
        for one in under_way:
            one.result(30)
    assert issuer.requests == [DISCOVERY, KEYS]


def test_who_waits_for_another_is_not_kept_for_ever(
    issuer: IssuerDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_keys, "WAIT_SECONDS", 0.01)
    keys = IssuerKeys()
    issuer.released.clear()
    first = threading.Thread(target=keys.verify, args=(Presented(issuer.token()),))
    first.start()
    assert issuer.asked.wait(30)
    assert "still waiting" in away(keys, issuer.token())
    issuer.released.set()
    first.join(30)
    keys.verify(Presented(issuer.token()))
