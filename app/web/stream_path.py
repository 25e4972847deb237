"""The page of what a stream is about, as a path below its project's."""

from app.web.site import link, segment
from domain.names import ArtifactStream, RunStream, parse_stream


def stream_path(stream: str, version: int | None = None, at: int | None = None) -> str | None:
    """Such as `/artifacts/PRD/main?version=2` or `/runs/r1`; None where a stream has no page of its own.

    Args:
        stream: Its name.
        version: Of the stream; which of an artifact's is meant.
        at: The position at which the reader looks.
    """
    match parse_stream(stream):
        case ArtifactStream(kind, key):
            path = f"/artifacts/{segment(kind)}/{segment(key)}"
            return link(path, {"version": version, "at": at})
        case RunStream(run_id):
            return link(f"/runs/{segment(run_id)}", {"at": at})
        case _:
            return None
