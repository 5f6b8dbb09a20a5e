// Markdown as React elements.
import "./markdown.css";
import type { Token, Tokens } from "marked";
import { createElement, memo, useRef, type ReactNode } from "react";
import { CodeBlock } from "./CodeBlock";
import { Blocks, decodeEntities, safeAddress, type MathToken } from "./markdown";
import { Maths } from "./Maths";

// text may grow: blocks that stay the same are not drawn again.
export function Markdown({ text }: { text: string }) {
  const blocks = useRef<Blocks>(null);
  blocks.current ??= new Blocks();
  return (
    <div className="md">
      {blocks.current.of(text).map((token, i) => (
        <Block key={i} token={token} />
      ))}
    </div>
  );
}

const Block = memo(
  ({ token }: { token: Token }) => block(token, 0),
  (a, b) => a.token.raw === b.token.raw && a.token.type === b.token.type,
);

const all = (tokens: Token[] | undefined, draw: (t: Token, key: number) => ReactNode): ReactNode[] => (tokens ?? []).map(draw);

function block(token: Token, key: number): ReactNode {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading": {
      const t = token as Tokens.Heading;
      return createElement(`h${Math.min(6, t.depth + 2)}`, { key, className: `h${t.depth}` }, all(t.tokens, inline)); // the page has h1 and h2
    }
    case "paragraph":
      return <p key={key}>{all((token as Tokens.Paragraph).tokens, inline)}</p>;
    case "text": {
      const t = token as Tokens.Text;
      return t.tokens ? <span key={key}>{all(t.tokens, inline)}</span> : decodeEntities(t.text);
    }
    case "code": {
      const t = token as Tokens.Code;
      return <CodeBlock key={key} code={t.text} language={t.lang ?? ""} />;
    }
    case "blockquote":
      return <blockquote key={key}>{all((token as Tokens.Blockquote).tokens, block)}</blockquote>;
    case "list":
      return list(token as Tokens.List, key);
    case "table":
      return table(token as Tokens.Table, key);
    case "hr":
      return <hr key={key} />;
    case "math":
      return <Maths key={key} tex={(token as MathToken).text} display />;
    case "plain":
      return <p key={key} className="as-written">{token.raw}</p>;
    default:
      return <p key={key} className="as-written">{token.raw.trimEnd()}</p>; // HTML among them
  }
}

function list(t: Tokens.List, key: number): ReactNode {
  const items = t.items.map((item, i) => (
    <li key={i} className={item.task ? "task" : undefined}>
      {item.task && <input type="checkbox" checked={item.checked ?? false} readOnly disabled aria-label={item.text.slice(0, 80)} />}
      {all(item.tokens.filter((x) => x.type !== "checkbox"), block)}
    </li>
  ));
  const start = typeof t.start === "number" ? t.start : 1;
  return t.ordered ? <ol key={key} start={start}>{items}</ol> : <ul key={key}>{items}</ul>;
}

function table(t: Tokens.Table, key: number): ReactNode {
  const cell = (c: Tokens.TableCell, i: number, head: boolean) =>
    createElement(head ? "th" : "td", { key: i, style: { textAlign: c.align ?? undefined } }, all(c.tokens, inline));
  return (
    <div key={key} className="wide" tabIndex={0} role="region" aria-label={t.header.map((c) => c.text).join(", ").slice(0, 80) || "table"}>
      <table>
        <thead><tr>{t.header.map((c, i) => cell(c, i, true))}</tr></thead>
        <tbody>{t.rows.map((row, r) => <tr key={r}>{row.map((c, i) => cell(c, i, false))}</tr>)}</tbody>
      </table>
    </div>
  );
}

function inline(token: Token, key: number): ReactNode {
  switch (token.type) {
    case "text": {
      const t = token as Tokens.Text;
      return t.tokens ? <span key={key}>{all(t.tokens, inline)}</span> : decodeEntities(t.text);
    }
    case "escape":
      return (token as Tokens.Escape).text;
    case "strong":
      return <strong key={key}>{all((token as Tokens.Strong).tokens, inline)}</strong>;
    case "em":
      return <em key={key}>{all((token as Tokens.Em).tokens, inline)}</em>;
    case "del":
      return <del key={key}>{all((token as Tokens.Del).tokens, inline)}</del>;
    case "codespan":
      return <code key={key}>{(token as Tokens.Codespan).text}</code>;
    case "checkbox":
      return null; // the list has drawn it
    case "br":
      return <br key={key} />;
    case "link": {
      const t = token as Tokens.Link;
      return link(t.href, all(t.tokens, inline), t.raw, key);
    }
    case "image": {
      const t = token as Tokens.Image;
      return link(t.href, `🖼 ${t.text || t.href}`, t.raw, key); // nothing is loaded from elsewhere
    }
    case "math":
      return <Maths key={key} tex={(token as MathToken).text} display={(token as MathToken).display} />;
    default:
      return token.raw; // HTML among them
  }
}

function link(href: string, inner: ReactNode, raw: string, key: number): ReactNode {
  const to = safeAddress(href);
  return to ? <a key={key} href={to} target="_blank" rel="noreferrer noopener">{inner}</a> : <span key={key}>{raw}</span>;
}
