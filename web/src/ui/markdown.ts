// Markdown into blocks. marked gives the syntax tree; HTML is never made of it: Markdown.tsx makes elements of the tree,
// and what is HTML in the text stays text. Maths is an addition: $x$, $$x$$, \(x\), \[x\].
import { Marked, type Token, type TokenizerAndRendererExtension } from "marked";

export interface MathToken {
  type: "math";
  raw: string;
  text: string;
  display: boolean;
}

// Blocks beyond this are shown as they were written: nobody reads their layout, and some need quadratic time.
const MOST_LAID_OUT = 20_000;
const MOST_DEPTH = 24;

// A dollar sign is mathematics when no space follows it nor stands before its partner, and no digit comes behind
// (as in pandoc), so that prices stay prices.
const inlineRules = [
  { rule: /^\$\$([^$]{1,2000}?)\$\$/, display: true },
  { rule: /^\$(?![\s$])((?:\\.|[^$\\\n]){0,1000}?[^\s$\\])\$(?!\d)/, display: false },
  { rule: /^\\\(([\s\S]{1,1000}?)\\\)/, display: false },
  { rule: /^\\\[([\s\S]{1,2000}?)\\\]/, display: true },
];
const blockRules = [/^\$\$[ \t]*\n?((?:[^$]|\\\$){1,4000}?)\n?[ \t]*\$\$[ \t]*(?:\n|$)/, /^\\\[[ \t]*\n?([\s\S]{1,4000}?)\n?[ \t]*\\\][ \t]*(?:\n|$)/];

const inlineMath: TokenizerAndRendererExtension = {
  name: "math",
  level: "inline",
  start: (src) => {
    const at = src.search(/\$|\\[([]/);
    return at < 0 ? undefined : at;
  },
  tokenizer: (src) => {
    for (const { rule, display } of inlineRules) {
      const found = rule.exec(src);
      if (found) return { type: "math", raw: found[0], text: found[1]!, display };
    }
    return undefined;
  },
};

const blockMath: TokenizerAndRendererExtension = {
  name: "mathBlock",
  level: "block",
  start: (src) => {
    const at = src.search(/(?:^|\n)(?:\$\$|\\\[)/);
    return at < 0 ? undefined : at;
  },
  tokenizer: (src) => {
    for (const rule of blockRules) {
      const found = rule.exec(src);
      if (found) return { type: "math", raw: found[0], text: found[1]!, display: true };
    }
    return undefined;
  },
};

const marked = new Marked({ gfm: true }, { extensions: [inlineMath, blockMath] });

const plain = (raw: string): Token => ({ type: "plain", raw, text: raw });

function depth(tokens: Token[], left: number): boolean {
  if (left === 0) return false;
  for (const t of tokens) {
    const inner = "tokens" in t && t.tokens ? t.tokens : [];
    const items = t.type === "list" ? (t as { items: Token[] }).items : [];
    if (!depth(inner, left - 1) || !depth(items, left - 1)) return false;
  }
  return true;
}

// Paragraphs stand apart by blank lines: one that is too long is kept from the parser, its neighbours are not.
function lex(text: string): Token[] {
  if (text.length <= MOST_LAID_OUT || /^ {0,3}(```|~~~)/.test(text)) {
    try {
      const tokens = marked.lexer(text) as Token[];
      return depth(tokens, MOST_DEPTH) ? tokens : [plain(text)];
    } catch {
      return [plain(text)]; // nested too deeply for the parser itself
    }
  }
  const out: Token[] = [];
  const parts = split(text);
  for (const part of parts) out.push(...(part.length > MOST_LAID_OUT && parts.length > 1 ? lexLong(part) : part.length > MOST_LAID_OUT ? [plain(part)] : lex(part)));
  return out;
}

const lexLong = (part: string): Token[] => (/^ {0,3}(```|~~~)/.test(part) ? lex(part) : [plain(part)]);

// At blank lines outside of fences; together the parts are the text. Neighbours are joined up to half of the most.
function split(text: string): string[] {
  const parts: string[] = [];
  let fence = "";
  let part = "";
  for (const line of text.split(/(?<=\n)/)) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? "";
    if (!fence && mark && part.length > MOST_LAID_OUT / 2) {
      parts.push(part);
      part = "";
    }
    part += line;
    if (!fence) fence = mark;
    else if (mark.startsWith(fence)) fence = "";
    if (!fence && line.trim() === "" && part.length > MOST_LAID_OUT / 2) {
      parts.push(part);
      part = "";
    }
  }
  if (part) parts.push(part);
  return parts;
}

// The blocks of a text that grows: what is settled (all but the last two) is not parsed again.
export class Blocks {
  private text = "";
  private tokens: Token[] = [];

  of(text: string): Token[] {
    if (text === this.text) return this.tokens;
    const settled = text.startsWith(this.text) ? this.tokens.slice(0, -2) : [];
    let from = 0;
    for (const t of settled) from += t.raw.length;
    // The parser changes some characters (tabs, line ends): then lengths do not fit, and all is parsed.
    const fits = settled.length > 0 && text.startsWith(settled.map((t) => t.raw).join(""));
    this.tokens = fits ? [...settled, ...lex(text.slice(from))] : lex(text);
    this.text = text;
    return this.tokens;
  }
}

const names: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

export function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,5}));/gi, (all, decimal: string, hex: string, name: string) => {
    if (name) return names[name.toLowerCase()] ?? all;
    const code = decimal ? parseInt(decimal, 10) : parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000) ? String.fromCodePoint(code) : all;
  });
}

// An address that may be followed; null for all others (javascript:, data:, relative ones).
export function safeAddress(href: string): string | null {
  try {
    const url = new URL(href);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
