"""A plugin for the vendor's pytest: its asynchronous tests use our transport.

They use the default namespace, resets, resumable queries and batches, all of which ours refuses, and await
the SDK's error: only those refusals are lifted here.
"""

from typing import Any

import upstash_vector
from upstash_vector.errors import UpstashError

from adapters.search.remote_fault import RemoteFault
from adapters.search.upstash_transport import UpstashTransport


class Lenient(UpstashTransport):
    """Our transport, without its view of what may be sent."""

    def _checked(self, path: str, payload: object) -> str:
        return path.split("/")[1]

    async def _execute_request_async(self, payload: Any = "", path: str = "") -> Any:
        try:
            return await super()._execute_request_async(payload, path)
        except RemoteFault as fault:
            raise UpstashError(str(fault)) from fault


# The vendor's fixtures make these.
upstash_vector.AsyncIndex = Lenient  # type: ignore[assignment, misc]
