"""The files of the repository as a whole -> names, folders and lock files as the conventions want them."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 600
LINES_MAX_OF = {"reconciliation/close/audit.py": 850}  # promised to be one file, which an auditor reads whole
TOP_LEVEL_PACKAGES = {"assets", "expectations", "reconciliation"}
LOCK_FILES = ("constraints*.txt", "requirements*.txt", "*.lock", "Pipfile.lock", "package-lock.json", "pylock*.toml")
DOWNLOAD_ADDRESS = re.compile(r"https?://|--(extra-)?index-url|--find-links|(?m:^-i\b)")
HOME = re.compile(r"/(home|Users)/\w+/")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".ini", ".sh", ".csv", ".json", ".html", ""}


def committed() -> list[Path]:
    """Return the files that git knows or would add: committed and new ones, without what is ignored."""
    listing = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout: which files belong to the repository cannot be told")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def download_addresses(text: str) -> list[str]:
    """Return the lines of a lock file that name a place to download from; comments count too."""
    return [line for line in text.splitlines() if DOWNLOAD_ADDRESS.search(line)]


def mapped_paths(readme: str) -> list[str]:
    """Return the paths that a README's folder map names.

    A map is a fenced block in which a line is an indented name and, after two blanks, what it is; or a table whose first
    cell is a path in backticks that ends with a slash.

    >>> mapped_paths("```\\nreconciliation/   the product\\n    pipeline.py  read first\\n```\\n| `data/` | samples |")
    ['reconciliation', 'reconciliation/pipeline.py', 'data']
    """
    paths = re.findall(r"(?m)^\|\s*`([\w./<>-]+)/`", readme)
    found = []
    for block in re.findall(r"(?ms)^```\w*\n(.*?)^```", readme):
        parents: list[tuple[int, str]] = []
        lines = [match for line in block.splitlines() if (match := re.match(r"([ │├└─]*)([\w.<>-]+(?:/[\w.<>-]+)*/?)(?:\s{2,}\S.*)?$", line))]
        if not any(match[2].endswith("/") for match in lines):
            continue
        for match in lines:
            indent, name = len(match[1]), match[2].rstrip("/")
            parents = [parent for parent in parents if parent[0] < indent]
            found.append("/".join([*(parent for _, parent in parents), name]))
            parents.append((indent, name))
    return [path for path in [*found, *paths] if "<" not in path]


def test_no_python_file_is_too_long_to_be_read_at_once() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in committed() if path.suffix == ".py"}
    assert lengths
    named = {path.relative_to(ROOT).as_posix(): count for path, count in lengths.items()}
    assert {name: count for name, count in named.items() if count > LINES_MAX_OF.get(name, LINES_MAX)} == {}


def test_lock_files_name_no_place_to_download_from() -> None:
    locks = sorted({path for path in committed() for pattern in LOCK_FILES if path.match(pattern)})
    assert ROOT / "constraints.txt" in locks
    assert {path.name: found[:3] for path in locks if (found := download_addresses(path.read_text(encoding="utf-8")))} == {}


def test_constraints_are_pinned_and_hashed() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert requirements
    assert [line[:80] for line in requirements if not re.match(r"\S+==\S+.*--hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("line", ["--index-url x", "-i mirror", "polars @ https://files/polars.whl", "    # from http://localhost", "--find-links wheels"])
def test_a_download_address_is_found(line: str) -> None:
    assert download_addresses(f"polars==2.1.0\n{line}\n") == [line]


def test_the_folder_map_of_the_readme_names_what_exists() -> None:
    paths = mapped_paths((ROOT / "README.md").read_text(encoding="utf-8"))
    assert paths, "README.md has no folder map"
    assert {name for path in paths for name in TOP_LEVEL_PACKAGES if path == name} == TOP_LEVEL_PACKAGES
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_folder_map_is_read_with_its_levels() -> None:
    tree = "reconciliation/   the product\n    close/         the package\n        bridge.py  the bridge\nassets/    graph\n"
    readme = f"# P\n```text\n{tree}```\n```bash\nmake test\n```\n"
    assert mapped_paths(readme) == ["reconciliation", "reconciliation/close", "reconciliation/close/bridge.py", "assets"]
    assert mapped_paths("```\na/\n├── b.py  x\n└── c/   y\n```\n| `data/` | z |") == ["a", "a/b.py", "a/c", "data"]


def test_tests_shadow_no_package() -> None:
    names = [path.relative_to(ROOT / "tests") for path in committed() if path.is_relative_to(ROOT / "tests")]
    assert names
    assert [str(name) for name in names if name.name == "__init__.py" or set(name.parts[:-1]) & TOP_LEVEL_PACKAGES] == []


def test_test_names_are_sentences() -> None:
    """A name of fewer than three words says no behavior."""
    found = []
    for path in committed():
        if path.is_relative_to(ROOT / "tests") and path.name.startswith("test_") and path.suffix == ".py":
            names = re.findall(r"(?m)^\s*(?:async )?def (test_\w*)", path.read_text(encoding="utf-8"))
            found += [f"{path.name}: {name}" for name in names if len(name.split("_")) < 4]
    assert found == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    here = str(ROOT) if len(ROOT.parts) > 2 else "\0"  # a folder like /app may well be named in a deployment
    found = []
    for path in committed():
        if path.suffix in TEXT_SUFFIXES and path.stat().st_size < 5_000_000:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}" for number, line in enumerate(lines, 1) if here in line or HOME.search(line)]
    assert found == []
