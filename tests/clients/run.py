"""Runs one test of a real client, when that client is installed where tools/clients.sh puts it; else says so and is
skipped (status 77)."""
import os
import pathlib
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
folder = pathlib.Path(os.environ.get("IRORI_CLIENTS", here.parents[1] / "build" / "clients"))
name, needs = sys.argv[1], sys.argv[2]
env = dict(os.environ, PYTHONPATH=str(here.parent / "server"), PYTHONDONTWRITEBYTECODE="1")
if name.endswith(".py"):
    python = folder / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", f"import {needs}"], capture_output=True).returncode:
        print(f"skipped: the Python package {needs} is not in {folder}; tools/clients.sh installs it")
        sys.exit(77)
    sys.exit(subprocess.run([python, here / name], env=env).returncode)
if not (folder / "node_modules" / needs).exists():
    print(f"skipped: the npm package {needs} is not in {folder}; tools/clients.sh installs it")
    sys.exit(77)
sys.exit(subprocess.run([sys.executable, here / "node.py", name, str(folder)], env=env).returncode)
