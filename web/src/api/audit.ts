// The audit log of the server: its lines, newest first, and whether its chain of hashes holds.
import { call } from "./http";

export interface AuditLine {
  n: number;
  time: string;
  event: string;
  id: string;
  model?: string;
  client?: string;
  finish?: string;
  prompt_tokens?: number;
  completion_tokens?: number;
  bytes?: number;
  prompt?: string; // both only while the server keeps content
  answer?: string;
  [other: string]: unknown;
}

export interface Audit {
  level: "off" | "on" | "content";
  lines: number; // there are
  folder: string;
  data: AuditLine[];
}

export interface Verification {
  good: boolean;
  lines: number;
  hash: string;
  error: string;
}

export const getAudit = (before: number | null, signal: AbortSignal): Promise<Audit> =>
  call(`/v1/audit?count=50${before === null ? "" : `&before=${before}`}`, { signal });
export const verifyAudit = (head: string): Promise<Verification> => call(`/v1/audit/verify${head ? `?head=${encodeURIComponent(head)}` : ""}`);
