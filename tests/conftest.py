"""Keep the tests of a file on one worker, so that what a file prepares is prepared once; the worlds of the laws are spread, and come last."""

import pytest
from xdist.scheduler import LoadScopeScheduling


class ByFile(LoadScopeScheduling):
    """Hands out whole files, those with the most tests first, and the tests of `properties` one by one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        return nodeid if file.startswith("tests/properties/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Schedule by file; xdist's own groups are marks, which it cannot read under this pytest."""
    return ByFile(config, log)
