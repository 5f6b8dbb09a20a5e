// How the person chooses: the way, its times, the voice, who answers behind the first replies.
import { Checkbox, NativeSelect, NumberInput } from "@mantine/core";
import { useServer } from "../app/server";
import { useText } from "../app/text";
import type { Way } from "./pointing";
import type { Choosing } from "./settings";
import { words } from "./words";

export function ChoosingForm({ how, change }: { how: Choosing; change: (some: Partial<Choosing>) => void }) {
  const t = useText(words);
  const { models, model } = useServer();
  const number = (name: "dwell" | "scan" | "budget", label: string, min: number, step: number) => (
    <NumberInput label={label} min={min} max={10000} step={step} allowDecimal={false} allowNegative={false} clampBehavior="blur" value={how[name]}
      onChange={(v) => typeof v === "number" && v >= min && v <= 10000 && change({ [name]: v })} />
  );
  return (
    <details>
      <summary>{t.settings}</summary>
      <div className="choosing">
        <NativeSelect label={t.by} value={how.by} onChange={(e) => change({ by: e.target.value as Way })}
          data={[{ value: "dwell", label: t.dwell }, { value: "scan", label: t.scan }, { value: "keys", label: t.keys }]} />
        {how.by === "dwell" && number("dwell", t.dwellMs, 200, 100)}
        {how.by === "scan" && number("scan", t.scanMs, 300, 100)}
        {number("budget", t.budget, 50, 50)}
        <NativeSelect label={t.better} value={how.better} onChange={(e) => change({ better: e.target.value })}
          data={[{ value: "", label: t.nothing }, ...models.filter((m) => m.id !== model).map((m) => ({ value: m.id, label: m.id }))]} />
        <Checkbox label={t.voice} checked={how.voice} onChange={(e) => change({ voice: e.target.checked })} />
      </div>
    </details>
  );
}
