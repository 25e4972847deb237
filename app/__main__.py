"""`python -m app` and `deedbook`: the command line."""

import gc
import sys

from app.cli.root import run


def main() -> None:
    """Run the command line of this process."""
    code = run(sys.argv[1:])
    gc.freeze()  # nothing is worth collecting any more, and Python would look at all of it twice
    sys.exit(code)


if __name__ == "__main__":
    main()
