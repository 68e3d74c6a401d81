"""Dagster's web server with the review page at `/review` and numbers for Prometheus at `/metrics`: one process, one origin, one address to bookmark.

`DagsterWebserver.build_routes` is no public interface: the minor version is pinned and a smoke test guards it. The page decides through the sealed
log alone and asks for its own codes, so it stays writable where Dagster itself is read-only. Run alone: `python -m assets.web --port 3000 --read-only`.
"""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import uvicorn
from dagster._core.workspace.context import IWorkspaceProcessContext, WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.webserver import DagsterWebserver
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route

from assets import metrics
from assets.links import LOCATION
from assets.logs import configure_logs
from assets.review import open_desk
from reconciliation.review.desk import Desk
from reconciliation.review.page.app import build_app
from reconciliation.review.page.rendering import ROOT

WORKSPACE = "workspace.yaml"
POLL_MILLISECONDS = 2000


def describe_workspace() -> str:
    """Return the workspace file that web server and daemon share, so that both know the graph under one name."""
    return f"load_from:\n  - python_module: {{module_name: assets.definitions, location_name: {LOCATION}, attribute: defs}}\n"


class ReviewWebserver(DagsterWebserver[Any, Any]):
    """Dagster's web server, the review page before its own routes."""

    def __init__(self, context: IWorkspaceProcessContext[Any], desk: Desk) -> None:
        super().__init__(context, live_data_poll_rate=POLL_MILLISECONDS)
        self._desk, self._instance = desk, context.instance

    def build_routes(self) -> list[BaseRoute]:
        """Return all routes; Dagster's last one takes every address, so ours come first."""
        own = [Mount(ROOT, app=build_app(self._desk)), Route(ROOT, _to_the_page), metrics.route(self._instance, lambda: self._desk.settings)]
        return [*own, *super().build_routes()]  # type: ignore[no-untyped-call]


def make_application(context: IWorkspaceProcessContext[Any], desk: Desk) -> Starlette:
    """Make the application of the whole web server."""
    application: Starlette = ReviewWebserver(context, desk).create_asgi_app()
    return application


def serve(workspace: Path, *, host: str, port: int, is_read_only: bool) -> None:
    """Serve until stopped; Dagster's instance is the one DAGSTER_HOME names.

    Args:
        workspace: the workspace file.
        host: where to listen. With an identity header configured this is loopback, or anybody could send the header.
        port: its port.
        is_read_only: whether Dagster refuses launches and changes; the review page does not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        with dg.DagsterInstance.get() as instance:
            instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3600, max_overflow=20)
            target = WorkspaceFileTarget([str(workspace)])
            with WorkspaceProcessContext(instance, version="", read_only=is_read_only, workspace_load_target=target) as context:
                uvicorn.run(make_application(context, open_desk()), host=host, port=port, log_level="warning")


async def _to_the_page(request: Request) -> RedirectResponse:
    return RedirectResponse(f"{ROOT}/" + (f"?{request.url.query}" if request.url.query else ""))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m assets.web", description="Dagster's web server with the review page.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--workspace", type=Path, default=Path(WORKSPACE))
    parser.add_argument("--read-only", action="store_true", help="Dagster refuses launches and changes; the review page does not.")
    given = parser.parse_args(arguments)
    configure_logs()
    serve(given.workspace, host=given.host, port=given.port, is_read_only=given.read_only)


if __name__ == "__main__":
    main()
