#!/usr/bin/env python3
"""Holds what CONTRIBUTING.md says and a compiler does not: libraries never print or end the process, and no call
that writes past its buffer. Long functions and files are only noted."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIP = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
EVERYWHERE = re.compile(r"\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|alloca|tmpnam|atoi|atof)\s*\(")
IN_LIBRARY = re.compile(r"\b(v?printf|puts|putchar|perror|exit|_exit|quick_exit|abort|assert)\s*\(|\b(stdout|stderr)\b")
LONGEST_FILE, LONGEST_FUNCTION = 800, 100

wrong = notes = 0


def blank(match):
    """Comments and texts become spaces; the line count stays."""
    return re.sub(r"[^\n]", " ", match.group(0))


def check_calls(name, text):
    global wrong
    patterns = [EVERYWHERE] + ([IN_LIBRARY] if name.startswith("src/") else [])
    for number, line in enumerate(SKIP.sub(blank, text).splitlines(), 1):
        for pattern in patterns:
            for match in pattern.finditer(line):
                print(f"{name}:{number}: {match.group(1) or match.group(2)} is not used here")
                wrong += 1


def note_sizes(name, text):
    """A function is what stands between a "{" and a "}" in the first column."""
    global notes
    lines = text.splitlines()
    if len(lines) > LONGEST_FILE and "table" not in name:
        print(f"note: {name} has {len(lines)} lines; past {LONGEST_FILE}, look for the wall that was missed")
        notes += 1
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > LONGEST_FUNCTION:
                print(f"note: {name}:{start}: a function of {number - start} lines")
                notes += 1
            start = None


for folder in ("src", "apps", "include"):
    for file in sorted((ROOT / folder).rglob("*")):
        if file.suffix in (".c", ".h"):
            text = file.read_text()
            name = file.relative_to(ROOT).as_posix()
            check_calls(name, text)
            note_sizes(name, text)
print(f"taste: {wrong} wrong, {notes} notes")
sys.exit(1 if wrong else 0)
