"""Draws what a command says on the terminal.

docs/preview.svg is of a stacks/Pulumi.dev.yaml with four wrong settings, in a shell that has taken `python -m ops env`:
`python -m benchmarks.picture docs/preview.svg pulumi preview --stack dev --color always`
"""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

WIDTH: Final = 110
"""Columns. A longer line is wrapped."""


def draw(command: list[str]) -> str:
    """Run a command and return its output as an SVG, also if it fails."""
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603 - the caller's own
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text(f"$ {shlex.join(command[:2])}\n", style="bold"), Text.from_ansi(ran.stdout.strip()), sep="")
    svg = console.export_svg(title="ci", unique_id="ci")
    # A page must not load a font from another site. The reader's own monospace is as good.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.argv[2:]), encoding="utf-8")
