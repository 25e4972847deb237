"""Seals over HTTP: made once, found again, refused with one clear problem."""

import hashlib

import httpx2
import pytest

from adapters.signature_check import verify_signature
from app.offline.signatures import SIGNATURES
from domain.checkpoint import open_checkpoint
from domain.merkle import leaf_hash, tree_root
from domain.seal import parse_statement
from domain.sigstore_bundle import MEDIA_TYPE, parse_bundle
from domain.tiles import parse_bundle as parse_entries
from domain.tiles import parse_hashes, parse_tile
from domain.trust import parse_trust
from projections.verify_seal import check_signed
from tests.serving import Served

HEAD = {"commit": "3c8f0a3d1f3c6d0b5a1e7f2d9c4b8a6e5d7f1c20", "repository": "https://git.example/a"}


def seal(http: httpx2.Client, project: str, **asked: object) -> httpx2.Response:
    return http.post(f"/v1/projects/{project}/exports/1/seal", json=asked)


def test_an_export_is_sealed_once_and_found_again(http: httpx2.Client, project: str) -> None:
    made = seal(http, project)
    assert made.status_code == 201
    assert made.headers["content-type"] == MEDIA_TYPE
    assert seal(http, project).content == made.content
    whole = http.get(f"/v1/projects/{project}/exports/1.zip").content
    said = parse_statement(parse_bundle(made.content).statement)
    assert said.zip_sha256 == hashlib.sha256(whole).digest()
    found = http.get(f"/v1/projects/{project}/exports/1/seal")
    assert (found.status_code, found.content) == (200, made.content)
    tag = {"If-None-Match": found.headers["etag"]}
    again = http.get(f"/v1/projects/{project}/exports/1/seal", headers=tag)
    assert again.status_code == 304
    trust = parse_trust(http.get("/v1/trust").content)
    assert check_signed(parse_bundle(made.content), trust, SIGNATURES)
    root = http.get("/v1/trusted-root").json()
    assert root["tlogs"][0]["baseUrl"] == "https://ledger.example"


def test_a_seal_for_a_commit_is_another_one(http: httpx2.Client, project: str) -> None:
    plain, headed = seal(http, project), seal(http, project, head=HEAD)
    assert plain.content != headed.content
    asked = {"head": HEAD["commit"]}
    found = http.get(f"/v1/projects/{project}/exports/1/seal", params=asked)
    assert found.content == headed.content
    other = http.get(f"/v1/projects/{project}/exports/1/seal", params={"head": "0" * 40})
    assert (other.status_code, other.json()["code"]) == (404, "seal-not-found")


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"head": {**HEAD, "commit": "main"}}, 422, "validation-failed"),
        ({"head": {**HEAD, "commit": HEAD["commit"].upper()}}, 422, "validation-failed"),
        ({"head": {**HEAD, "repository": "javascript:alert(1)"}}, 422, "validation-failed"),
        ({"head": {"commit": HEAD["commit"]}}, 422, "validation-failed"),
        ({"run": "nothing"}, 404, "run-not-found"),
        ({"unknown": 1}, 422, "validation-failed"),
    ],
)
def test_what_cannot_be_sealed_is_one_problem_and_nothing_is_logged(
    http: httpx2.Client, project: str, asked: dict[str, object], status: int, code: str
) -> None:
    seal(http, project)
    before = http.get("/v1/log/checkpoint").text
    refused = seal(http, project, **asked)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert http.get("/v1/log/checkpoint").text == before


def test_a_position_to_come_and_a_token_without_the_right_are_refused(
    http: httpx2.Client, project: str, served: Served
) -> None:
    late = http.post(f"/v1/projects/{project}/exports/99/seal", json={})
    assert (late.status_code, late.json()["code"]) == (404, "position-in-the-future")
    with served.client(served.limited("events:read")) as other:
        assert seal(other, project).status_code == 403
        assert other.get("/v1/trust").status_code == 200
        assert other.get("/v1/log/checkpoint").status_code in {200, 503}
    with served.client("") as nobody:
        assert nobody.get("/v1/trust").status_code == 401
        assert nobody.get("/v1/log/checkpoint").status_code == 401


def test_the_seal_log_can_be_made_again_from_its_entries(
    http: httpx2.Client, project: str, served: Served
) -> None:
    for number in range(20):
        head = {**HEAD, "commit": f"{number:040x}"}
        assert seal(http, project, head=head).status_code == 201
    keys = parse_trust(http.get("/v1/trust").content).note_keys("ledger.example", 1)
    checkpoint = open_checkpoint(http.get("/v1/log/checkpoint").text, keys, verify_signature)
    part = f"000.p/{checkpoint.size}"
    entries = parse_entries(http.get(f"/v1/log/tile/entries/{part}").content)
    leaves = [leaf_hash(entry) for entry in entries]
    tile = http.get(f"/v1/log/tile/0/{part}").content
    assert parse_hashes(tile, parse_tile(f"0/{part}")) == leaves
    assert tree_root(leaves) == checkpoint.root
    assert http.get(f"/v1/log/proof/{checkpoint.size}").status_code == 200
    grown = http.get("/v1/log/consistency", params={"old": 3})
    assert grown.text.startswith("old 3\n")
    missing = http.get("/v1/log/proof/99999")
    assert (missing.status_code, missing.json()["code"]) == (404, "position-not-found")
