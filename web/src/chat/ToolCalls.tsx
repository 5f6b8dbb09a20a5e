// Calls the model made, and the place where the person gives their results.
import { Button, Textarea } from "@mantine/core";
import { useState } from "react";
import { useText } from "../app/text";
import { CodeBlock } from "../ui/CodeBlock";
import { Icon } from "../ui/icons";
import type { ToolCall } from "./tree";
import { words } from "./words";

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json; // not whole yet, or the model's own idea of JSON
  }
}

export function Calls({ calls, writing }: { calls: ToolCall[]; writing: boolean }) {
  const t = useText(words);
  return calls.map((c, i) => (
    <div className="call" key={i}>
      <div className="call-name"><Icon name="tool" size={16} /> {t.call(c.name)}</div>
      <CodeBlock code={writing ? c.arguments : pretty(c.arguments)} language="json" />
    </div>
  ));
}

export function Results({ calls, onSend }: { calls: ToolCall[]; onSend: (results: { callId: string; text: string }[]) => void }) {
  const t = useText(words);
  const [texts, set] = useState<Record<string, string>>({});
  const send = () => onSend(calls.map((c) => ({ callId: c.id, text: texts[c.id] ?? "" })));
  return (
    <form className="results" onSubmit={(e) => { e.preventDefault(); send(); }}>
      {calls.map((c) => (
        <Textarea key={c.id} autosize minRows={1} maxRows={10} label={t.resultOf(c.name)} value={texts[c.id] ?? ""}
          onChange={(e) => { const { value } = e.target; set((old) => ({ ...old, [c.id]: value })); }} />
      ))}
      <Button type="submit" size="sm">{t.sendResults}</Button>
    </form>
  );
}
