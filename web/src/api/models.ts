// Models the server knows, and what the default one can do.
import { call } from "./http";

export interface Model {
  id: string;
  loaded: boolean;
  created: number;
}

export interface Props {
  default_generation_settings: { n_ctx: number };
  total_slots: number;
  model_alias: string;
  modalities: { vision: boolean; audio: boolean };
  build_info: string;
}

export const listModels = async (signal?: AbortSignal): Promise<Model[]> =>
  (await call<{ data: Model[] }>("/v1/models", { signal })).data;

// Opens the model when it is closed.
export const getProps = (model: string, signal?: AbortSignal): Promise<Props> =>
  call<Props>(`/props?model=${encodeURIComponent(model)}`, { signal });
