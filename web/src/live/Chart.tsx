// A line or two over the last two minutes. The numbers stand beside it in words: the picture is decoration to who
// cannot see it.
import "uplot/dist/uPlot.min.css";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

export interface Line {
  label: string;
  values: number[];
}

const HEIGHT = 170;

export function Chart({ label, at, lines }: { label: string; at: number[]; lines: Line[] }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme();
  const names = lines.map((l) => l.label).join("\n");
  useEffect(() => {
    const box = place.current!;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const made = new uPlot(
      {
        width: box.clientWidth,
        height: HEIGHT,
        cursor: { show: false },
        legend: { show: false },
        scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
        axes: [{ ...axis, values: (_, all) => all.map((v) => `${Math.round(v)} s`) }, { ...axis, size: 56 }],
        series: [{}, ...names.split("\n").map((name, i) => ({ label: name, stroke: i ? colour("--dim") : colour("--accent"), width: 2, ...(i ? { dash: [4, 4] } : { fill: `${colour("--accent")}22` }) }))],
      },
      [[], ...names.split("\n").map(() => [])],
      box,
    );
    plot.current = made;
    const fit = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: HEIGHT }));
    fit.observe(box);
    return () => {
      fit.disconnect();
      made.destroy();
    };
  }, [scheme, names]);
  useEffect(() => {
    const now = at[at.length - 1] ?? 0;
    plot.current?.setData([at.map((t) => t - now), ...lines.map((l) => l.values)]);
  }, [at, lines, scheme, names]);
  return (
    <figure className="chart">
      <figcaption>{label}{lines.length > 1 && <span> — {lines.map((l) => l.label).join(", ")}</span>}</figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}
