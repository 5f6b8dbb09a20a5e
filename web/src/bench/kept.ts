// Benches kept in this browser, newest first.
import { useEffect, useState } from "react";
import type { BenchDone, BenchRun } from "../api/bench";

export interface Kept extends BenchDone {
  at: number; // ms since 1970; names it
  runs: BenchRun[];
}

const NAME = "irori.benches";
const MOST = 50;

function load(): Kept[] {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "[]") as Kept[];
    return Array.isArray(kept) ? kept.filter((k) => typeof k.at === "number" && Array.isArray(k.runs) && k.tokens_per_second && k.ttft_ms && k.prompt_per_second) : [];
  } catch {
    return [];
  }
}

export function useKept(): [Kept[], (change: (old: Kept[]) => Kept[]) => void] {
  const [kept, set] = useState(load);
  useEffect(() => {
    try {
      localStorage.setItem(NAME, JSON.stringify(kept));
    } catch {
      // shown for this time only
    }
  }, [kept]);
  return [kept, (change) => set((old) => change(old).slice(0, MOST))];
}
