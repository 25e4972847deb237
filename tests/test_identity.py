"""The claims of an identity token, and the entries that they are held against."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from adapters import postgres_tokens
from domain import trusted_issuer
from domain.errors import Invalid, Unauthenticated
from domain.events import MAX_ACTOR_CHARACTERS
from domain.identity import GITHUB, Identity, read_identity
from domain.trusted_issuer import Trust

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
CLAIMS = {
    "iss": GITHUB,
    "aud": "https://ledger.example",
    "jti": "abc",
    "sub": "whatever",
    "iat": SECONDS,
    "nbf": SECONDS,
    "exp": SECONDS + 300,
    "repository_id": "74",
    "ref": "refs/heads/main",
    "workflow_ref": "o/r/.github/workflows/x.yml@refs/heads/main",
    "run_id": "123",
    "run_attempt": "2",
}
TRUST = Trust(
    name="ci",
    audience="https://ledger.example",
    claims={"repository_id": "74"},
    projects=("alpha",),
    scopes=("events:append",),
)


def read(**claims: object) -> Identity:
    merged = {**CLAIMS, **claims}
    present = {name: value for name, value in merged.items() if value is not None}
    return read_identity(present, GITHUB, NOW)


def test_a_job_is_recorded_by_its_workflow_and_run() -> None:
    identity = read()
    assert identity.actor == "github:o/r/.github/workflows/x.yml@refs/heads/main run 123/2"
    assert identity.expires_at == NOW + timedelta(seconds=300)
    assert identity.keep_until == NOW + timedelta(seconds=360)
    assert identity.audience == read(aud=["https://ledger.example"]).audience


def test_another_issuers_job_is_not_taken_for_one_of_github() -> None:
    claims = {**CLAIMS, "iss": "https://git.example:8443/x"}
    identity = read_identity(claims, "https://git.example:8443/x", NOW)
    assert identity.actor.startswith("oidc:git.example:o/r/")
    for issuer in (f"{GITHUB}/octo", f"{GITHUB}.example.com"):
        actor = read_identity({**CLAIMS, "iss": issuer}, issuer, NOW).actor
        assert actor.startswith("oidc:")


def test_a_job_without_a_workflow_is_recorded_by_its_subject_as_it_is() -> None:
    assert read(workflow_ref=None).actor == "github:whatever"
    assert read(run_id=None).actor == "github:whatever"
    assert read(workflow_ref=None, job_workflow_ref="o/r/x@y").actor == "github:o/r/x@y run 123/2"


def test_an_actor_is_never_too_long_and_never_hides_its_run() -> None:
    actor = read(workflow_ref="o/r/" + "x" * 400).actor
    assert len(actor) == MAX_ACTOR_CHARACTERS
    assert actor.endswith("x… run 123/2")
    assert read(workflow_ref="o/r/\u202ex\n@y").actor == "github:o/r/_x_@y run 123/2"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("iss", "https://other.example", "iss is not"),
        ("iss", None, "iss is not"),
        ("exp", SECONDS - 60, "expired"),
        ("exp", None, "exp is not a number"),
        ("exp", str(SECONDS + 300), "exp is not a number"),
        ("exp", True, "exp is not a number"),
        ("exp", SECONDS + 86_401, "more than a day"),
        ("exp", 10**15, "more than a day"),
        ("iat", SECONDS + 61, "iat is in the future"),
        ("iat", None, "iat is not a number"),
        ("nbf", SECONDS + 61, "nbf is in the future"),
        ("nbf", "soon", "nbf is not a number"),
        ("nbf", -1, "nbf is not a number"),
        ("aud", None, "aud does not name one"),
        ("aud", [], "aud does not name one"),
        ("aud", ["https://ledger.example", "https://other.example"], "aud does not name one"),
        ("aud", 7, "aud does not name one"),
        ("aud", "", "aud does not name one"),
        ("jti", None, "jti is not a text"),
        ("jti", "", "jti is not a text"),
        ("jti", "x" * 1_025, "jti is not a text"),
        ("jti", 7, "jti is not a text"),
    ],
)
def test_a_claim_that_is_wrong_is_named(name: str, value: object, said: str) -> None:
    with pytest.raises(Unauthenticated, match=said) as caught:
        read(**{name: value})
    assert caught.value.code == "oidc-token-refused"


def test_clocks_may_be_a_minute_apart() -> None:
    read(exp=SECONDS - 59)
    read(iat=SECONDS + 60)
    read(nbf=SECONDS + 60)
    read(nbf=None)
    read(exp=SECONDS + 86_400)


@pytest.mark.parametrize("claims", [[], "x", None, {str(n): n for n in range(101)}])
def test_a_payload_of_another_shape_is_refused(claims: object) -> None:
    with pytest.raises(Unauthenticated, match="not an object"):
        read_identity(claims, GITHUB, NOW)


def test_an_entry_fits_when_every_claim_is_equal() -> None:
    assert TRUST.fits(read())
    both = msgspec.structs.replace(TRUST, claims={"repository_id": "74", "ref": "refs/heads/main"})
    assert both.fits(read())
    for claims in (
        {"ref": "refs/heads/mai"},
        {"ref": "refs/heads/main2"},
        {"ref": None},
        {"ref": ["refs/heads/main"]},
        {"repository_id": 74},
        {"repository_id": "75"},
        {"aud": "https://ledger.example/"},
    ):
        assert not both.fits(read(**claims)), claims
    assert not msgspec.structs.replace(both, issuer="https://other.example").fits(read())


@pytest.mark.parametrize(
    ("member", "value", "pointer"),
    [
        ("name", "", "/name"),
        ("name", "x" * 101, "/name"),
        ("name", "a\nb", "/name"),
        ("issuer", "http://issuer.example", "/issuer"),
        ("issuer", "https://issuer.example/", "/issuer"),
        ("issuer", "https://user@issuer.example", "/issuer"),
        ("issuer", "https://issuer.example?x", "/issuer"),
        ("issuer", "https://issuer.example#x", "/issuer"),
        ("issuer", "https://issuer.example:99999", "/issuer"),
        ("issuer", "https://", "/issuer"),
        ("issuer", "ftp://127.0.0.1", "/issuer"),
        ("issuer", "", "/issuer"),
        ("audience", "", "/audience"),
        ("audience", "ledger", "/audience"),
        ("audience", "https://github.com/octo-org", "/audience"),
        ("claims", {}, "/claims"),
        ("claims", {"ref": "refs/heads/main"}, "/claims"),
        ("claims", {"repository_id": "74", "sub": "x"}, "/claims/sub"),
        ("claims", {"repository_id": "74", "a/b~": "x"}, "/claims/a~1b~0"),
        ("claims", {"repository_id": "octo"}, "/claims/repository_id"),
        ("claims", {"repository_owner_id": ""}, "/claims/repository_owner_id"),
        ("claims", {"repository": "octo"}, "/claims/repository"),
        ("claims", {"repository": "octo/*"}, "/claims/repository"),
        ("claims", {"repository_id": "74", "ref": "x" * 513}, "/claims/ref"),
        ("claims", {"repository_id": "74", "ref": "a\0"}, "/claims/ref"),
        ("projects", (), "/projects"),
        ("projects", ("a",) * 101, "/projects"),
        ("projects", ("a", "B"), "/projects/1"),
        ("scopes", (), "/scopes"),
        ("scopes", ("events:read", "admin"), "/scopes"),
        ("lifetime_seconds", 59, "/lifetime_seconds"),
        ("lifetime_seconds", 3_601, "/lifetime_seconds"),
    ],
)
def test_an_entry_that_trusts_too_much_or_nobody_is_refused(
    member: str, value: object, pointer: str
) -> None:
    entry = msgspec.structs.replace(TRUST, **{member: value})
    with pytest.raises(Invalid) as caught:
        entry.check()
    assert (caught.value.code, caught.value.pointer) == ("validation-failed", pointer)


def test_every_identifying_claim_is_enough_by_itself() -> None:
    for claims in ({"repository_id": "7"}, {"repository": "o/r.x"}, {"repository_owner_id": "7"}):
        msgspec.structs.replace(TRUST, claims=claims).check()
    msgspec.structs.replace(TRUST, issuer="http://127.0.0.1:8001").check()


def test_a_job_can_be_given_every_scope_but_admin() -> None:
    assert set(trusted_issuer.SCOPES) == set(postgres_tokens.SCOPES) - {"admin"}
