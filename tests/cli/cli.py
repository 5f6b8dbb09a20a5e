"""What the tests of the command line share. Each test file is a unittest program; CTest names the programs under
test in IRORI, MAKE_RANDOM_MODEL and IRORI_SOURCE."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

IRORI = os.environ.get("IRORI", "build/release/irori")
RANDOM = os.environ.get("MAKE_RANDOM_MODEL", "build/release/tools/make-random-model/make-random-model")
SOURCE = pathlib.Path(os.environ.get("IRORI_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
MODEL = str(SOURCE / "models" / "irori-tiny-f16.gguf")
PATIENCE = float(os.environ.get("CLI_PATIENCE", 60))  # seconds; the machine may be busy


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def irori(self, *words, stdin="", status=0, **more):
        """Runs irori; gives (stdout, stderr) after checking the exit status."""
        r = subprocess.run([IRORI, *words], input=stdin.encode(), capture_output=True, timeout=PATIENCE, **more)
        out, err = r.stdout.decode(errors="replace"), r.stderr.decode(errors="replace")
        self.assertEqual(r.returncode, status, f"{words}: {out[-500:]} {err[-500:]}")
        return out, err

    def json(self, *words, **more):
        out, err = self.irori(*words, "--json", **more)
        self.assertEqual(err, "")
        return json.loads(out)

    def fails(self, *words, status=1, says, out=False, **more):
        """One line on stderr with `says` in it, nothing on stdout but where `out` allows it."""
        said, err = self.irori(*words, status=status, **more)
        self.assertTrue(out or not said, said)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("irori"), err)
        self.assertIn(says, err)
        return err

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(path)


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
