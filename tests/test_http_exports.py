"""Exports over HTTP: size, tag, digest, conditions and ranges (RFC 9110, RFC 9530)."""

import base64
import hashlib
import io
import zipfile

import httpx2
import pytest

from tests.serving import Served


@pytest.fixture
def filled(http: httpx2.Client, project: str) -> str:
    """Two documents: the newest position is 3."""
    for key in ("main", "other"):
        made = http.post(
            f"/v1/projects/{project}/artifacts/PRD/{key}/versions", json={"content": f"# {key}\n"}
        )
        assert made.status_code == 201
    return project


def path(project: str, position: int = 3) -> str:
    return f"/v1/projects/{project}/exports/{position}.zip"


def test_an_export_is_announced_with_size_and_tag_and_later_with_its_digest(
    http: httpx2.Client, filled: str
) -> None:
    head = http.head(path(filled))
    assert head.status_code == 200
    assert "repr-digest" not in head.headers  # never guessed
    first = http.get(path(filled))
    assert first.headers["content-length"] == head.headers["content-length"]
    assert first.headers["etag"] == head.headers["etag"]
    assert not first.headers["etag"].startswith("W/")
    assert first.headers["content-type"] == "application/zip"
    assert first.headers["content-disposition"] == f'attachment; filename="{filled}-3.zip"'
    assert len(first.content) == int(head.headers["content-length"])
    second = http.get(path(filled))
    assert second.content == first.content
    announced = second.headers["repr-digest"].removeprefix("sha-256=:").removesuffix(":")
    assert base64.b64decode(announced) == hashlib.sha256(first.content).digest()
    assert http.head(path(filled)).headers["repr-digest"] == second.headers["repr-digest"]
    with zipfile.ZipFile(io.BytesIO(first.content)) as archive:
        assert archive.testzip() is None
        assert archive.read(f"{filled}-3/data/artifacts/PRD/main.v1.md") == b"# main\n"


def test_an_earlier_position_stays_what_it_was(http: httpx2.Client, filled: str) -> None:
    before = http.get(path(filled, 2)).content
    http.post(f"/v1/projects/{filled}/artifacts/PRD/main/versions", json={"content": "# New\n"})
    assert http.get(path(filled, 2)).content == before


