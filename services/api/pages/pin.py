"""Keep the present version of the element's script among the pinned ones: `python -m services.api.pages.pin`."""

from __future__ import annotations

from pathlib import Path

from services.api.pages import assets
from services.api.pages.embed_script import present_script


def main() -> None:
    """Write the script into `pinned/` under its name; a release does so before it is tagged."""
    script = present_script(assets.load())
    path = Path(__file__).parent / "pinned" / script.name
    path.write_bytes(script.content)
    print(f"{path.name} {script.integrity}")  # noqa: T201  a command's answer


if __name__ == "__main__":
    main()
