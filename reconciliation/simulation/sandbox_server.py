"""What answers like Stripe (`sandbox`, `faults`) -> a server on the loopback, in this process or in one of its own.

It can be slow and enforce Stripe's limits. Alone: `reconcile sandbox DIR`.
"""

import asyncio
import email.utils
import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from reconciliation.errors import ReconciliationError, SettingsError
from reconciliation.simulation.faults import Answer, Answering
from reconciliation.simulation.sandbox import read_sandbox

API_VERSION = "2026-10-28.endive"
LOOPBACK = "127.0.0.1"
READY = "ready"

_TOO_MANY = Answer(429, b'{"error":{"code":"rate_limit","message":"Request rate limit exceeded.","type":"invalid_request_error"}}')


@dataclass(frozen=True)
class Manner:
    """How a sandbox serves.

    Attributes:
        latency_seconds: how long each answer takes.
        requests_per_second: most requests to one endpoint of one account, as Stripe limits them; None is any number.
    """

    latency_seconds: float = 0.0
    requests_per_second: float | None = None


@dataclass
class _Limit:
    """Counts requests of the last second and turns too many away, as Stripe does."""

    per_second: float
    seen: dict[str, deque[float]] = field(default_factory=dict)

    def turns_away(self, endpoint: str) -> bool:
        """Count a request; say whether it is one too many."""
        now, times = time.monotonic(), self.seen.setdefault(endpoint, deque())
        while times and times[0] <= now - 1.0:
            times.popleft()
        if len(times) >= self.per_second:
            return True
        times.append(now)
        return False


class _BrokenOff(Response):
    """A response whose connection ends in the middle of its body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})


def build_app(sandbox: Answering, manner: Manner = Manner()) -> Starlette:
    """Build the server over what answers."""
    date = email.utils.formatdate(sandbox.now, usegmt=True)
    limit = None if manner.requests_per_second is None else _Limit(manner.requests_per_second)

    async def respond(request: Request) -> Response:
        query, path, account = request.url.query, request.url.path, request.headers.get("stripe-account", "")
        if limit is not None and limit.turns_away(f"{account} {'/'.join(path.split('/')[:3])}"):
            answer = _TOO_MANY
        else:
            answer = sandbox.answer(method=request.method, path=path, query=query, headers=request.headers)
        if manner.latency_seconds + answer.delay_seconds:
            await asyncio.sleep(manner.latency_seconds + answer.delay_seconds)
        name = hashlib.sha256(f"{request.method} {path}?{query} {account}".encode()).hexdigest()
        headers = {"Date": date, "Request-Id": f"req_{name[:14]}", "Stripe-Version": request.headers.get("stripe-version", API_VERSION)}
        if answer.retry_after:
            headers["Retry-After"] = answer.retry_after
        if answer is _TOO_MANY:
            headers["Stripe-Rate-Limited-Reason"] = "endpoint-rate"
        kind = _BrokenOff if answer.is_broken_off else Response
        return kind(answer.body, status_code=answer.status, headers=headers, media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", respond, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])])


def serve(sandbox: Answering, port: int, manner: Manner = Manner()) -> None:
    """Serve on the loopback until interrupted."""
    uvicorn.Server(_configure(build_app(sandbox, manner), port)).run()


class SandboxServer:
    """A sandbox in a thread of this process, on a free port of the loopback, for as long as the `with` block lasts."""

    def __init__(self, source: Path | Answering, manner: Manner = Manner()) -> None:
        """Remember the folder, or what answers; a folder is read when the block is entered."""
        self._source, self._manner = source, manner
        self.url = ""

    def __enter__(self) -> Self:
        """Start the server; it answers when this returns.

        Raises:
            SettingsError: no such folder.
            FileRefusedError: a file in it is malformed.
        """
        app = build_app(read_sandbox(self._source) if isinstance(self._source, Path) else self._source, self._manner)
        # The socket listens before the thread runs: early requests wait in its queue, so nobody has to poll.
        self._socket = socket.create_server((LOOPBACK, 0), backlog=128)
        port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(_configure(app, port))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, name="sandbox", daemon=True)
        self._thread.start()
        self.url = f"http://{LOOPBACK}:{port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the server and wait for its thread."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


class SandboxProcess:
    """A sandbox of a folder in a process of its own, which shares no time with what pulls from it; it ends with the `with` block or its parent."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; it is read by the process, from the moment the block is entered."""
        self._folder = folder

    def __enter__(self) -> Self:
        """Start the process, without waiting for it."""
        with socket.create_server((LOOPBACK, 0), backlog=128) as listening:
            self._url = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
            command = [sys.executable, "-m", __name__, str(self._folder), str(listening.fileno())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[listening.fileno()]
            )
        return self

    @property
    def url(self) -> str:
        """Return the server's address, as soon as it answers.

        Raises:
            SettingsError: it did not start; the message is what it said.
        """
        if self._process.stdout is not None and not self._process.stdout.closed:
            said = self._process.stdout.readline().strip()
            if said != READY:
                raise SettingsError(self._process.communicate()[1].strip() or f"{self._folder}: its sandbox ended before it served")
            self._process.stdout.close()
        return self._url

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the process and wait for it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _serve_inherited(folder: Path, descriptor: int) -> None:
    """Serve on a socket that the parent opened, until the parent is gone."""
    try:
        app = build_app(read_sandbox(folder))
    except ReconciliationError as error:
        sys.exit(str(error))
    listening = socket.socket(fileno=descriptor)
    server = uvicorn.Server(_configure(app, listening.getsockname()[1]))

    def stop_with_parent() -> None:
        sys.stdin.read()  # ends when the parent does, however it ends
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    server.run(sockets=[listening])


def _configure(app: Starlette, port: int) -> uvicorn.Config:
    # The clock is the sandbox's own, so uvicorn's date header is off.
    return uvicorn.Config(
        app,
        host=LOOPBACK,
        port=port,
        date_header=False,
        server_header=False,
        # A connection broken off on purpose is no error of the server's.
        log_level="critical",
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    _serve_inherited(Path(sys.argv[1]), int(sys.argv[2]))
