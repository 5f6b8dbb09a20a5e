// Language, light or dark, model: what concerns every panel.
import { ActionIcon, NativeSelect, Popover, SegmentedControl, Stack, Text, useMantineColorScheme } from "@mantine/core";
import { Icon } from "../ui/icons";
import { useServer } from "./server";
import { useSettings } from "./settings";
import { useText, type Language } from "./text";
import { words } from "./words";

export function SettingsMenu() {
  const t = useText(words);
  const { language, change } = useSettings();
  const { models, model } = useServer();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Popover position="bottom-end" width={280} trapFocus shadow="md" withinPortal>
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t.settings}><Icon name="gear" /></ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={t.settings}>
        <Stack gap="sm">
          {models.length > 0 && (
            <NativeSelect label={t.model} data={models.map((m) => m.id)} value={model}
              onChange={(e) => change({ model: e.target.value })} />
          )}
          <div>
            <Text size="sm" fw={500} id="settings-language">{t.language}</Text>
            <SegmentedControl fullWidth aria-labelledby="settings-language" value={language}
              data={[{ value: "en", label: "English" }, { value: "ja", label: "日本語" }]}
              onChange={(v) => change({ language: v as Language })} />
          </div>
          <NativeSelect label={t.scheme} value={colorScheme}
            data={[{ value: "auto", label: t.auto }, { value: "light", label: t.light }, { value: "dark", label: t.dark }]}
            onChange={(e) => setColorScheme(e.target.value as "auto" | "light" | "dark")} />
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
