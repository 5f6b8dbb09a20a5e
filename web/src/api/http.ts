// Calls to the server this page came from. Every failure is an ApiError: status 0 when no answer came at all.

// The page lies at <root>ui/, the routes beside it; so it also works below a path of another server.
const ROOT = new URL(import.meta.env.DEV ? "." : "..", document.baseURI);

let key = "";

export function setKey(value: string): void {
  key = value;
}

export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface CallOptions {
  method?: string; // default: POST with a body, else GET
  body?: unknown;
  signal?: AbortSignal | undefined;
}

async function readError(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const parsed = JSON.parse(text) as { error?: { message?: string } | string };
    const message = typeof parsed.error === "string" ? parsed.error : parsed.error?.message;
    if (message) return new ApiError(response.status, message);
  } catch {
    // not JSON: the text itself
  }
  return new ApiError(response.status, text.slice(0, 500) || response.statusText);
}

// An answer whose status is 2xx, its body not yet read. Throws ApiError, or the signal's AbortError.
export async function open(path: string, o: CallOptions = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  if (key) headers["Authorization"] = `Bearer ${key}`;
  const init: RequestInit = { method: o.method ?? (o.body === undefined ? "GET" : "POST"), headers };
  if (o.signal) init.signal = o.signal;
  if (o.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(o.body);
  }
  let response: Response;
  try {
    response = await fetch(new URL(path.replace(/^\//, ""), ROOT), init);
  } catch (why) {
    if (o.signal?.aborted) throw why;
    throw new ApiError(0, why instanceof Error ? why.message : String(why));
  }
  if (!response.ok) throw await readError(response);
  return response;
}

export async function call<T>(path: string, o: CallOptions = {}): Promise<T> {
  const response = await open(path, o);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}
