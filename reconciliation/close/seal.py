"""The files of a package -> its manifest with two hashes: the one that people sign, and the manifest's own.

`package_sha256` covers every figure and every input, and nothing that changes by being signed or only shows the figures (decisions, sign-offs, workbook, report),
so a draft and the locked version of the same figures have the same one. `manifest_sha256` covers the manifest's bytes and, through the hashes listed there,
every other byte of the package. Both are made by the functions that the auditor's `audit.py` checks them with.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from reconciliation.close import audit

NO_HASH = "0" * 64


def auditor() -> bytes:
    """Return the verifier that goes into every package: `audit.py`, as it is."""
    return Path(audit.__file__).read_bytes()


def sign_manifest(manifest: Mapping[str, Any], files: Mapping[str, bytes], *, rows: Mapping[str, int]) -> dict[str, Any]:
    """List the files and add `package_sha256`; files added afterwards do not change it unless they are CSVs.

    Args:
        manifest: what is known of the month.
        files: name -> content, without the manifest.
        rows: rows of those that are tables.
    """
    outputs = [{"path": name, "rows": rows.get(name), "sha256": hashlib.sha256(content).hexdigest()} for name, content in sorted(files.items())]
    listed = {**manifest, "outputs": outputs}
    return {**listed, "package_sha256": audit.package_hash(listed)}


def seal_manifest(signed: Mapping[str, Any]) -> bytes:
    """Write the manifest with its own hash in it."""
    content = orjson.dumps({**signed, "manifest_sha256": NO_HASH}, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    return content.replace(f'"manifest_sha256": "{NO_HASH}"'.encode(), f'"manifest_sha256": "{audit.manifest_hash(content)}"'.encode())