def test_every_range_is_the_slice(http: httpx2.Client, filled: str) -> None:
    whole = http.get(path(filled)).content
    size = len(whole)
    for start in sorted({0, 1, 29, 30, 31, size // 3, size // 2, size - 23, size - 1}):
        for stop in sorted({start + 1, start + 100, size}):
            asked = {"Range": f"bytes={start}-{stop - 1}"}
            part = http.get(path(filled), headers=asked)
            assert part.status_code == 206
            assert part.content == whole[start : min(stop, size)]
            assert part.headers["content-range"] == f"bytes {start}-{min(stop, size) - 1}/{size}"
    assert http.get(path(filled), headers={"Range": "bytes=-10"}).content == whole[-10:]
    assert http.get(path(filled), headers={"Range": "bytes=10-"}).content == whole[10:]
    assert http.get(path(filled), headers={"Range": f"bytes=-{size * 2}"}).content == whole


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,4-5", "lines=0-1", "bytes=5-2", "bytes=-", "bytes=x-y", "bytes = 0-1"],
)
def test_a_range_that_we_do_not_have_gives_the_whole(
    http: httpx2.Client, filled: str, asked: str
) -> None:
    answer = http.get(path(filled), headers={"Range": asked})
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"])


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0", "bytes=999999999-1000000000"])
def test_a_range_behind_the_end_is_refused(http: httpx2.Client, filled: str, asked: str) -> None:
    size = http.head(path(filled)).headers["content-length"]
    answer = http.get(path(filled), headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{size}"
    assert answer.headers["etag"]


def test_a_resumed_download_needs_the_same_tag(http: httpx2.Client, filled: str) -> None:
    tag = http.head(path(filled)).headers["etag"]
    part = {"Range": "bytes=10-"}
    assert http.get(path(filled), headers={**part, "If-Range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Tue, 24 Nov 2026 00:00:00 GMT"):
        assert http.get(path(filled), headers={**part, "If-Range": other}).status_code == 200


def test_conditions_are_judged_before_ranges(http: httpx2.Client, filled: str) -> None:
    tag = http.head(path(filled)).headers["etag"]
    for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = http.get(path(filled), headers={"If-None-Match": given, "Range": "bytes=0-1"})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    assert http.get(path(filled), headers={"If-None-Match": '"x"'}).status_code == 200
    failed = http.get(path(filled), headers={"If-Match": '"x"'})
    assert (failed.status_code, failed.json()["code"]) == (412, "precondition-failed")
    weak = http.get(path(filled), headers={"If-Match": f"W/{tag}"})
    assert weak.status_code == 412
    assert http.get(path(filled), headers={"If-Match": tag}).status_code == 200
    assert http.head(path(filled), headers={"Range": "bytes=0-1"}).status_code == 200


@pytest.mark.parametrize(
    ("position", "status", "code"),
    [("4", 404, "position-in-the-future"), ("0", 400, "invalid-parameter"), ("x", 400, "invalid-parameter")],
)  # fmt: skip
def test_a_position_that_cannot_be_exported_is_said(
    http: httpx2.Client, filled: str, position: str, status: int, code: str
) -> None:
    answer = http.get(f"/v1/projects/{filled}/exports/{position}.zip")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_missing_content_fails_the_export_and_says_how_to_repair_it(
    served: Served, http: httpx2.Client, filled: str
) -> None:
    served.execute("DELETE FROM blob WHERE project_id = %s AND content = %s", filled, b"# main\n")
    answer = http.get(path(filled))
    assert (answer.status_code, answer.json()["code"]) == (404, "content-missing")
    problem = answer.json()
    assert "PRD" in problem["detail"]
    repaired = http.put(f"/v1/projects/{filled}/blobs/{problem['digest']}", content=b"# main\n")
    assert repaired.status_code == 201
    assert http.get(path(filled)).status_code == 200


def test_a_content_damaged_while_it_is_sent_cuts_the_answer_short(
    served: Served, http: httpx2.Client, project: str
) -> None:
    content = "x" * (3 * 1024 * 1024)
    http.post(f"/v1/projects/{project}/artifacts/PRD/main/versions", json={"content": content})
    size = int(http.head(path(project, 2)).headers["content-length"])
    served.execute(
        "UPDATE blob SET content = overlay(content placing '!'::bytea from 2500000) "
        "WHERE project_id = %s",
        project,
    )
    received = 0
    with (
        pytest.raises(httpx2.RemoteProtocolError),
        http.stream("GET", path(project, 2)) as response,
    ):
        assert response.status_code == 200
        for piece in response.iter_raw():
            received += len(piece)
    assert received < size


def test_a_run_is_exported_alone(http: httpx2.Client, filled: str) -> None:
    stream = f"/v1/projects/{filled}/streams/run/r1"
    http.post(stream, json={"type": "RunCreated", "data": {"title": "A run"}})
    alone = http.get(path(filled, 4), params={"run": "r1"})
    assert alone.status_code == 200
    assert alone.headers["content-disposition"].endswith(f'"{filled}-r1-4.zip"')
    with zipfile.ZipFile(io.BytesIO(alone.content)) as archive:
        names = archive.namelist()
    assert f"{filled}-r1-4/data/leaves.txt" in names
    assert not any("/artifacts/" in name for name in names)
    absent = http.get(path(filled, 4), params={"run": "r2"})
    assert (absent.status_code, absent.json()["code"]) == (404, "run-not-found")
    before = http.get(path(filled, 3), params={"run": "r1"})
    assert before.status_code == 404
    nonsense = http.get(path(filled, 3), params={"run": "../x"})
    assert nonsense.status_code in {400, 422}


def test_the_manifest_is_the_file_in_the_export(http: httpx2.Client, filled: str) -> None:
    manifest = http.get(f"/v1/projects/{filled}/exports/3/manifest")
    with zipfile.ZipFile(io.BytesIO(http.get(path(filled)).content)) as archive:
        assert manifest.content == archive.read(f"{filled}-3/data/manifest.json")
    same = http.get(
        f"/v1/projects/{filled}/exports/3/manifest",
        headers={"If-None-Match": manifest.headers["etag"]},
    )
    assert same.status_code == 304


def test_an_export_needs_its_scope(served: Served, filled: str) -> None:
    with served.client(served.limited("events:read")) as limited:
        assert limited.get(path(filled)).json()["code"] == "insufficient-scope"
    with served.client(served.limited("exports:create")) as limited:
        assert limited.get(path(filled)).status_code == 200
