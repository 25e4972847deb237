"""Holds the double to the vendor's own tests: `python -m tests.upstash_double.vendor_suite CHECKOUT`.

The checkout is of github.com/upstash/vector-py; its tests stay there. They need an environment with
pytest, pytest-asyncio, numpy, pandas, python-dotenv and httpx, which `--python` names. With `--transport`
the asynchronous tests run once more, through our transport in place of the SDK's client; for that the
environment needs httpx2 and msgspec as well.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.upstash_double.server import UpstashDouble

VARIABLES = {
    "": "dense",
    "SPARSE_": "sparse",
    "HYBRID_": "hybrid",
    "EMBEDDING_": "embedding",
    "HYBRID_EMBEDDING_": "hybrid-embedding",
}
ROOT = Path(__file__).parent.parent.parent


def run_suite(checkout: Path, python: str, *words: str) -> int:
    """Run the vendor's tests against a fresh double; answers pytest's exit code."""
    with UpstashDouble().running() as double:
        variables = {
            f"{prefix}{suffix}": value
            for prefix, name in VARIABLES.items()
            for suffix, value in (("URL", double.url(name)), ("TOKEN", double.token(name)))
        }
        paths = [str(checkout), str(Path(__file__).parent), str(ROOT)]
        return subprocess.run(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, "tests"],
            cwd=checkout,
            env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(paths)},
            check=False,
            timeout=1_800,
        ).returncode


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description="Hold the double to the vendor's tests.")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--transport", action="store_true")
    given = parser.parse_args()
    checkout = given.checkout.absolute()
    if given.transport:
        return run_suite(checkout, given.python, "-p", "vendor_transport", "-k", "async")
    return run_suite(checkout, given.python)


if __name__ == "__main__":
    sys.exit(main())
