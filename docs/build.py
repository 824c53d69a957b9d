"""Write the reference (settings, commands, metrics, HTTP API) into docs/reference/, from where each thing is defined.

uv run python docs/build.py
"""

import subprocess
import sys
from pathlib import Path

REFERENCE = Path(__file__).parent / "reference"
DOCUMENTS = {
    "settings.md": ["settings", "--format", "markdown"],
    "darkroom.toml": ["settings", "--format", "toml"],
    "env.example": ["settings", "--format", "env"],
    "commands.md": ["reference"],
    "metrics.md": ["reference", "metrics"],
    "openapi.json": ["openapi"],
}


def main() -> None:
    """Make every document anew."""
    REFERENCE.mkdir(exist_ok=True)
    for name, arguments in DOCUMENTS.items():
        result = subprocess.run([sys.executable, "-m", "darkroom", *arguments], capture_output=True, check=True)
        (REFERENCE / name).write_bytes(result.stdout)
        print(REFERENCE / name)


if __name__ == "__main__":
    main()
