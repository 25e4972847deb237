"""The OpenAPI document: valid, complete, and true of what the application answers."""

import ast
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import validate

from app.application import TOPICS
from app.http import openapi, problems
from app.http.endpoint import Endpoint
from domain import errors
from tests.serving import Served

ROOT = Path(__file__).parent.parent
ENDPOINTS: list[Endpoint[Any, Any]] = [one for topic in TOPICS for one in topic.all]
DOCUMENT = openapi.document(TOPICS)


def codes_in_the_source() -> dict[str, set[int]]:
    """Each code with which an error is made somewhere, and the statuses it is answered with."""
    found: dict[str, set[int]] = {}
    for folder in ("domain", "projections", "adapters", "app"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                kind = getattr(errors, node.func.id, None)
                first = node.args[0] if node.args else None
                if kind is None or not isinstance(first, ast.Constant):
                    continue
                if kind in problems.STATUS:
                    code = str(first.value)
                    status = problems.STATUS_OF_CODE.get(code, problems.STATUS[kind])
                    found.setdefault(code, set()).add(status)
    return found


def test_the_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    validate(DOCUMENT)


def test_the_document_is_served_as_it_is_made(served: Served) -> None:
    with served.client("") as client:
        assert client.get("/openapi.json").json() == DOCUMENT


def test_every_endpoint_is_in_the_document_with_a_summary() -> None:
    for endpoint in ENDPOINTS:
        path = re.sub(r":path\}", "}", endpoint.path)
        operation = DOCUMENT["paths"][path][endpoint.method.lower()]
        assert operation["summary"], path
        assert operation["operationId"] == endpoint.handler.__name__
    names = [endpoint.handler.__name__ for endpoint in ENDPOINTS]
    assert len(names) == len(set(names))


def test_the_document_has_every_type_of_event() -> None:
    assert "ArtifactWritten" in DOCUMENT["components"]["schemas"]
    assert "DeploymentRecorded" in DOCUMENT["components"]["schemas"]


def test_every_code_in_the_document_is_one_that_is_raised_with_that_status() -> None:
    raised = codes_in_the_source()
    raised["malformed-json"].add(400)
    for code, status in openapi.STATUSES.items():
        assert code in raised, f"{code} is documented, and nothing raises it"
        assert status in raised[code], f"{code} is documented as {status}, not {raised[code]}"


def test_every_problem_an_endpoint_names_has_a_status() -> None:
    for endpoint in ENDPOINTS:
        for code in endpoint.problems:
            assert code in problems.STATUS_OF_CODE or code in openapi.STATUSES, code


def test_every_status_has_a_title() -> None:
    statuses = {*problems.STATUS.values(), *problems.STATUS_OF_CODE.values()}
    assert statuses <= set(problems.TITLES)


def test_every_error_has_a_status() -> None:
    family = set(errors.DeedbookError.__subclasses__())
    assert family == set(problems.STATUS)


@pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if one.scope != "open"],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_no_endpoint_answers_without_a_token(served: Served, endpoint: Endpoint[Any, Any]) -> None:
    path = re.sub(r"\{\w+(?::\w+)?\}", "1", endpoint.path)
    kinds = list(endpoint.accepted.decoders) or [""]
    with served.client("") as client:
        answer = client.request(
            endpoint.method, path, headers={"Content-Type": kinds[0].replace("*/*", "x/y")}
        )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if one.scope not in {"open", None}],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_no_endpoint_answers_a_token_without_its_scope(
    served: Served, endpoint: Endpoint[Any, Any]
) -> None:
    other = "exports:create" if endpoint.scope != "exports:create" else "events:read"
    path = re.sub(r"\{\w+(?::\w+)?\}", "1", endpoint.path)
    kinds = list(endpoint.accepted.decoders) or [""]
    body = b"{}" if kinds != [""] else b""
    with served.client(served.limited(other)) as client:
        answer = client.request(
            endpoint.method,
            path,
            content=body,
            headers={"Content-Type": kinds[0].replace("*/*", "x/y")},
        )
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")


def test_answers_are_as_the_document_says(http: httpx2.Client, project: str) -> None:
    """The shapes of a few answers, against the schemas that the document has for them."""
    made = http.post(
        f"/v1/projects/{project}/artifacts/PRD/main/versions", json={"content": "x"}
    ).json()
    for name, answer in (
        ("Written", made),
        ("Project", http.get(f"/v1/projects/{project}").json()),
        ("ArtifactPage", http.get(f"/v1/projects/{project}/artifacts").json()),
        ("TrailPage", http.get(f"/v1/projects/{project}/trail").json()),
        ("EventPage", http.get(f"/v1/projects/{project}/events").json()),
        ("Problem", http.get("/v1/projects/absent").json()),
    ):
        schema = DOCUMENT["components"]["schemas"][name]
        assert set(answer) <= set(schema["properties"]) | {"position"}, name
        assert set(schema["required"]) <= set(answer), name
