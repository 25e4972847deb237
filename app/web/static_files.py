"""Style sheet, scripts and pictures: read once, and named by their content, so that browsers keep them."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from app.http.conditions import unchanged
from app.http.gate import request_id
from app.http.problems import problem_response
from domain.errors import NotFound

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_EVER = "public, max-age=31536000, immutable"

_files = {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.suffix in MEDIA_TYPES}
_marks = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in _files.items()}


def address_of(name: str) -> str:
    """The path of a file; another one once its content is another."""
    return f"/static/{name}?v={_marks[name]}"


async def read_static(request: Request) -> Response:
    """One file. It may be kept for ever under the name that carries its mark."""
    name = request.path_params["name"]
    content = _files.get(name)
    if content is None:
        return problem_response(
            NotFound("not-found", f"There is no file {name[:100]!r}."),
            instance=request.url.path,
            request_id=request_id(request.scope),
        )
    tag = f'"{_marks[name]}"'
    kept = FOR_EVER if request.query_params.get("v") == _marks[name] else "no-cache"
    headers = {"ETag": tag, "Cache-Control": kept}
    if unchanged(request.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, MEDIA_TYPES[Path(name).suffix])
