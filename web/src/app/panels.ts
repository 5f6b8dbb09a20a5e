// The panels of the page, in the order of its navigation. Each is loaded when it is first opened; its address is
// #/<id>, and what stands behind that belongs to the panel.
import { lazy, type ComponentType } from "react";
import type { IconName } from "../ui/icons";
import { defineText } from "./text";

interface Panel {
  id: PanelId;
  icon: IconName;
  view: ComponentType<PanelProps>;
}

export interface PanelProps {
  rest: string; // the address behind #/<id>/, "" when there is none
}

export const panelNames = defineText(
  { chat: "Chat", live: "Live", candidates: "Candidates", models: "Models", bench: "Bench", log: "Log" },
  { chat: "チャット", live: "ライブ", candidates: "候補", models: "モデル", bench: "ベンチ", log: "ログ" },
);

export type PanelId = keyof typeof panelNames.en;

export const panels: Panel[] = [
  { id: "chat", icon: "chat", view: lazy(() => import("../chat/Chat")) },
  { id: "live", icon: "live", view: lazy(() => import("../live/Live")) },
  { id: "candidates", icon: "candidates", view: lazy(() => import("../candidates/Candidates")) },
  { id: "models", icon: "models", view: lazy(() => import("../models/Models")) },
  { id: "bench", icon: "bench", view: lazy(() => import("../bench/Bench")) },
  { id: "log", icon: "log", view: lazy(() => import("../log/Log")) },
];
