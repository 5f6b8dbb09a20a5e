// The techniques that can be switched while a model is open, as settings of the server.
import { getPolicy, getSpeculation, setPolicy, setSpeculation } from "../api/live";

export interface Setting {
  policy: string;
  budget: string;
  guess: boolean;
}

export type Technique = "baseline" | "staged" | "speculation" | "all";

const STAGED = { policy: "staged", budget: "25%" }; // the budget that docs/KV.md measures
const FULL = { policy: "f16", budget: "" };

export const techniques: Record<Technique, Setting> = {
  baseline: { ...FULL, guess: false },
  staged: { ...STAGED, guess: false },
  speculation: { ...FULL, guess: true },
  all: { ...STAGED, guess: true },
};
export const names = Object.keys(techniques) as Technique[];

// Which of them a setting is; null: none, the person chose something else.
export const techniqueOf = (s: Setting): Technique | null =>
  names.find((n) => techniques[n].guess === s.guess && techniques[n].policy === s.policy && techniques[n].budget === s.budget) ?? null;

export async function getSetting(model: string): Promise<Setting> {
  const [kv, speculation] = await Promise.all([getPolicy(model), getSpeculation(model)]);
  return { policy: kv.policy, budget: kv.budget, guess: speculation.on };
}

export async function apply(model: string, s: Setting): Promise<void> {
  await setPolicy(model, { policy: s.policy, budget: s.budget });
  await setSpeculation(model, s.guess);
}
