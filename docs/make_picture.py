"""Draw docs/backtest.svg, the README's picture, from a run: python docs/make_picture.py RUN_FOLDER."""

import io
import json
import sys
import textwrap
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from bt_neuro.report.console import render

COLUMNS = 92

folder = Path(sys.argv[1])
manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
sentence, *block = render(manifest).splitlines()
console = Console(record=True, width=COLUMNS, file=io.StringIO())
console.print(Text(f"$ bt-neuro backtest {Path(manifest['data']['file']).name}", style="bold green"))
console.print(Text("\n".join(textwrap.wrap(sentence, COLUMNS - 2)), style="bold"))
console.print(Text("\n".join(line[:COLUMNS] for line in block if not line.startswith("Note"))))
picture = Path(__file__).with_name("backtest.svg")
console.save_svg(str(picture), title="bt-neuro", theme=MONOKAI)
print(picture)
