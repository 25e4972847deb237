"""`search`: find in artifacts and runs; how the index stands, and what an operator does about it."""

from typing import TYPE_CHECKING

import click

from app.cli.choices import Choices, chosen, project_argument, project_options
from app.cli.failure import EXIT_CODES_HELP
