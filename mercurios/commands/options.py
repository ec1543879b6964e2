"""Options that several commands have, so that they are told alike."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
