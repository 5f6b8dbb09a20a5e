"""bench/compare.py with peers that are made up."""
import json
import shlex
import subprocess
import sys

import cli

# Answers like llama-bench; `SPEED` tokens a second times 1, 2, 3 from call to call.
PEER = """
import json, pathlib, sys
o = dict(zip(sys.argv[1::2], sys.argv[2::2]))
count = pathlib.Path({count!r})
n = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(n))
assert o["-o"] == "json" and o["-r"] == "1"
print("a line before")
print(json.dumps([dict(build_commit="abc", build_number=7, n_prompt=int(o["-p"]), n_gen=int(o["-n"]),
                       n_depth=int(o.get("-d", 0)), avg_ts=0, samples_ts=[{speed} * n])]))
"""
BROKEN = "import sys; print('no such model', file=sys.stderr); sys.exit(3)"


class Compare(cli.Case):
    def program(self, name, text):
        return f"{shlex.quote(sys.executable)} {shlex.quote(self.file(name, text))}"

    def compare(self, *words, status=0, irori=cli.IRORI):
        script = str(cli.SOURCE / "bench" / "compare.py")
        r = subprocess.run([sys.executable, script, "--irori", irori, "--model", cli.MODEL, "--pp", "16", "--tg", "4",
                            "--threads", "1", *words], capture_output=True, text=True, timeout=cli.PATIENCE)
        self.assertEqual(r.returncode, status, r.stderr)
        return r

    def test_ratios_and_files(self):
        fast = self.program("fast.py", PEER.format(count=str(self.folder / "n"), speed=10.0))
        broken = self.program("broken.py", BROKEN)
        out = str(self.folder / "report")
        r = self.compare("--peer", f"fast={fast}", "--peer", f"broken={broken}", "--peer", "none=/no/such/program",
                         "--rounds", "3", "--depth", "8", "--out", out)
        with open(out + ".md", encoding="utf-8") as f:
            self.assertEqual(f.read(), r.stdout)
        with open(out + ".json", encoding="utf-8") as f:
            report = json.load(f)
        self.assertEqual([t["test"] for t in report["tests"]], ["pp16@d8", "tg4@d8"])
        engines = report["tests"][0]["engines"]
        self.assertEqual(engines["fast"]["speeds"], [10, 20, 30])
        self.assertEqual((engines["fast"]["median"], engines["fast"]["least"], engines["fast"]["most"]), (20, 10, 30))
        ratios = [a / b for a, b in zip(engines["irori"]["speeds"], (10, 20, 30))]
        self.assertEqual(engines["fast"]["ratios"], ratios)
        self.assertEqual(engines["fast"]["ratio"], sorted(ratios)[1])
        self.assertIsNone(engines["broken"]["ratio"])
        self.assertIn("status 3: no such model", r.stdout)
        self.assertIn("broken failed in 3 of 3 rounds", r.stdout)
        self.assertIn("/no/such/program", r.stdout)
        self.assertEqual(report["engines"]["fast"]["version"], "abc (7)")
        self.assertTrue(report["machine"]["cpu"])

    def test_template(self):
        echo = self.program("echo.py", "import json, sys; print(json.dumps([dict(n_prompt=int(sys.argv[1]), "
                                       "n_gen=int(sys.argv[2]), avg_ts=5.0)]))")
        r = self.compare("--peer", f"echo={echo} {{pp}} {{tg}}", "--rounds", "1")
        self.assertEqual(r.stdout.count("| echo | 5.00 |"), 2)

    def test_too_slow_and_no_irori(self):
        slow = self.program("slow.py", "import time; time.sleep(1000)")
        r = self.compare("--peer", f"slow={slow}", "--rounds", "2", "--timeout", "2", status=1, irori="/no/irori")
        self.assertIn("slow failed in 2 of 2 rounds: no result after 2 s", r.stdout)

    def test_bad_use(self):
        self.compare("--peer", "nameless", status=2)
        self.compare("--peer", "irori=x", status=2)
        self.compare("--rounds", "0", status=2)


if __name__ == "__main__":
    cli.main()
