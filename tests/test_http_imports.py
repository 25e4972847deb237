"""Opening a project from an export, over HTTP."""

import httpx2
import pytest

from tests.serving import Served, serve

ZIP = {"Content-Type": "application/zip"}
IMPORT = "/v1/imports/bundle"


def exported(http: httpx2.Client, project: str) -> bytes:
    http.post(
        f"/v1/projects/{project}/artifacts/PRD/main/versions",
        json={"content": "[1](citation:1)", "citations": [{"url": "https://example.com/"}]},
    )
    answer = http.get(f"/v1/projects/{project}/exports/2.zip")
    assert answer.status_code == 200
    return answer.content


def test_a_second_ledger_gives_the_same_export(
    http: httpx2.Client, project: str, database_url: str
) -> None:
    bundle = exported(http, project)
    with serve(database_url) as second, second.client() as other:
        made = other.post(IMPORT, content=bundle, headers=ZIP)
        assert made.status_code == 201, made.text
        assert made.json()["position"] == 2
        assert made.headers["location"] == f"/v1/projects/{project}"
        assert other.get(f"/v1/projects/{project}/exports/2.zip").content == bundle
        assert other.get(f"/v1/projects/{project}").json()["root"] == made.json()["root"]
        cited = other.get(f"/v1/projects/{project}/artifacts/PRD/main/versions/1/citations")
        assert cited.json()["citations"][0]["url"] == "https://example.com/"
        again = other.post(IMPORT, content=bundle, headers=ZIP)
        assert (again.status_code, again.json()["code"]) == (409, "project-exists")


def test_a_changed_bundle_opens_nothing(
    http: httpx2.Client, project: str, database_url: str
) -> None:
    bundle = bytearray(exported(http, project))
    bundle[len(bundle) // 2] ^= 1
    with serve(database_url) as second, second.client() as other:
        answer = other.post(IMPORT, content=bytes(bundle), headers=ZIP)
        assert (answer.status_code, answer.json()["code"]) == (422, "bundle-not-verified")
        assert other.get("/v1/projects").json()["projects"] == []
        no_zip = other.post(IMPORT, content=b"hello", headers=ZIP)
        assert no_zip.status_code == 422
        assert other.post(IMPORT, content=b"hello").status_code == 415


@pytest.mark.parametrize("scopes", [("events:append",), ("events:read", "exports:create")])
def test_an_import_needs_an_admin(served: Served, scopes: tuple[str, ...]) -> None:
    with served.client(served.limited(*scopes)) as client:
        assert client.post(IMPORT, content=b"", headers=ZIP).status_code == 403
    with served.client(served.limited("admin", projects=("one",))) as client:
        refused = client.post(IMPORT, content=b"", headers=ZIP)
        assert refused.json()["code"] == "project-forbidden"
