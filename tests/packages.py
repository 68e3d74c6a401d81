"""What a month leaves for people, for comparing runs."""

from pathlib import Path


def package_bytes(folder: Path, period: str) -> dict[str, bytes]:
    """Return every file of a month's draft."""
    draft = (folder / "close" / period / "draft").resolve()
    return {str(path.relative_to(draft)): path.read_bytes() for path in sorted(draft.rglob("*")) if path.is_file()}
