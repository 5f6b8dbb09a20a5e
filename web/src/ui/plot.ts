// uPlot in a box of the page: as wide as the box, in the colours of the scheme, made anew when either changes or `key` does.
// Whoever uses it says the same in words beside it: the picture is decoration to who cannot see it.
import "uplot/dist/uPlot.min.css";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef, type RefObject } from "react";
import uPlot from "uplot";

export type Colour = (property: string) => string; // of theme.css: "--accent"

export function usePlot(height: number, key: string, scales: uPlot.Scales, axis: uPlot.Axis, series: (colour: Colour) => uPlot.Series[], data: uPlot.AlignedData): RefObject<HTMLDivElement | null> {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme();
  useEffect(() => {
    const box = place.current!;
    const colour: Colour = (property) => getComputedStyle(document.documentElement).getPropertyValue(property).trim();
    const look = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const options: uPlot.Options = {
      width: box.clientWidth,
      height,
      cursor: { show: false },
      legend: { show: false },
      scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] }, ...scales },
      axes: [{ ...look, ...axis }, { ...look, size: 56 }],
      series: [{}, ...series(colour)],
    };
    const made = new uPlot(options, data, box);
    plot.current = made;
    const fit = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height }));
    fit.observe(box);
    return () => {
      fit.disconnect();
      made.destroy();
    };
    // what is drawn is told by `key`; `data` has an effect of its own
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [scheme, key, height]);
  useEffect(() => plot.current?.setData(data), [data, scheme, key, height]);
  return place;
}
