// Colours for code: comments, strings, numbers, words. One pass with one expression per language; a language that is not
// known is not coloured. It reads words, not grammar, and is right about what it colours most of the time.
export interface Part {
  kind: "comment" | "string" | "number" | "keyword" | "call" | "name" | "added" | "removed" | "";
  text: string;
}

interface Language {
  comment?: string;
  string: string;
  keywords?: string;
  name?: string; // tags, keys, variables
  anyCase?: boolean;
}

const DOUBLE = String.raw`"(?:\\[\s\S]|[^"\\\n])*"?`;
const SINGLE = String.raw`'(?:\\[\s\S]|[^'\\\n])*'?`;
const BACKTICK = String.raw`${"`"}(?:\\[\s\S]|[^${"`"}\\])*${"`"}?`;
const LINES = String.raw`\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)`;
const HASH = String.raw`#[^\n]*`;
const C = "auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true false NULL";

const languages: Record<string, Language> = {
  c: { comment: LINES, string: `${DOUBLE}|${SINGLE}`, keywords: C, name: String.raw`^[ \t]*#\w+` },
  cpp: { comment: LINES, string: `${DOUBLE}|${SINGLE}`, name: String.raw`^[ \t]*#\w+`,
    keywords: `${C} class namespace template typename public private protected virtual override final new delete this nullptr using try catch throw constexpr noexcept operator friend explicit concept requires co_await co_return` },
  js: { comment: LINES, string: `${DOUBLE}|${SINGLE}|${BACKTICK}`,
    keywords: "as async await break case catch class const continue debugger default delete do else enum export extends false finally for from function get if implements import in instanceof interface let new null of private protected public readonly return set static super switch this throw true try type typeof undefined var void while yield" },
  java: { comment: LINES, string: `${DOUBLE}|${SINGLE}`,
    keywords: "abstract assert boolean break byte case catch char class const continue data default do double else enum extends false final finally float for fun if implements import in instanceof int interface internal is long native new null object open override package private protected public record return sealed short static string super switch this throw throws true try using val var void volatile when where while namespace async await" },
  go: { comment: LINES, string: `${DOUBLE}|${SINGLE}|${BACKTICK}`,
    keywords: "break case chan const continue default defer else fallthrough false for func go goto if import interface iota map nil package range return select struct switch true type var string int error bool byte any" },
  rust: { comment: LINES, string: String.raw`${DOUBLE}|'(?:\\.|[^'\\\n])'`,
    keywords: "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while" },
  python: { comment: HASH, string: String.raw`[rbfuRBFU]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|${DOUBLE}|${SINGLE})`, name: String.raw`@[\w.]+`,
    keywords: "and as assert async await break class continue def del elif else except False finally for from global if import in is lambda match case None nonlocal not or pass raise return self True try while with yield" },
  ruby: { comment: HASH, string: `${DOUBLE}|${SINGLE}`, name: String.raw`[@$:]\w+`,
    keywords: "alias and begin break case class def do else elsif end ensure false for if in module next nil not or redo rescue retry return self super then true undef unless until when while yield require" },
  shell: { comment: String.raw`(?<![\w$])#[^\n]*`, string: `${DOUBLE}|${SINGLE}`, name: String.raw`\$\{?[\w@#?*]+\}?|(?<=\s)--?[\w-]+`,
    keywords: "if then else elif fi for in do done while until case esac function return export local set unset cd echo exit source sudo" },
  sql: { comment: String.raw`--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)`, string: `${DOUBLE}|${SINGLE}`, anyCase: true,
    keywords: "select from where insert into values update set delete create table index view drop alter add primary key foreign references join left right inner outer full on as and or not null is in like between group by order having limit offset union all distinct case when then else end with returning default unique begin commit rollback int integer text real boolean" },
  json: { comment: LINES, string: DOUBLE, name: String.raw`"(?:\\.|[^"\\\n])*"(?=\s*:)`, keywords: "true false null" },
  yaml: { comment: String.raw`(?<!\S)#[^\n]*`, string: `${DOUBLE}|${SINGLE}`, name: String.raw`^[ \t-]*[\w."-]+(?=\s*[:=])|^\s*\[[^\]\n]*\]`, keywords: "true false null yes no on off" },
  html: { comment: String.raw`<!--[\s\S]*?(?:-->|$)`, string: `${DOUBLE}|${SINGLE}`, name: String.raw`<\/?[\w:-]+|\/?>` },
  css: { comment: String.raw`\/\*[\s\S]*?(?:\*\/|$)`, string: `${DOUBLE}|${SINGLE}`, name: String.raw`--?[\w-]+(?=\s*:)|[a-z-]+(?=\s*:\s)|@[\w-]+|[.#][A-Za-z][\w-]*` },
  lua: { comment: String.raw`--[^\n]*`, string: `${DOUBLE}|${SINGLE}`,
    keywords: "and break do else elseif end false for function goto if in local nil not or repeat return then true until while" },
};

const also: Record<string, string> = {
  h: "c", cc: "cpp", cxx: "cpp", hpp: "cpp", "c++": "cpp", javascript: "js", jsx: "js", ts: "js", tsx: "js", typescript: "js", mjs: "js",
  kotlin: "java", kt: "java", cs: "java", csharp: "java", swift: "go", golang: "go", rs: "rust", py: "python", python3: "python", rb: "ruby",
  sh: "shell", bash: "shell", zsh: "shell", console: "shell", sqlite: "sql", postgresql: "sql", jsonc: "json", json5: "json", yml: "yaml",
  toml: "yaml", ini: "yaml", conf: "yaml", dockerfile: "shell", make: "shell", makefile: "shell", xml: "html", svg: "html", vue: "html", scss: "css",
};

const NUMBER = String.raw`\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\w{0,3}\b`;
const compiled = new Map<string, RegExp>();

function expression(name: string, l: Language): RegExp {
  let found = compiled.get(name);
  if (!found) {
    const parts = [
      l.comment && `(?<comment>${l.comment})`,
      l.name && `(?<name>${l.name})`,
      `(?<string>${l.string})`,
      l.keywords && `(?<keyword>(?<![\\w$.-])(?:${l.keywords.split(" ").join("|")})(?![\\w-]))`,
      `(?<number>${NUMBER})`,
      `(?<call>(?<![\\w$])[A-Za-z_]\\w*(?=\\())`,
    ];
    found = new RegExp(parts.filter(Boolean).join("|"), l.anyCase ? "gim" : "gm");
    compiled.set(name, found);
  }
  return found;
}

function differences(code: string): Part[] {
  return code.split(/(?<=\n)/).map((line) => ({ text: line, kind: /^\+(?!\+\+ )/.test(line) ? "added" : /^-(?!-- )/.test(line) ? "removed" : line.startsWith("@@") ? "name" : "" }));
}

export function highlight(code: string, language: string): Part[] {
  const asked = language.toLowerCase();
  if (asked === "diff" || asked === "patch") return differences(code);
  const name = Object.hasOwn(also, asked) ? also[asked]! : asked;
  if (!Object.hasOwn(languages, name)) return [{ kind: "", text: code }];
  const out: Part[] = [];
  let at = 0;
  for (const found of code.matchAll(expression(name, languages[name]!))) {
    if (found.index > at) out.push({ kind: "", text: code.slice(at, found.index) });
    const kind = (Object.entries(found.groups ?? {}).find(([, v]) => v !== undefined)?.[0] ?? "") as Part["kind"];
    out.push({ kind, text: found[0] });
    at = found.index + found[0].length;
  }
  if (at < code.length) out.push({ kind: "", text: code.slice(at) });
  return out;
}
