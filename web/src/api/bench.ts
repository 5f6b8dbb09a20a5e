// POST /v1/bench: runs one by one, then what they come to.
import { ApiError } from "./http";
import { stream } from "./sse";

export interface BenchOrder {
  model: string;
  prompt: number;
  generate: number;
  repetitions: number;
}

export interface BenchRun {
  run: number;
  ttft_ms: number;
  prompt_per_second: number;
  tokens_per_second: number;
}

export interface Figure {
  median: number;
  low?: number; // 95 % interval of the median
  high?: number;
  min: number;
  max: number;
}

export interface BenchDone {
  model: string;
  quantization: string;
  prompt: number;
  generate: number;
  threads: number;
  device: string;
  version: string;
  speculation: boolean;
  policy: string;
  budget: string;
  ttft_ms: Figure;
  prompt_per_second: Figure;
  tokens_per_second: Figure;
}

export async function* runBench(order: BenchOrder, signal: AbortSignal): AsyncGenerator<{ run: BenchRun } | { done: BenchDone }> {
  for await (const { event, data } of stream("/v1/bench", { body: order, signal })) {
    const d = JSON.parse(data) as BenchRun & BenchDone & { message: string };
    if (event === "error") throw new ApiError(500, d.message);
    if (event === "run") yield { run: d };
    else if (event === "done") {
      yield { done: d };
      return;
    }
  }
  throw new ApiError(0, "");
}
