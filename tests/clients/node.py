"""Serves the demo model and runs a JavaScript test against it: node.py TEST FOLDER."""
import os
import pathlib
import subprocess
import sys

import serving

server = serving.Server("--quiet")
try:
    env = dict(os.environ, NODE_PATH=str(pathlib.Path(sys.argv[2]) / "node_modules"), BASE=f"http://127.0.0.1:{server.port}",
               MODEL=serving.NAME)
    status = subprocess.run(["node", str(pathlib.Path(__file__).resolve().parent / sys.argv[1])], env=env,
                            timeout=serving.PATIENCE * 2).returncode
finally:
    ended = server.stop()
sys.exit(status or ended)
