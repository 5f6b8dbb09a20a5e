// Samples of the metrics twice a second over two minutes, while the panel is looked at.
import { useEffect, useState } from "react";
import { getMetrics, getPages, type Metrics, type Page } from "../api/live";

const EVERY = 500;
const KEPT = 240;
const RECENT = 6; // samples over which rates are taken: three seconds

interface Sample {
  at: number; // seconds
  metrics: Metrics;
  speed: number;
}

export interface Live {
  samples: Sample[];
  pages: Page[];
  total: number;
}

const value = (m: Metrics | undefined, name: string) => m?.get(name) ?? 0;

// How much a counter grew over the last seconds, and the seconds.
export function growth(samples: Sample[], name: string): { by: number; seconds: number } {
  const now = samples[samples.length - 1];
  const before = samples[Math.max(0, samples.length - 1 - RECENT)];
  if (!now || !before) return { by: 0, seconds: 0 };
  return { by: Math.max(0, value(now.metrics, name) - value(before.metrics, name)), seconds: now.at - before.at };
}

export const latest = (live: Live, name: string) => value(live.samples[live.samples.length - 1]?.metrics, name);

export function useLive(model: string): Live {
  const [live, set] = useState<Live>({ samples: [], pages: [], total: 0 });
  useEffect(() => {
    if (!model) return undefined;
    const stop = new AbortController();
    let timer = 0;
    set({ samples: [], pages: [], total: 0 });
    const ask = async () => {
      try {
        const [metrics, { pages, total }] = await Promise.all([
          getMetrics(model, stop.signal),
          getPages(model, stop.signal).catch(() => ({ pages: [], total: 0 })), // the model is closed
        ]);
        set((old) => {
          const sample = { at: performance.now() / 1000, metrics, speed: 0 };
          const last = old.samples[old.samples.length - 1];
          if (last) sample.speed = Math.max(0, value(metrics, "completion_tokens_total") - value(last.metrics, "completion_tokens_total")) / (sample.at - last.at);
          return { samples: [...old.samples.slice(-KEPT + 1), sample], pages, total };
        });
      } catch {
        // the frame says when the server is away
      }
      if (!stop.signal.aborted) timer = window.setTimeout(next, EVERY);
    };
    const next = () => {
      if (document.hidden) timer = window.setTimeout(next, EVERY);
      else void ask();
    };
    next();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [model]);
  return live;
}
