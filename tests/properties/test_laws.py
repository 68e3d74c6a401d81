"""The laws of the close package, in generated companies of every posting style and dirt level.

Each world is simulated, recorded by three recorders with errors of their own, reconciled month by month, and its packages are
re-added by the checker that uses only the standard library, by the auditor's script, and by an adder that reads the company's own files.
`RECONCILIATION_WORLDS` sets how many: 60 by default, 1,000 in `make hard`. A failure names its world, which
`RECONCILIATION_WORLD=17 pytest tests/properties/test_laws.py` repeats.
"""

import importlib.util
import os
import sys
from pathlib import Path

import polars as pl
import pytest

from reconciliation.close.audit import audit_package
from reconciliation.close.show import show_nothing, show_package
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import dry_company
from reconciliation.simulation.families import random_options
from reconciliation.simulation.writer import write_company

sys.path.insert(0, str(Path(__file__).parent))
from independent_adder import compare

WORLDS = int(os.environ.get("RECONCILIATION_WORLDS", "60"))
CHUNK = 10
NAMED = os.environ.get("RECONCILIATION_WORLD", "")
FIRST_OF_TEN = [int(NAMED)] if NAMED else range(0, WORLDS, CHUNK)

spec = importlib.util.spec_from_file_location("package_laws", Path(__file__).parents[1] / "end_to_end" / "package_laws.py")
package_laws = importlib.util.module_from_spec(spec)


@pytest.fixture(scope="module")
def check_package():
    sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
    spec.loader.exec_module(package_laws)
    return package_laws.check_package


def by_age(features: pl.DataFrame) -> pl.DataFrame:
    """Stand in for the model: the laws hold whatever it says."""
    probability = pl.when(pl.col("age_days") > 10).then(0.9).otherwise(0.1)
    return features.select("break_id", probability_true_exception=probability, reasons=pl.lit(["age"]))


@pytest.mark.parametrize("first", FIRST_OF_TEN)
def test_the_laws_hold_in_ten_worlds(first, tmp_path, check_package):
    violations = []
    for seed in [first] if NAMED else range(first, min(first + CHUNK, WORLDS)):
        folder = tmp_path / str(seed)
        write_company(simulate_company(random_options(seed)), folder)
        before = None
        show = show_package if seed == first else show_nothing  # Workbook and report show figures and add none; one world of ten makes them.
        with dry_company(folder, score=by_age, show=show) as months:
            for month in months:
                copy = tmp_path / f"{seed}-close" / month.result.month.period / "v1"
                copy.mkdir(parents=True)
                for file in month.package.iterdir():
                    (copy / file.name).write_bytes(file.read_bytes())
                violations += [f"seed {seed}, {month.result.month.period}: {text}" for text in check_package(copy, before=before)]
                # The auditor's script shares no code with the checker and must come to the same.
                violations += [f"seed {seed}, audit: {text}" for check in audit_package(copy) for text in check.found]
                # This one reads neither the package's totals nor anything of the product.
                added = compare(folder, copy, before, period=month.result.month.period)
                violations += [f"seed {seed}, {month.result.month.period}, added from the files: {text}" for text in added]
                before = copy
                assert month.result.statement.filter(pl.col("line") == "unexplained")["difference"].sum() == 0, f"seed {seed}"
    assert violations == []
