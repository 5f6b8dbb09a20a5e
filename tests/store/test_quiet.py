"""Nothing leaves the machine: the programs run in a network namespace whose only way out is an interface that leads
nowhere and counts. Skipped, with a word, where such a namespace may not be made."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SUITES = ("cli/test_run.py", "cli/test_chat.py", "cli/test_info.py", "cli/test_embed.py", "store/test_models.py", "server/test_chat.py")


def sent():
    """Packets that went out, or tried to."""
    for line in pathlib.Path("/proc/self/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "out0":
            fields = numbers.split()
            return int(fields[9]) + int(fields[11])  # sent, dropped
    raise RuntimeError("there is no out0")


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def inside():
    ip("link", "set", "lo", "up")
    ip("link", "add", "out0", "type", "veth", "peer", "name", "nowhere")
    for end in ("out0", "nowhere"):
        off = pathlib.Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6")
        if off.exists():
            off.write_text("1")  # the system's own announcements do not count
        ip("link", "set", end, "arp", "off")
    ip("link", "set", "nowhere", "up")
    ip("address", "add", "192.0.2.1/24", "dev", "out0")
    ip("link", "set", "out0", "up")
    ip("route", "add", "default", "dev", "out0")
    failed = 0
    for suite in SUITES:
        r = subprocess.run([sys.executable, "-B", str(HERE.parent / suite)], capture_output=True, text=True)
        print(f"{suite}: {r.stderr.strip().splitlines()[-1] if r.stderr.strip() else ''}")
        if r.returncode not in (0, 77):
            print(r.stderr[-2000:])
            failed += 1
    irori = os.environ.get("IRORI", "build/release/irori")
    subprocess.run([irori, "doctor"], capture_output=True)
    subprocess.run([irori, "list"], capture_output=True)
    quiet = sent()
    # The counter counts: one packet of this test's own, and a pull that the person asks for.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", ("198.51.100.1", 9))
    own = sent()
    subprocess.run([irori, "pull", "http://8.8.8.8/m.gguf", "--allow-http", "--patience", "1"], capture_output=True)
    pulled = sent()
    print(f"packets: {quiet} from the suites, {own - quiet} of the test's one, {pulled - own} from a pull")
    return 0 if not failed and quiet == 0 and own == 1 and pulled > own else 1


def main():
    if "inside" in sys.argv:
        return inside()
    for tool in ("unshare", "ip"):
        if not shutil.which(tool):
            print(f"skipped: there is no {tool} here")
            return 77
    space = ["unshare", "--map-root-user", "--net"]
    why = subprocess.run([*space, "sh", "-c", "ip link add out0 type veth peer name nowhere"], capture_output=True, text=True)
    if why.returncode:
        print(f"skipped: no network namespace of one's own may be made here: {why.stderr.strip()}")
        return 77
    return subprocess.run([*space, sys.executable, "-B", __file__, "inside"]).returncode


sys.exit(main())
