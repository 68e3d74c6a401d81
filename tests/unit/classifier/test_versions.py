"""Versions: written whole, never changed, refused when they differ from their manifest."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from reconciliation.classifier.calibration import Calibration
from reconciliation.classifier.policy import Certificate
from reconciliation.classifier.versions import NAME, ModelRefusedError, load_version, version_numbers, write_version
from reconciliation.learning.tables import AdditiveTables, Axis, Feature, Term

TABLES = AdditiveTables(
    features=(Feature("age_days", "numeric"),),
    intercept=-1.0,
    terms=(Term(axes=(Axis(feature="age_days", edges=(3.0, 9.5), categories=None),), scores=np.array([0.0, -0.5, 0.25, 1.0])),),
)
CALIBRATION = Calibration("sigmoid", (-2.0, 2.0), (0.1, 0.9))


def make_certificate(target: float, threshold: float | None = 0.05) -> Certificate:
    """Return a certificate for a target."""
    return Certificate("simulated", threshold, 5000, 2, 0.998 if threshold is not None else 0.0, target, 0.95, "later months")


def write(folder: Path) -> Path:
    """Write a version."""
    return write_version(
        tables=TABLES, calibration=CALIBRATION, certificates=(make_certificate(0.99), make_certificate(0.95)), facts={"seed": 1}, card="# card\n", folder=folder
    )


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    place = write(tmp_path)
    model = load_version(folder=tmp_path)
    assert place == tmp_path / NAME / "1"
    assert sorted(path.name for path in place.iterdir()) == ["card.md", "manifest.json", "model.json"]
    assert (model.label, model.version, model.manifest["seed"]) == ("exception_classifier/1", 1, 1)
    assert model.tables.to_json() == TABLES.to_json()
    assert model.calibration == CALIBRATION
    assert len(model.sha256) == 64


def test_the_latest_is_the_highest_number_and_not_the_last_in_alphabet(tmp_path: Path) -> None:
    for _ in range(11):
        write(tmp_path)
    assert version_numbers(tmp_path) == list(range(1, 12))
    assert load_version(folder=tmp_path).version == 11
    assert load_version("2", folder=tmp_path).version == 2


def test_an_interrupted_training_is_no_version(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / NAME / "2").mkdir()
    (tmp_path / NAME / "2" / "model.json").write_bytes(b"{")
    assert load_version(folder=tmp_path).version == 1


def test_a_changed_artifact_is_refused_even_as_latest(tmp_path: Path) -> None:
    write(tmp_path)
    artifact = write(tmp_path) / "model.json"
    artifact.write_bytes(artifact.read_bytes().replace(b"0.25", b"0.75"))
    with pytest.raises(ModelRefusedError, match="its SHA-256 is not the one in"):
        load_version(folder=tmp_path)
    assert load_version("1", folder=tmp_path).version == 1


def test_a_missing_artifact_is_refused(tmp_path: Path) -> None:
    (write(tmp_path) / "model.json").unlink()
    with pytest.raises(ModelRefusedError, match="cannot be read"):
        load_version(folder=tmp_path)


@pytest.mark.parametrize("change", [{"label_policy": "guess"}, {"format": 2}, {"name": "other"}, {"version": 7}], ids=lambda change: next(iter(change)))
def test_a_version_made_for_another_program_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = write(tmp_path) / "manifest.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | change))
    with pytest.raises(ModelRefusedError, match="train a new version"):
        load_version(folder=tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}"], ids=["empty", "list", "no entries"])
def test_a_broken_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (write(tmp_path) / "manifest.json").write_bytes(content)
    with pytest.raises(ModelRefusedError, match="not a manifest of a model"):
        load_version(folder=tmp_path)


@pytest.mark.parametrize("version", ["9", "newest", "../exception_classifier/1", ""], ids=["unknown", "word", "path", "empty"])
def test_an_unknown_version_is_refused_and_the_known_ones_are_named(tmp_path: Path, version: str) -> None:
    write(tmp_path)
    with pytest.raises(ModelRefusedError, match="there are: 1; set"):
        load_version(version, folder=tmp_path)


def test_no_version_at_all_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match="reconcile train"):
        load_version(folder=tmp_path)


def test_a_written_version_is_never_replaced(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ModelRefusedError, match="versions are never changed"):
        write_version(tables=TABLES, calibration=CALIBRATION, certificates=(), facts={}, card="", folder=tmp_path, version=1)


def test_the_certificate_of_the_lowest_sufficient_target_acts(tmp_path: Path) -> None:
    write(tmp_path)
    model = load_version(folder=tmp_path)
    found = [model.certificate(target) for target in (0.9, 0.97, 0.99, 0.999)]
    assert [certificate.target_recall if certificate else None for certificate in found] == [0.95, 0.99, 0.99, None]
