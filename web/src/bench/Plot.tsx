// Benches run by run: a line each. The table beside it has the figures in words; the picture is decoration to who cannot
// see it.
import "uplot/dist/uPlot.min.css";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

export interface Line {
  label: string;
  values: number[];
}

const HEIGHT = 220;
const colours = ["--accent", "--ok", "--dim", "--danger"];
const dashes = [[], [8, 4], [3, 3], [10, 3, 3, 3]]; // so that colour is not all that tells them apart

export function Plot({ label, lines }: { label: string; lines: Line[] }) {
  const place = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme();
  useEffect(() => {
    const box = place.current!;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const longest = Math.max(...lines.map((l) => l.values.length));
    const made = new uPlot(
      {
        width: box.clientWidth,
        height: HEIGHT,
        cursor: { show: false },
        legend: { show: false },
        scales: { x: { time: false, range: [0.5, longest + 0.5] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
        axes: [{ ...axis, incrs: [1, 2, 5, 10] }, { ...axis, size: 56 }],
        series: [{}, ...lines.map((l, i) => ({ label: l.label, stroke: colour(colours[i]!), width: 2, dash: dashes[i]!, points: { show: true, size: 7, fill: colour(colours[i]!) } }))],
      },
      [Array.from({ length: longest }, (_, i) => i + 1), ...lines.map((l) => l.values)],
      box,
    );
    const fit = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: HEIGHT }));
    fit.observe(box);
    return () => {
      fit.disconnect();
      made.destroy();
    };
  }, [scheme, lines]);
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
