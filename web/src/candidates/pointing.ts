// Choosing without a click: dwelling on a field, or one switch while a frame goes round the fields. One clock drives both;
// how far it has come is drawn on the field itself, past React.
import { useCallback, useEffect, useRef, useState } from "react";

export type Way = "dwell" | "scan" | "keys";

const TICK = 30;

export interface Pointing {
  at: number; // the field that is pointed at; -1: none
  point: (index: number) => void; // a pointer came (or left: -1)
  pick: () => void; // the one switch
  field: (index: number) => (e: HTMLElement | null) => void; // the element that fills as time passes
}

export function usePointing(way: Way, wait: number, fields: number, pointed: (index: number) => void, choose: (index: number) => void): Pointing {
  const [at, set] = useState(-1);
  const now = useRef({ at: -1, since: 0, spent: -1, fills: [] as (HTMLElement | null)[] });
  const fill = (index: number, part: number) => {
    const e = now.current.fills[index];
    if (e) e.style.width = `${Math.min(part, 1) * 100}%`;
  };
  const to = useCallback((index: number) => {
    const n = now.current;
    if (n.at === index) return;
    fill(n.at, 0);
    n.at = index;
    n.spent = -1; // after a choice the pointer has to leave and come back
    n.since = performance.now();
    set(index);
    pointed(index);
  }, [pointed]);

  useEffect(() => {
    to(-1);
    if (way === "keys") return undefined;
    const tick = () => {
      const n = now.current;
      const part = (performance.now() - n.since) / wait;
      if (way === "scan") {
        if (n.at < 0) to(0);
        fill(n.at, part);
        if (part >= 1) to((n.at + 1) % fields);
      } else if (n.at >= 0 && n.spent !== n.at) {
        fill(n.at, part);
        if (part >= 1) {
          n.spent = n.at;
          fill(n.at, 0);
          choose(n.at);
        }
      }
    };
    const timer = setInterval(tick, TICK);
    return () => clearInterval(timer);
  }, [way, wait, fields, to, choose]);

  const pick = useCallback(() => {
    const taken = now.current.at;
    if (taken < 0) return;
    choose(taken);
    to(-1); // and begins anew
  }, [choose, to]);
  const field = useCallback((index: number) => (e: HTMLElement | null) => { now.current.fills[index] = e; }, []);
  return { at, point: to, pick, field };
}
