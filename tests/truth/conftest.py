"""The shipped classifier and what it was made from."""

import polars as pl
import pytest

from reconciliation.classifier.examples import LABELED
from reconciliation.classifier.versions import ModelVersion, load_version


@pytest.fixture(scope="session")
def model() -> ModelVersion:
    """The latest version."""
    return load_version()


@pytest.fixture(scope="session")
def examples(model: ModelVersion) -> pl.DataFrame:
    """The labeled breaks it was made from."""
    return pl.read_parquet(LABELED / model.manifest["training_data"]["file"])
