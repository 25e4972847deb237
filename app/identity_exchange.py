"""The use case of a job without a secret: its identity token is exchanged for a token of the ledger."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from adapters.issuer_keys import IssuerKeys, Presented
from adapters.postgres_tokens import Token
from adapters.postgres_trusted_issuers import PostgresTrustedIssuers, not_trusted
from domain.errors import DeedbookError, Unavailable
from domain.identity import read_identity
from domain.names import check_project

AT_ONCE = 16
"""Exchanges under way in this process: an issuer that is slow must not take every thread."""

_logger = logging.getLogger("deedbook.identity")


class IdentityExchange:
    """Exchanges identity tokens.

    Args:
        now: The clock.
    """

    def __init__(
        self, trusted: PostgresTrustedIssuers, keys: IssuerKeys, now: Callable[[], datetime]
    ) -> None:
        self.trusted = trusted
        self._keys = keys
        self._now = now
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def exchange(self, token: str, project: str) -> tuple[str, Token]:
        """A token for one project; answers its secret, and what is kept of it.

        Raises:
            Unauthenticated: `oidc-token-refused`, `oidc-token-used`.
            Forbidden: `identity-not-trusted`.
            Unavailable: `issuer-unavailable`, `rate-limited`.
            Invalid: `validation-failed`: no project is called so.
        """
        check_project(project)
        if not self._places.acquire(blocking=False):
            raise Unavailable("rate-limited", f"{AT_ONCE} exchanges are under way: repeat it.")
        try:
            return self._exchange(token, project)
        except DeedbookError as error:
            _logger.warning(
                "an identity token was not exchanged: %s (%s)", error.detail, error.code
            )
            raise
        finally:
            self._places.release()

    def _exchange(self, token: str, project: str) -> tuple[str, Token]:
        presented = Presented(token)
        if not self.trusted.is_trusted(presented.issuer):
            raise not_trusted()
        self._keys.verify(presented)
        identity = read_identity(presented.claims, presented.issuer, self._now())
        return self.trusted.exchange(identity, project)
