"""Numbers for monitoring."""

from starlette.responses import Response

from app.http.call import Call, NoQuery
from app.http.endpoint import Endpoints
from app.search.meter import MEDIA_TYPE

endpoints = Endpoints("metrics")


@endpoints.add(
    "GET", "/metrics", scope="events:read", answers={200: None}, media_types=(MEDIA_TYPE,)
)
def metrics(call: Call[NoQuery, None]) -> Response:
    """Read the numbers of this process and of the search indexes, as Prometheus does.

    They are sums over all projects and name none, so any token that may read will do.
    """
    search = call.ledger.search
    return Response(search.meter.text(search.upkeep.standing()), media_type=MEDIA_TYPE)
