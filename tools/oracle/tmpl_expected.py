#!/usr/bin/python3
"""What Jinja2 makes of every chat template in a folder, and of the snippets in tests/tmpl/data/snippets.json.

    tools/oracle/tmpl_expected.py TEMPLATE_DIR

reads tests/tmpl/data/{contexts,snippets}.json and writes tests/tmpl/data/{templates,language}_expected.json.
Needs Debian's python3-jinja2. The environment is the one chat templates are written for: sandboxed, trim_blocks,
lstrip_blocks, loop controls, tojson as plain json.dumps, raise_exception, strftime_now, {% generation %}; plus
from_json. Long texts are kept as their length and FNV-1a hash, except in the contexts named by FULL.
"""
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests" / "tmpl" / "data"
NOW = 1753600000  # also in tests/tmpl/test_tmpl.c
FULL = {"tool_round"}


class Raised(Exception):
    pass


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise Raised(str(message))


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(fmt):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None).strftime(fmt)


def environment():
    env = jinja2.sandbox.SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    env.globals.pop("lipsum", None)
    env.globals.pop("cycler", None)
    return env


def render(env, source, context):
    names = {"tools": None, "documents": None}
    names.update(context.get("extra", {}))
    names["messages"] = context.get("messages", [])
    if "tools" in context:
        names["tools"] = context["tools"]
    names["add_generation_prompt"] = context.get("add_generation_prompt", False)
    for key in ("bos_token", "eos_token"):
        if key in context:
            names[key] = context[key]
    try:
        return {"text": env.from_string(source).render(**json.loads(json.dumps(names)))}
    except Raised as e:
        return {"raised": str(e)}
    except jinja2.UndefinedError as e:
        return {"undefined": str(e)}
    except Exception as e:
        return {"error": type(e).__name__ + ": " + str(e)}


def fnv1a(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 % 2**64
    return h


def shorten(result, full):
    text = result.get("text")
    data = b"" if text is None else text.encode()
    if full or len(data) < 200:
        return result
    return {"bytes": len(data), "fnv1a": f"{fnv1a(data):016x}"}


def write(name, rows):
    body = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (DATA / name).write_text("[\n" + body + "\n]\n")


def templates(folder):
    contexts = json.loads((DATA / "contexts.json").read_text())
    rows = []
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        env = environment()
        for context in contexts:
            result = shorten(render(env, path.read_text(), context), context["name"] in FULL)
            rows.append({"template": path.name, "context": context["name"], **result})
    write("templates_expected.json", rows)


def language():
    snippets = json.loads((DATA / "snippets.json").read_text())
    env = environment()
    write("language_expected.json", [{"source": s, **render(env, s, snippets)} for s in snippets["sources"]])


def main():
    templates(sys.argv[1])
    language()


if __name__ == "__main__":
    main()
