// One message: its text, what belongs to it, and what can be done with it.
import { ActionIcon, Button, Textarea } from "@mantine/core";
import { memo, useRef, useState } from "react";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { CopyButton } from "../ui/CopyButton";
import { Icon } from "../ui/icons";
import { Markdown } from "../ui/Markdown";
import { useNear } from "./near";
import { store } from "./store";
import { Calls } from "./ToolCalls";
import type { Message } from "./tree";
import { words } from "./words";

interface Props {
  m: Message;
  siblings: string[];
  model: string;
  busy: boolean; // an answer is being written somewhere in the chat
  first: boolean; // drawn in full at once: it will be seen
  writing?: boolean; // this one is
  call?: string | undefined; // of a tool's message: the function's name
}

export const MessageView = memo(({ m, siblings, model, busy, first, writing = false, call }: Props) => {
  const t = useText(words);
  const place = useRef<HTMLElement>(null);
  const near = useNear(place, first);
  const [editing, edit] = useState(false);
  const who = m.role === "user" ? t.you : m.role === "tool" ? `${t.toolResult}${call ? ` · ${call}` : ""}` : m.model || "irori";
  return (
    <article className={`message ${m.role}`} ref={place} aria-label={who} data-id={m.id} aria-busy={writing || undefined}>
      <div className="who">{who}</div>
      {editing ? (
        <Edit m={m} model={model} onDone={() => edit(false)} />
      ) : !near ? (
        <div className="far">{m.text}</div>
      ) : (
        <>
          <Body m={m} writing={writing} />
          {!writing && <Actions m={m} siblings={siblings} model={model} busy={busy} onEdit={() => edit(true)} />}
        </>
      )}
    </article>
  );
});

function Body({ m, writing }: { m: Message; writing: boolean }) {
  const t = useText(words);
  const silent = writing && !m.text && !m.reasoning && !m.calls?.length;
  return (
    <>
      {m.reasoning && (
        <details className="reasoning">
          <summary>{writing && !m.text ? t.thinking : t.thoughts}</summary>
          <Markdown text={m.reasoning} />
        </details>
      )}
      {m.attached?.map((a, i) => (a.kind === "image" ? <img key={i} className="attached" src={a.data} alt={a.name} /> : <span key={i} className="file"><Icon name="clip" size={14} /> {a.name}</span>))}
      {m.role === "tool" ? <pre className="result" tabIndex={0}>{m.text}</pre> : m.text && <Markdown text={m.text} />}
      {silent && <div className="embers" aria-hidden="true"><i /><i /><i /></div>}
      {m.calls && <Calls calls={m.calls} writing={writing} />}
      {m.error !== undefined && <p className="wrong" role="alert">{m.error ? t.failed(m.error) : t.broke}</p>}
      {m.finish === "aborted" && <p className="note">{t.stopped}</p>}
      {m.finish === "length" && <p className="note">{t.cut}</p>}
    </>
  );
}

function Actions({ m, siblings, model, busy, onEdit }: { m: Message; siblings: string[]; model: string; busy: boolean; onEdit: () => void }) {
  const t = useText(words);
  const { language } = useSettings();
  const f = m.figures;
  const speed = f?.perSecond.toLocaleString(language, { maximumFractionDigits: f.perSecond < 100 ? 1 : 0 });
  const at = siblings.indexOf(m.id);
  const other = (step: number) => siblings[at + step];
  return (
    <div className="actions">
      {siblings.length > 1 && (
        <span className="branches" role="group" aria-label={t.branch(at + 1, siblings.length)}>
          <ActionIcon variant="subtle" color="gray" size="md" aria-label={t.before} disabled={busy || at === 0} onClick={() => store.choose(other(-1)!)}>
            <Icon name="left" size={16} />
          </ActionIcon>
          {at + 1}/{siblings.length}
          <ActionIcon variant="subtle" color="gray" size="md" aria-label={t.next} disabled={busy || at === siblings.length - 1} onClick={() => store.choose(other(1)!)}>
            <Icon name="right" size={16} />
          </ActionIcon>
        </span>
      )}
      <CopyButton text={m.text} />
      {m.role !== "tool" && (
        <ActionIcon variant="subtle" color="gray" size="md" aria-label={t.edit} title={t.edit} disabled={busy} onClick={onEdit}>
          <Icon name="edit" size={16} />
        </ActionIcon>
      )}
      {m.role === "assistant" && m.parent && (
        <ActionIcon variant="subtle" color="gray" size="md" aria-label={t.again} title={t.again} disabled={busy || !model} onClick={() => store.answer(model, m.parent!)}>
          <Icon name="again" size={16} />
        </ActionIcon>
      )}
      {f && f.perSecond > 0 && speed && <span className="figures">{t.figures(f.tokens, speed, f.first.toLocaleString(language, { maximumFractionDigits: 2 }))}</span>}
    </div>
  );
}

function Edit({ m, model, onDone }: { m: Message; model: string; onDone: () => void }) {
  const t = useText(words);
  const [text, set] = useState(m.text);
  const save = () => {
    if (m.role === "user") store.send(model, m.parent, text, m.attached);
    else store.rewrite(m, text);
    onDone();
  };
  return (
    <form className="edit" onSubmit={(e) => { e.preventDefault(); save(); }}>
      <Textarea autosize minRows={2} maxRows={20} aria-label={t.edit} value={text} data-autofocus autoFocus
        onChange={(e) => set(e.target.value)} onKeyDown={(e) => e.key === "Escape" && onDone()} />
      <div>
        <Button size="xs" type="submit" disabled={!text.trim() || (m.role === "user" && !model)}>{m.role === "user" ? t.saveSend : t.save}</Button>{" "}
        <Button size="xs" variant="default" onClick={onDone}>{t.cancel}</Button>
      </div>
    </form>
  );
}
