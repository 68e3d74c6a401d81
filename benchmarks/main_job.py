"""Measure the main job: N simulated payments in one month, from the pull to the close package, as a user runs it.

    python benchmarks/main_job.py --payments 50000 --runs 3

Prints one line per run (wall, CPU, peak memory of all its processes together) and the medians. Simulation and server are not counted.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

RECONCILE = Path(sys.executable).parent / "reconcile"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.payments} payments in one month")
    with tempfile.TemporaryDirectory() as scratch:
        company = Path(scratch) / "company"
        write_company(simulate_company(SimulationOptions(seed=1, payments=options.payments, months=1)), company)
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(company / "stripe")], stdout=subprocess.PIPE, text=True)
        url = server.stdout.readline().strip()
        try:
            figures = [measure(company, Path(scratch) / f"run{number}", url) for number in range(options.runs)]
        finally:
            server.terminate()
            server.wait()
    wall, cpu, peak = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"median: {wall:.1f} s wall, {cpu:.1f} s CPU, {peak:.0f} MB peak")


SERVER = """
import sys, time
from pathlib import Path
from reconciliation.simulation.sandbox_server import SandboxServer
with SandboxServer(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    time.sleep(3600)
"""


def measure(company: Path, folder: Path, url: str) -> tuple[float, float, float]:
    folder.mkdir()
    settings = (company / "reconciliation.toml").read_text()
    (folder / "reconciliation.toml").write_text("\n".join(f'api_base = "{url}"' if line.startswith("api_base") else line for line in settings.splitlines()))
    month = min((company / "deliveries").iterdir())
    for kind in month.iterdir():
        shutil.copytree(kind, folder / "inbox" / kind.name)
    environment = {**os.environ, "STRIPE_API_KEY": "rk_test_benchmark"}
    subprocess.run(
        [RECONCILE, "open", "--period", month.name, "--items", company / "opening_items.csv"], cwd=folder, env=environment, check=True, capture_output=True
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    run = subprocess.Popen([RECONCILE, "run", "--period", month.name], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while run.poll() is None:
        peak = max(peak, resident(run.pid))
        time.sleep(0.05)
    wall = time.monotonic() - began
    if run.returncode:
        sys.exit(f"the run failed with exit code {run.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{wall:.1f} s wall, {cpu:.1f} s CPU, {peak / 1024:.0f} MB peak")
    return wall, cpu, peak / 1024


def resident(process: int) -> int:
    """Return the memory of a process and all its descendants, in KiB."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return own + sum(resident(int(child)) for child in children)


if __name__ == "__main__":
    main()
