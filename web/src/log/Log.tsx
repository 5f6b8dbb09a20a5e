// The panel of the audit log: its lines, newest first, and whether its chain holds.
import "./log.css";
import { Button, TextInput } from "@mantine/core";
import { useEffect, useState } from "react";
import { getAudit, verifyAudit, type Audit, type AuditLine, type Verification } from "../api/audit";
import { useServer } from "../app/server";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { CopyButton } from "../ui/CopyButton";
import { words } from "./words";

export default function Log() {
  const t = useText(words);
  const { language } = useSettings();
  const { reach } = useServer();
  const [audit, set] = useState<Audit | null>(null);
  const [why, tell] = useState("");
  const [turn, again] = useState(0);
  const n = (v: number) => v.toLocaleString(language);
  const failed = (e: unknown) => tell(t.failed(e instanceof Error ? e.message : String(e)));
  useEffect(() => {
    const stop = new AbortController();
    getAudit(null, stop.signal).then((a) => { set(a); tell(""); }, (e: unknown) => stop.signal.aborted || failed(e));
    return () => stop.abort();
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [turn, reach]);
  const oldest = audit?.data[audit.data.length - 1]?.n ?? 1;
  const older = () =>
    getAudit(oldest, new AbortController().signal).then((a) => set((old) => old && { ...a, data: [...old.data, ...a.data] }), failed);
  return (
    <div className="panel-page log">
      <h1>{t.title}</h1>
      {audit && <p className="log-more">{t.level[audit.level]}</p>}
      {audit && audit.lines > 0 && <p className="log-more">{t.where(n(audit.lines), audit.folder)}</p>}
      <Verify />
      <p role="status" className="log-more">{why}</p>
      <Button variant="default" size="xs" onClick={() => again((k) => k + 1)}>{t.refresh}</Button>
      {audit?.data.length === 0 && <p className="log-more">{t.none}</p>}
      {audit && audit.data.length > 0 && (
        <div className="log-scroll" tabIndex={0} role="region" aria-label={t.title}>
          <table>
            <thead><tr>{[t.number, t.time, t.event, t.model, t.figures, t.more].map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
            <tbody>{audit.data.map((line) => <Line key={line.n} line={line} />)}</tbody>
          </table>
        </div>
      )}
      {oldest > 1 && <Button variant="default" size="xs" onClick={() => void older()}>{t.older}</Button>}
    </div>
  );
}

function Line({ line }: { line: AuditLine }) {
  const t = useText(words);
  const { language } = useSettings();
  const n = (v: number | undefined) => (v ?? 0).toLocaleString(language);
  const figures = line.event === "answer" ? t.answerOf(n(line.prompt_tokens), n(line.completion_tokens), line.finish ?? "") : t.requestOf(n(line.bytes));
  return (
    <tr>
      <td>{line.n}</td>
      <td><time dateTime={line.time}>{new Date(line.time).toLocaleString(language)}</time></td>
      <td>{line.event} <code>{line.id.slice(0, 6)}</code></td>
      <td>{line.model}</td>
      <td>{figures}{(line.prompt ?? line.answer) !== undefined && <p className="log-content">{line.prompt ?? line.answer}</p>}</td>
      <td><details><summary aria-label={t.show(line.n)}>…</summary><pre>{JSON.stringify(line, null, 1)}</pre></details></td>
    </tr>
  );
}

function Verify() {
  const t = useText(words);
  const { language } = useSettings();
  const [head, setHead] = useState("");
  const [found, set] = useState<Verification | { why: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const verify = async () => {
    setBusy(true);
    try {
      set(await verifyAudit(head.trim()));
    } catch (e) {
      set({ why: e instanceof Error ? e.message : String(e) });
    }
    setBusy(false);
  };
  return (
    <form className="verify" onSubmit={(e) => { e.preventDefault(); void verify(); }}>
      <TextInput label={t.head} placeholder={t.headHint} value={head} onChange={(e) => setHead(e.target.value)} spellCheck={false} />
      <Button type="submit" loading={busy}>{t.verify}</Button>
      <div role="status">
        {found && "why" in found && <p className="bad">{t.failed(found.why)}</p>}
        {found && "good" in found && <p className={found.good ? "good" : "bad"}>{found.good ? t.good(found.lines.toLocaleString(language)) : t.bad(found.error)}</p>}
        {found && "good" in found && found.good && found.lines > 0 && (
          <p className="log-more">{t.keep} <code>{found.lines}:{found.hash}</code> <CopyButton text={`${found.lines}:${found.hash}`} /></p>
        )}
      </div>
    </form>
  );
}
