#!/usr/bin/env python3
"""Breaks the build when an include climbs, leaves a room by a window, or closes a circle (tools/layers.txt)."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
wrong = []


def read_map():
    """{folder: [rooms it may include]}, in the order of the file."""
    layers = {}
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, rooms = line.partition(":")
            layers[folder.strip()] = rooms.split()
    return layers


def check_map(layers):
    """Rooms are listed bottom to top, so a room that names a later one (or itself) would close a circle."""
    seen = set()
    for folder, rooms in layers.items():
        for room in rooms:
            if room not in seen:
                wrong.append(f"tools/layers.txt: {folder} names '{room}', which is not below it")
        seen.add(folder.split("/")[-1])
    for path in sorted((ROOT / "src").iterdir()):
        if path.is_dir() and f"src/{path.name}" not in layers:
            wrong.append(f"src/{path.name}: this room is not in tools/layers.txt")


def sources(folder):
    return sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h"))


def target(name, file, folder):
    """The file an include names, relative to the root, or None when it is not one of ours."""
    for base in (ROOT / "src", ROOT / "include", file.parent, ROOT / folder):
        path = (base / name).resolve()
        if path.is_file() and path.is_relative_to(ROOT):
            return path.relative_to(ROOT).as_posix()
    return None


def check_include(where, name, path, folder, allowed):
    if path is None:
        if name.split("/")[0] in {f.split("/")[-1] for f in LAYERS}:
            wrong.append(f'{where}: "{name}" does not exist')
        return  # a generated file, or a header of another project
    if path.startswith(folder + "/"):
        if folder.startswith("src/") and not name.startswith(folder[4:] + "/"):
            wrong.append(f'{where}: "{name}": write the room too: "{path[4:]}"')
        return
    room = "api" if path.startswith("include/") else path.split("/")[1]
    if room == "api" and folder == "src/api":
        return
    if room not in allowed:
        wrong.append(f'{where}: "{name}": {folder} may include only: {" ".join(allowed) or "nothing"}')
    elif room != "base" and path not in (f"src/{room}/{room}.h", "include/irori.h"):
        door = "irori.h" if room == "api" else f"{room}/{room}.h"
        wrong.append(f'{where}: "{name}" is inside the room {room}; its door is "{door}"')


def check_circles(graph):
    """Depth-first search over headers; a back edge closes a circle."""
    state = {}

    def visit(file, trail):
        state[file] = "open"
        for other in graph.get(file, ()):
            if state.get(other) == "open":
                circle = trail[trail.index(other):] + [other] if other in trail else [file, other]
                wrong.append("circle: " + " -> ".join(circle))
            elif other not in state:
                visit(other, trail + [other])
        state[file] = "done"

    for file in graph:
        if file not in state:
            visit(file, [file])


def check_links(layers):
    """What a room links (ROOMS in its CMakeLists.txt) is held to the same map."""
    for folder, allowed in layers.items():
        lists = ROOT / folder / "CMakeLists.txt"
        if not folder.startswith("src/") or folder == "src/api" or not lists.is_file():
            continue
        text = re.sub(r"#.*", "", lists.read_text())
        for call in re.findall(r"irori_room\(([^)]*)\)", text):
            rooms = re.search(r"\bROOMS\b([a-z0-9_\s]*)", call)
            for room in rooms.group(1).split() if rooms else ():
                if room not in allowed:
                    wrong.append(f"{folder}/CMakeLists.txt: links '{room}'; allowed: {' '.join(allowed) or 'nothing'}")


LAYERS = read_map()
check_map(LAYERS)
includes = {}
for folder, allowed in LAYERS.items():
    for file in sources(folder):
        text = file.read_text()
        for match in INCLUDE.finditer(text):
            where = f"{file.relative_to(ROOT).as_posix()}:{text.count(chr(10), 0, match.start(1)) + 1}"
            path = target(match.group(1), file, folder)
            check_include(where, match.group(1), path, folder, allowed)
            if path:
                includes.setdefault(file.relative_to(ROOT).as_posix(), []).append(path)
check_circles(includes)
check_links(LAYERS)
for line in wrong:
    print(line)
print(f"layers: {len(includes)} files, {len(wrong)} wrong")
sys.exit(1 if wrong else 0)
