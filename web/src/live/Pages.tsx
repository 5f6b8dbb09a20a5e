// The pages of keys and values as fields: a row a sequence, colour for precision, a bar for the share of attention.
import { useMemo } from "react";
import type { Page } from "../api/live";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { words } from "./words";

const MOST_SHOWN = 1500; // fields; more of them say less

const levels = [
  { name: "F16", least: 12, kind: "f16" },
  { name: "Q8", least: 6.5, kind: "q8" },
  { name: "Q4", least: 3.2, kind: "q4" },
  { name: "Q2", least: 0.01, kind: "q2" },
] as const;

const mean = (p: Page) => (p.bits[0] + p.bits[1]) / 2;
const kindOf = (bits: number) => levels.find((l) => bits >= l.least)?.kind ?? "absent";

export function Pages({ pages, total }: { pages: Page[]; total: number }) {
  const t = useText(words);
  const { language } = useSettings();
  const rows = useMemo(() => {
    const by = new Map<number, Page[]>();
    for (const p of pages.slice(0, MOST_SHOWN)) {
      const list = by.get(p.sequence);
      if (list) list.push(p);
      else by.set(p.sequence, [p]);
    }
    return [...by];
  }, [pages]);
  const n = (v: number, digits = 1) => v.toLocaleString(language, { maximumFractionDigits: digits });
  if (rows.length === 0) return <p className="live-none">{t.noPages}</p>;
  return (
    <>
      <ul className="legend">
        {levels.map((l) => <li key={l.kind}><i className={`page ${l.kind}`} /> {l.name}</li>)}
        <li><i className="page absent" /> {t.absent}</li>
      </ul>
      {rows.map(([sequence, list]) => {
        const most = Math.max(...list.map((p) => p.attention), 1e-9);
        return (
          <div key={sequence} className="sequence">
            <span>{t.sequence(sequence)}</span>
            <div role="img" aria-label={t.sequenceLong(sequence, list.length, n(list.reduce((s, p) => s + mean(p), 0) / list.length))}>
              {list.map((p) => (
                <i key={p.position} className={`page ${kindOf(mean(p))}`}
                  title={t.page(p.position, p.position + p.tokens - 1, n(p.bits[0]), n(p.bits[1]), `${n(p.attention * 100)} %`)}>
                  <b style={{ height: `${Math.round((p.attention / most) * 100)}%` }} />
                </i>
              ))}
            </div>
          </div>
        );
      })}
      {total > Math.min(pages.length, MOST_SHOWN) && <p className="live-none">{t.cut(Math.min(pages.length, MOST_SHOWN), total)}</p>}
    </>
  );
}
