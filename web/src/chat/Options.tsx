// The settings of a chat. What is empty is left to the server.
import { Button, Fieldset, Group, Input, NumberInput, SegmentedControl, SimpleGrid, Stack, Text, TextInput, Textarea } from "@mantine/core";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { checkOptions } from "./request";
import { store } from "./store";
import type { Chat, ChatOptions } from "./tree";
import { words } from "./words";

const SCHEMA = JSON.stringify(
  { type: "object", properties: { name: { type: "string" }, age: { type: "integer" }, city: { type: "string" }, job: { type: "string" } }, required: ["name", "age", "city", "job"], additionalProperties: false }, null, 2);
const TOOLS = JSON.stringify(
  [{ type: "function", function: { name: "get_weather", description: "Weather of a city", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }], null, 2);

const numbers = [
  { name: "temperature", word: "temperature", min: 0, max: 100, step: 0.1, whole: false },
  { name: "top_p", word: "topP", min: 0, max: 1, step: 0.05, whole: false },
  { name: "top_k", word: "topK", min: 0, max: 1 << 20, step: 1, whole: true },
  { name: "min_p", word: "minP", min: 0, max: 1, step: 0.01, whole: false },
  { name: "repeat_penalty", word: "repeatPenalty", min: 0.01, max: 100, step: 0.05, whole: false },
  { name: "max_tokens", word: "maxTokens", min: 1, max: 2 ** 31 - 1, step: 64, whole: true },
  { name: "seed", word: "seed", min: 0, max: 2 ** 31 - 1, step: 1, whole: true },
] as const;

export function Options({ chat }: { chat: Chat }) {
  const t = useText(words);
  const { shelf, change } = useSettings();
  const o = chat.options;
  const set = (some: Partial<ChatOptions>) => store.setOptions({ ...o, ...some });
  const wrong = checkOptions(o);
  const error = (field: "schema" | "tools") => (wrong?.field === field ? t.notJson(wrong.why) : null);
  const code = (field: "schema" | "tools", example: string) => (
    <div>
      <Group justify="space-between" align="end" mb={4}>
        <Input.Label htmlFor={`options-${field}`}>{t[field]}</Input.Label>
        <Button size="compact-xs" variant="subtle" aria-label={`${t.example}: ${t[field]}`} onClick={() => set({ [field]: example })}>{t.example}</Button>
      </Group>
      <Textarea id={`options-${field}`} autosize minRows={2} maxRows={14} description={field === "schema" ? t.schemaHint : t.toolsHint} value={o[field]}
        error={error(field)} spellCheck={false} styles={{ input: { fontFamily: "var(--font-mono)", fontSize: "0.82rem" } }} onChange={(e) => set({ [field]: e.target.value })} />
    </div>
  );
  return (
    <Stack gap="md">
      <TextInput label={t.title} value={chat.title} maxLength={200} onChange={(e) => store.rename(e.target.value)} />
      <Textarea label={t.system} description={t.systemHint} autosize minRows={3} maxRows={12} value={o.system} onChange={(e) => set({ system: e.target.value })} />
      <Fieldset legend={t.sampling}>
        <SimpleGrid cols={2} spacing="sm">
          {numbers.map((n) => (
            <NumberInput key={n.name} label={t[n.word]} placeholder={t.byServer} min={n.min} max={n.max} step={n.step} allowDecimal={!n.whole} allowNegative={false}
              value={o[n.name] ?? ""} onChange={(v) => set({ [n.name]: typeof v === "number" ? v : null })} />
          ))}
        </SimpleGrid>
      </Fieldset>
      {code("schema", SCHEMA)}
      {code("tools", TOOLS)}
      <div>
        <Text size="sm" fw={500} id="options-shelf">{t.keepIn}</Text>
        <SegmentedControl fullWidth aria-labelledby="options-shelf" value={shelf} data={[{ value: "browser", label: t.inBrowser }, { value: "server", label: t.inServer }]}
          onChange={(v) => change({ shelf: v as "browser" | "server" })} />
      </div>
    </Stack>
  );
}
