"""A folder `models/exception_classifier/<n>/` <-> a model version that may score.

A version is `model.json` (tables and calibration), `reference.json` (what its breaks look like), `manifest.json` (what it was made of, its hash, metrics, certificates)
and `card.md` (generated from the manifest, for people). Versions are never changed; a file whose hash differs is refused.
"""

import hashlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciliation.classifier.calibration import Calibration
from reconciliation.classifier.drift import Reference
from reconciliation.classifier.policy import Certificate
from reconciliation.errors import ReconciliationError
from reconciliation.learning.tables import AdditiveTables

logger = logging.getLogger(__name__)

MODELS = Path(__file__).resolve().parents[2] / "models"
NAME = "exception_classifier"
FORMAT = 1
REFERENCE = "reference.json"
CHALLENGER = "challenger"
"""Status of a version that was trained beside another; a version without a status ships as champion."""
LABEL_POLICY = "oracle-3"
"""How labels were made; a version made under another policy is refused, since its probability would mean something else."""


class ModelRefusedError(ReconciliationError):
    """A model version is missing, incomplete, changed since it was written, or made for another program: name another, or train one."""


@dataclass(frozen=True)
class ModelVersion:
    """A model that may score.

    Attributes:
        version: its number.
        tables: the additive model.
        calibration: from score to probability.
        certificates: proven thresholds, one per target recall.
        manifest: everything else that is known of it.
        reference: what the breaks it was certified on look like, to tell drift from; None where the version does not say.
    """

    version: int
    tables: AdditiveTables
    calibration: Calibration
    certificates: tuple[Certificate, ...]
    manifest: dict[str, Any]
    reference: Reference | None = None

    @property
    def label(self) -> str:
        """The version as the package's manifest names it."""
        return f"{NAME}/{self.version}"

    @property
    def sha256(self) -> str:
        """Hash of the artifact."""
        return str(self.manifest["files"]["model.json"]["sha256"])

    @property
    def is_challenger(self) -> bool:
        """Whether it may act only once two people have promoted it."""
        return self.manifest.get("status") == CHALLENGER

    def certificate(self, target_recall: float) -> Certificate | None:
        """Return the certificate of the lowest target that is at least the one asked for, or None."""
        fitting = [certificate for certificate in self.certificates if certificate.target_recall >= target_recall - 1e-12]
        return min(fitting, key=lambda certificate: certificate.target_recall, default=None)


def load_version(version: str = "latest", *, folder: Path = MODELS) -> ModelVersion:
    """Load a model version.

    Args:
        version: a number, or `latest`: the highest number whose folder holds a manifest (one without is an interrupted training) and that is no challenger.
        folder: where models lie.

    Raises:
        ModelRefusedError: there is none, its artifact's hash is not the manifest's, or another format or label policy made it. A
            damaged latest version is refused and not replaced by an older one.
    """
    number = _latest(folder) if version == "latest" else version
    place = folder / NAME / number
    manifest = _read_manifest(place, folder)
    for name, entry in manifest["files"].items():
        content = _read(place / name)
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise ModelRefusedError(
                f"{place / name}: its SHA-256 is not the one in manifest.json, so it was changed after training; "
                "restore it from version control, or train a new version"
            )
    artifact = orjson.loads(_read(place / "model.json"))
    try:
        tables, calibration = AdditiveTables.from_json(artifact["tables"]), Calibration.from_json(artifact["calibration"])
        certificates = tuple(Certificate.from_json(entry) for entry in manifest["certificates"])
        reference = Reference.from_json(orjson.loads(_read(place / REFERENCE))) if REFERENCE in manifest["files"] else None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelRefusedError(f"{place}: not a model this program reads ({error}); train a new version") from error
    logger.info("model %s/%s: %d features, %d tables", NAME, number, len(tables.features), len(tables.terms))
    return ModelVersion(version=int(number), tables=tables, calibration=calibration, certificates=certificates, manifest=manifest, reference=reference)


def version_numbers(folder: Path = MODELS) -> list[int]:
    """Return the numbers of the versions that have a manifest, ascending."""
    base = folder / NAME
    names = [path.name for path in base.iterdir()] if base.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal() and (base / name / "manifest.json").is_file())


def write_version(
    *,
    tables: AdditiveTables,
    calibration: Calibration,
    certificates: tuple[Certificate, ...],
    facts: dict[str, Any],
    card: str,
    reference: Reference | None = None,
    folder: Path = MODELS,
    version: int | None = None,
) -> Path:
    """Write a version, whole or not at all.

    Args:
        tables: the additive model.
        calibration: from score to probability.
        certificates: proven thresholds.
        facts: further entries of the manifest: training data with their hashes, seed, options, metrics.
        card: text of the model card.
        reference: what the certified breaks look like.
        folder: where models lie.
        version: its number; default: one above the highest.

    Returns:
        The version's folder.

    Raises:
        ModelRefusedError: the version exists; versions are never changed.
    """
    number = version if version is not None else max(version_numbers(folder), default=0) + 1
    place = folder / NAME / str(number)
    if place.exists():
        raise ModelRefusedError(f"{place}: this version exists and versions are never changed; leave the number out to write the next one")
    artifact = orjson.dumps({"tables": tables.to_json(), "calibration": calibration.to_json()}, option=orjson.OPT_SORT_KEYS) + b"\n"
    contents = {"model.json": artifact}
    if reference is not None:
        contents[REFERENCE] = orjson.dumps(reference.to_json(), option=orjson.OPT_SORT_KEYS) + b"\n"
    manifest = facts | {
        "name": NAME,
        "version": number,
        "format": FORMAT,
        "label_policy": LABEL_POLICY,
        "files": {name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in contents.items()},
        "features": [{"name": feature.name, "type": feature.type} for feature in tables.features],
        "certificates": [certificate.to_json() for certificate in certificates],
    }
    staged = place.with_name(f".{number}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for name, content in contents.items():
        (staged / name).write_bytes(content)
    (staged / "card.md").write_text(card, encoding="utf-8")
    (staged / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    staged.rename(place)
    return place


def _latest(folder: Path) -> str:
    champions = [number for number in version_numbers(folder) if _status(folder / NAME / str(number)) != CHALLENGER]
    if not champions:
        raise ModelRefusedError(f"{folder / NAME}: no model version lies here that may act; train one with reconcile train")
    return str(champions[-1])


def _status(place: Path) -> str:
    """Return the status a manifest names; a broken manifest has none, so that it is refused by name and not passed over."""
    try:
        return str(orjson.loads((place / "manifest.json").read_bytes()).get("status", ""))
    except (orjson.JSONDecodeError, AttributeError):
        return ""


def _read_manifest(place: Path, folder: Path) -> dict[str, Any]:
    path = place / "manifest.json"
    if not place.name.isdecimal() or place.parent != folder / NAME or not path.is_file():
        known = ", ".join(str(number) for number in version_numbers(folder)) or "none"
        raise ModelRefusedError(f"{path}: there is no such model version; there are: {known}; set [classifier] model to one of them or to latest")
    try:
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        found = (manifest["name"], manifest["format"], manifest["label_policy"], "model.json" in manifest["files"], str(manifest["version"]))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ModelRefusedError(f"{path}: not a manifest of a model ({error!r}); restore it from version control, or train a new version") from error
    expected = (NAME, FORMAT, LABEL_POLICY, True, place.name)
    if found != expected:
        raise ModelRefusedError(f"{path}: name, format, label policy, artifact and version are {found}, this program reads {expected}; train a new version")
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelRefusedError(f"{path}: a file of the model cannot be read ({error.strerror}); restore it from version control") from error
