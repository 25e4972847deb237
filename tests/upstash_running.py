"""Fixtures: the stand-in for Upstash Vector, as good as new for each test.

A test module that wants them says `pytest_plugins = ["tests.upstash_running"]`.
"""

from collections.abc import Iterator

import pytest

from tests.upstash_double.server import UpstashDouble


@pytest.fixture(scope="session")
def upstash_server() -> Iterator[UpstashDouble]:
    """It runs for all tests."""
    with UpstashDouble().running() as double:
        yield double


@pytest.fixture
def upstash(upstash_server: UpstashDouble) -> Iterator[UpstashDouble]:
    """Empty, and nothing goes wrong yet."""
    upstash_server.reset()
    yield upstash_server
    upstash_server.released.set()
