// How the person chooses, kept in this browser.
import { useEffect, useState } from "react";
import type { Way } from "./pointing";

export interface Choosing {
  by: Way;
  dwell: number; // ms
  scan: number;
  budget: number;
  voice: boolean;
  profile: string; // "": none
  better: string; // a model; "": none
}

const NAME = "irori.candidates";
const usual: Choosing = { by: "dwell", dwell: 1000, scan: 1200, budget: 400, voice: true, profile: "", better: "" };
const ways: Way[] = ["dwell", "scan", "keys"];

function load(): Choosing {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}") as Partial<Choosing>;
    const right = Object.fromEntries(Object.entries(kept).filter(([k, v]) => typeof v === typeof usual[k as keyof Choosing]));
    const all = { ...usual, ...right };
    return ways.includes(all.by) ? all : { ...all, by: usual.by };
  } catch {
    return usual;
  }
}

export function useChoosing(): [Choosing, (some: Partial<Choosing>) => void] {
  const [now, set] = useState(load);
  useEffect(() => {
    try {
      localStorage.setItem(NAME, JSON.stringify(now));
    } catch {
      // kept for this time only
    }
  }, [now]);
  return [now, (some) => set((old) => ({ ...old, ...some }))];
}
