"""Which pages there are, as the application declares them."""

import pytest

from app.application import PAGES


def paths() -> set[str]:
    """The patterns of all pages that can be read."""
    return {page.path for topic in PAGES for page in topic.all if page.method == "GET"}


def needs(path: str) -> None:
    """Skip where a page is not part of this version."""
    if path not in paths():
        pytest.skip(f"the page {path} is not part of this version")
