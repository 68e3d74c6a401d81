"""Keep the tests of a file on one worker, so that what a file prepares is prepared once; the worlds of the laws are spread."""

import pytest


def pytest_collection_modifyitems(items):
    """Group tests by file for `--dist loadgroup`."""
    for item in items:
        if "properties" not in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
