"""Servers that play the outside world on the loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@contextmanager
def serve(respond: Callable[[Request], Response]) -> Iterator[str]:
    """Answer every request with `respond`, on a free port, while the block lasts."""

    async def endpoint(request: Request) -> Response:
        return respond(request)

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", lifespan="off", date_header=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(name="serve")
def serve_fixture() -> Callable[[Callable[[Request], Response]], AbstractContextManager[str]]:
    return serve


@pytest.fixture
def serving() -> Callable[..., AbstractContextManager[tuple[str, list[Request]]]]:
    """Serve the answers one after another, the last one for ever; gives the address and the requests so far."""

    @contextmanager
    def in_turn(*answers: Response) -> Iterator[tuple[str, list[Request]]]:
        requests: list[Request] = []

        def respond(request: Request) -> Response:
            requests.append(request)
            return answers[min(len(requests), len(answers)) - 1]

        with serve(respond) as url:
            yield url, requests

    return in_turn
