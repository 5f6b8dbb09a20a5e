// A line or two over the last two minutes.
import { useMemo } from "react";
import { usePlot } from "../ui/plot";

export interface Line {
  label: string;
  values: number[];
}

export function Chart({ label, at, lines }: { label: string; at: number[]; lines: Line[] }) {
  const data = useMemo((): [number[], ...number[][]] => {
    const now = at[at.length - 1] ?? 0;
    return [at.map((t) => t - now), ...lines.map((l) => l.values)];
  }, [at, lines]);
  const place = usePlot(170, lines.map((l) => l.label).join("\n"), { x: { time: false } }, { values: (_, all) => all.map((v) => `${Math.round(v)} s`) },
    (colour) => lines.map((l, i) => ({ label: l.label, stroke: colour(i ? "--dim" : "--accent"), width: 2, ...(i ? { dash: [4, 4] } : { fill: `${colour("--accent")}22` }) })), data);
  return (
    <figure className="chart">
      <figcaption>{label}{lines.length > 1 && <span> — {lines.map((l) => l.label).join(", ")}</span>}</figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}
