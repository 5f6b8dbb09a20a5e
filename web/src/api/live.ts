// What the engine does just now: Prometheus' text of /metrics, the pages of keys and values, their policy.
import { call, open } from "./http";

export type Metrics = Map<string, number>; // by name, of one model or of the server as a whole; `name:label` for levels

// The samples of one model and those that name none, without "irori_".
export function readMetrics(text: string, model: string): Metrics {
  const out: Metrics = new Map();
  for (const line of text.split("\n")) {
    const found = /^irori_(\w+)(?:\{([^}]*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const [, name = "", labels = "", value = ""] = found;
    const of = /model="((?:\\.|[^"\\])*)"/.exec(labels)?.[1]?.replace(/\\(.)/g, "$1");
    if (of !== undefined && of !== model) continue;
    const level = /level="(\w+)"/.exec(labels)?.[1];
    if (!labels.includes("le=")) out.set(level ? `${name}:${level}` : name, Number(value));
  }
  return out;
}

export const getMetrics = async (model: string, signal: AbortSignal): Promise<Metrics> =>
  readMetrics(await (await open("/metrics", { signal })).text(), model);

export interface Page {
  sequence: number;
  position: number;
  tokens: number;
  page: number;
  shared: boolean;
  attention: number; // share of its sequence's
  bits: [number, number];
}

export const getPages = (model: string, signal: AbortSignal): Promise<{ total: number; pages: Page[] }> =>
  call(`/v1/kv/pages?model=${encodeURIComponent(model)}`, { signal });

export interface Policy {
  policy: string;
  budget: string;
}

export const getPolicy = (model: string): Promise<Policy> => call(`/v1/kv/policy?model=${encodeURIComponent(model)}`);
export const setPolicy = (model: string, p: Policy): Promise<Policy> => call("/v1/kv/policy", { body: { model, ...p } });

export interface Speculation {
  on: boolean;
  guessed_tokens: number;
  accepted_tokens: number;
}

export const getSpeculation = (model: string): Promise<Speculation> => call(`/v1/speculation?model=${encodeURIComponent(model)}`);
export const setSpeculation = (model: string, on: boolean): Promise<Speculation> => call("/v1/speculation", { body: { model, on } });
