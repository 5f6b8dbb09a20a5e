// Words in English and Japanese. Each panel keeps its own in a `text.ts`; both languages must have the same keys of
// the same types, and a sentence with a number in it is a function.
import { useSettings } from "./settings";

export type Language = "en" | "ja";

type Same<T> = { [K in keyof T]: T[K] extends string ? string : T[K] };

export interface Text<T> {
  en: T;
  ja: Same<T>;
}

export function defineText<T extends Record<string, unknown>>(en: T, ja: Same<T>): Text<T> {
  return { en, ja };
}

export function useText<T>(text: Text<T>): Same<T> {
  return text[useSettings().language] as Same<T>;
}

export const browserLanguage = (): Language => (navigator.language.toLowerCase().startsWith("ja") ? "ja" : "en");
