// Profiles kept with the server: chosen, edited, made anew or read from a file, deleted.
import { Button, FileButton, Group, NativeSelect, Stack, TextInput, Textarea } from "@mantine/core";
import { useCallback, useEffect, useState } from "react";
import { deleteProfile, getProfile, listProfiles, putProfile, type Profile } from "../api/candidates";
import { useServer } from "../app/server";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { BadReply, draftOf, emptyDraft, profileOf, type Draft } from "./profile";
import { words } from "./words";

export function ProfileEditor({ chosen, choose }: { chosen: string; choose: (id: string) => void }) {
  const t = useText(words);
  const { language } = useSettings();
  const { reach } = useServer();
  const [ids, setIds] = useState<string[]>([]);
  const [draft, edit] = useState<Draft | null>(null);
  const [told, tell] = useState("");
  const look = useCallback(() => listProfiles().then(setIds, () => undefined), []);
  useEffect(() => void look(), [look, reach]);

  const tried = async (what: () => Promise<string>) => {
    try {
      tell(await what());
      await look();
    } catch (why) {
      tell(t.failed(why instanceof BadReply ? t.badReply(why.message) : why instanceof Error ? why.message : String(why)));
    }
  };
  const open = (id: string) => tried(async () => {
    edit(draftOf(id, await getProfile(id)));
    return "";
  });
  const save = (d: Draft) => tried(async () => {
    await putProfile(d.id, profileOf(d));
    edit(null);
    choose(d.id);
    return t.saved(d.id);
  });
  const remove = (id: string) => tried(async () => {
    await deleteProfile(id);
    edit(null);
    if (chosen === id) choose("");
    return t.removed(id);
  });
  const read = (file: File | null) => file && tried(async () => {
    const name = file.name.replace(/\.json$/i, "").replace(/[^\w.-]/g, "-");
    edit(draftOf(name, JSON.parse(await file.text()) as Profile));
    return "";
  });

  return (
    <details>
      <summary>{t.profiles}</summary>
      <p className="candidates-hint">{t.profilesMore}</p>
      <Group align="end" gap="sm">
        <NativeSelect label={t.profile} value={ids.includes(chosen) ? chosen : ""} onChange={(e) => choose(e.target.value)}
          data={[{ value: "", label: t.noProfile }, ...ids.map((id) => ({ value: id, label: id }))]} />
        {ids.includes(chosen) && <Button variant="default" onClick={() => void open(chosen)}>{t.edit}</Button>}
        <Button variant="default" onClick={() => edit(emptyDraft(language))}>{t.add}</Button>
        <FileButton accept="application/json,.json" onChange={(f) => void read(f)} inputProps={{ "aria-label": t.import }}>
          {(props) => <Button variant="default" {...props}>{t.import}</Button>}
        </FileButton>
      </Group>
      {draft && <DraftForm draft={draft} edit={edit} save={() => void save(draft)} remove={ids.includes(draft.id) ? () => void remove(draft.id) : undefined} />}
      <p role="status" className="candidates-hint">{told}</p>
    </details>
  );
}

function DraftForm({ draft: d, edit, save, remove }: { draft: Draft; edit: (d: Draft) => void; save: () => void; remove: (() => void) | undefined }) {
  const t = useText(words);
  const set = (some: Partial<Draft>) => edit({ ...d, ...some });
  const setScene = (i: number, some: Partial<Draft["scenes"][number]>) => set({ scenes: d.scenes.map((s, k) => (k === i ? { ...s, ...some } : s)) });
  return (
    <form onSubmit={(e) => { e.preventDefault(); save(); }}>
      <Stack gap="sm" mt="sm">
        <TextInput label={t.name} required pattern="[A-Za-z0-9._\-]{1,60}" value={d.id} onChange={(e) => set({ id: e.target.value })} />
        <Textarea label={t.about} autosize minRows={3} maxRows={10} value={d.about} onChange={(e) => set({ about: e.target.value })} />
        <NativeSelect label={t.language} value={d.language} onChange={(e) => set({ language: e.target.value as "en" | "ja" })}
          data={[{ value: "en", label: "English" }, { value: "ja", label: "日本語" }]} />
        {d.rest.axes && <p className="candidates-hint">{t.axes(d.rest.axes.map((a) => a.id).join(", "))}</p>}
        {d.scenes.map((s, i) => (
          <fieldset key={i} className="scene">
            <legend>{t.scene(i + 1)}</legend>
            <TextInput label={t.cues} value={s.cues} onChange={(e) => setScene(i, { cues: e.target.value })} />
            <Textarea label={t.replies} autosize minRows={2} maxRows={10} placeholder="agree: …" value={s.replies} onChange={(e) => setScene(i, { replies: e.target.value })} />
            <Button size="xs" variant="default" onClick={() => set({ scenes: d.scenes.filter((_, k) => k !== i) })}>{t.removeScene(i + 1)}</Button>
          </fieldset>
        ))}
        <Group gap="sm">
          <Button variant="default" onClick={() => set({ scenes: [...d.scenes, { cues: "", replies: "" }] })}>{t.addScene}</Button>
          <Button type="submit">{t.save}</Button>
          {remove && <Button variant="default" onClick={remove}>{t.remove}</Button>}
        </Group>
      </Stack>
    </form>
  );
}
