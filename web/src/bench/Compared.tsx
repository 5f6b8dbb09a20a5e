// Benches side by side: a row each, and plots of those that are chosen. Ratios are against the first chosen, in the rows' order.
import { ActionIcon, Checkbox } from "@mantine/core";
import { useMemo, useState } from "react";
import type { Figure } from "../api/bench";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { Icon } from "../ui/icons";
import type { Kept } from "./kept";
import { Plot } from "./Plot";
import { words } from "./words";

const MOST = 4;

export function Compared({ kept, remove }: { kept: Kept[]; remove: (at: number) => void }) {
  const t = useText(words);
  const { language } = useSettings();
  const [picked, pick] = useState<number[] | null>(null); // null: nobody has chosen, so the newest two
  const chosen = useMemo(() => kept.filter((k, i) => (picked ? picked.includes(k.at) : i < 2)), [kept, picked]);
  const when = (k: Kept) => new Date(k.at).toLocaleString(language);
  const toggle = (at: number) => {
    const now = chosen.map((k) => k.at);
    pick(now.includes(at) ? now.filter((a) => a !== at) : [...now, at].slice(-MOST));
  };
  const lines = useMemo(() => {
    const of = (what: "tokens_per_second" | "ttft_ms") =>
      chosen.map((k) => ({ label: `${k.model}, ${k.policy}${k.speculation ? ` + ${t.guesses}` : ""}, ${new Date(k.at).toLocaleTimeString(language)}`, values: k.runs.map((r) => r[what]) }));
    return { speed: of("tokens_per_second"), first: of("ttft_ms") };
  }, [chosen, language, t]);
  const base = chosen[chosen.length - 1]; // the oldest
  return (
    <>
      <p className="bench-more">{t.keptMore}</p>
      {chosen.length > 0 && (
        <div className="plots">
          <Plot label={t.plotSpeed} lines={lines.speed} />
          <Plot label={t.plotFirst} lines={lines.first} />
        </div>
      )}
      <div className="bench-scroll" tabIndex={0} role="region" aria-label={t.kept}>
        <table>
          <thead>
            <tr>{[t.show, t.when, t.model, t.setting, t.size, t.speed, t.reading, t.first, ""].map((name, i) => (name ? <th key={name} scope="col">{name}</th> : <td key={i} />))}</tr>
          </thead>
          <tbody>
            {kept.map((k) => (
              <tr key={k.at} data-chosen={chosen.includes(k)}>
                <td><Checkbox aria-label={t.chooseRow(when(k))} checked={chosen.includes(k)} onChange={() => toggle(k.at)} /></td>
                <td>{when(k)}</td>
                <td>{k.model}<small>{k.quantization}, {k.device}</small></td>
                <td>{k.policy}{k.budget && `, ${k.budget}`}{k.speculation && ` + ${t.guesses}`}</td>
                <td>{k.prompt} + {k.generate}</td>
                <Value figure={k.tokens_per_second} base={chosen.includes(k) && base !== k ? base?.tokens_per_second : undefined} />
                <Value figure={k.prompt_per_second} base={chosen.includes(k) && base !== k ? base?.prompt_per_second : undefined} />
                <Value figure={k.ttft_ms} base={chosen.includes(k) && base !== k ? base?.ttft_ms : undefined} />
                <td><ActionIcon variant="subtle" color="gray" aria-label={t.remove(when(k))} onClick={() => remove(k.at)}><Icon name="trash" /></ActionIcon></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Value({ figure: f, base }: { figure: Figure; base: Figure | undefined }) {
  const t = useText(words);
  const { language } = useSettings();
  const n = (v: number, digits = v < 100 ? 1 : 0) => v.toLocaleString(language, { maximumFractionDigits: digits });
  return (
    <td>
      {n(f.median)}{base && <span title={t.ratio}> ({n(f.median / base.median, 2)}×)</span>}
      {f.low !== undefined && f.high !== undefined && <small title={t.interval}>{n(f.low)}–{n(f.high)}</small>}
    </td>
  );
}
