"""Print the lowest version that pyproject.toml allows of each dependency, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
extras = project["optional-dependencies"]
for wanted in [
    *project["dependencies"],
    *(one for name in ("cpu", "tune", "excel", "river") for one in extras[name]),
]:
    name, found, lowest = re.match(r"([\w-]+)(>=)?([\w.]*)", wanted).groups()
    if found:
        print(f"{name}=={lowest}")
