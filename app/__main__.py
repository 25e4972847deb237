"""`python -m app` and `deedbook`: the command line."""

import sys

from app.cli.root import run


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
