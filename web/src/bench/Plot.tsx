// Benches run by run: a line each, told apart by colour and dashes.
import { useMemo } from "react";
import { usePlot } from "../ui/plot";

export interface Line {
  label: string;
  values: number[];
}

const looks = [
  { colour: "--accent", dash: [] },
  { colour: "--ok", dash: [8, 4] },
  { colour: "--dim", dash: [3, 3] },
  { colour: "--danger", dash: [10, 3, 3, 3] },
];

export function Plot({ label, lines }: { label: string; lines: Line[] }) {
  const data = useMemo((): [number[], ...(number | null)[][]] => {
    const longest = Math.max(...lines.map((l) => l.values.length));
    const runs = Array.from({ length: longest }, (_, i) => i + 1);
    return [runs, ...lines.map((l) => runs.map((_, i) => l.values[i] ?? null))];
  }, [lines]);
  const place = usePlot(220, lines.map((l) => l.label).join("\n"), { x: { time: false, range: (u) => [0.5, u.data[0].length + 0.5] } }, { incrs: [1, 2, 5, 10] },
    (colour) => lines.map((l, i) => ({ label: l.label, stroke: colour(looks[i]!.colour), width: 2, dash: looks[i]!.dash, points: { show: true, size: 7, fill: colour(looks[i]!.colour) } })), data);
  return (
    <figure className="plot">
      <figcaption>
        {label}
        <ul>{lines.map((l, i) => <li key={l.label}><i className={`line-${i}`} />{l.label}</li>)}</ul>
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}
