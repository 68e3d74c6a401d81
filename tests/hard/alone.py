"""Run the main job of a company where there is no network but the loopback; called in a namespace of its own by the tests.

    unshare -rn python tests/hard/alone.py COMPANY WORKPLACE

Serves the company's Stripe, opens and runs its first month as a user does, and prints, as JSON, what the commands said and how often
anything in the namespace looked for a way out of it (the kernel counts packets without a route).
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from reconciliation.config import read_settings
from reconciliation.simulation.dry_run import deliver
from reconciliation.simulation.sandbox_server import SandboxServer

SET_FLAGS, UP_AND_RUNNING = 0x8914, 0x41
RECONCILE = Path(sys.executable).parent / "reconcile"


def raise_loopback() -> None:
    """Switch the namespace's loopback on, which is off in a new one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SET_FLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))


def attempts() -> int:
    """Return how many packets had no route, by IPv4 and IPv6."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:"))
    older = dict(zip(names, values, strict=True))["OutNoRoutes"]
    newer = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())["Ip6OutNoRoutes"]
    return int(older) + int(newer)


def try_to_leave() -> None:
    """Show that the count counts: one packet to an address for documentation (RFC 5737)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        try:
            outside.sendto(b"x", ("192.0.2.1", 53))
        except OSError:
            return


def main(company: Path, work: Path) -> None:
    """Run the job and print what happened."""
    raise_loopback()
    before = attempts()
    work.mkdir()
    said = []
    with SandboxServer(company / "stripe") as server:
        settings = (company / "reconciliation.toml").read_text()
        (work / "reconciliation.toml").write_text(settings.replace("http://127.0.0.1:12111", server.url))
        [delivery] = (company / "deliveries").iterdir()
        deliver(delivery, read_settings(work / "reconciliation.toml"))
        for arguments in (["open", "--items", str(company / "opening_items.csv")], ["run"]):
            done = subprocess.run([RECONCILE, *arguments, "--period", delivery.name], cwd=work, env=os.environ, capture_output=True, text=True, timeout=400)
            said.append((done.returncode, done.stdout + done.stderr))
    during = attempts() - before
    try_to_leave()
    print(json.dumps({"said": said, "attempts": during, "attempts_counted": attempts() - before - during}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
