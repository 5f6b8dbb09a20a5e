// The chats that are kept: opening, deleting, export and import.
import { ActionIcon, Button, Menu, Popover, Text } from "@mantine/core";
import { useRef, useState } from "react";
import { addressOf, go } from "../app/route";
import { useText } from "../app/text";
import { Icon } from "../ui/icons";
import { exportChats, importChats, saveFile } from "./file";
import type { Head } from "./shelf";
import { store } from "./store";
import { words } from "./words";

interface Props {
  heads: Head[];
  current: string;
  trouble: string | null;
  onOpen: () => void;
}

const fileName = () => `irori-${new Date().toISOString().slice(0, 10)}.json`;

export function ChatList({ heads, current, trouble, onOpen }: Props) {
  const t = useText(words);
  const picker = useRef<HTMLInputElement>(null);
  const [told, setTold] = useState("");

  const take = async (file: File | undefined) => {
    if (!file) return;
    try {
      const chats = importChats(await file.text());
      await store.take(chats);
      setTold(t.imported(chats.length));
    } catch (why) {
      setTold(t.importFailed(why instanceof Error ? why.message : String(why)));
    }
  };

  return (
    <div className="chat-list">
      <div className="chat-list-top">
        <Button fullWidth variant="light" leftSection={<Icon name="plus" size={16} />} onClick={() => { go("chat"); onOpen(); }}>{t.newChat}</Button>
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="subtle" color="gray" size={36} aria-label={t.more}><Icon name="down" /></ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<Icon name="out" />} onClick={() => saveFile(fileName(), exportChats([store.get().chat]))}>{t.exportOne}</Menu.Item>
            <Menu.Item leftSection={<Icon name="out" />} onClick={() => void store.all().then((chats) => saveFile(fileName(), exportChats(chats)))}>{t.exportAll}</Menu.Item>
            <Menu.Item leftSection={<Icon name="in" />} onClick={() => picker.current?.click()}>{t.importFile}</Menu.Item>
          </Menu.Dropdown>
        </Menu>
        <input ref={picker} type="file" accept=".json,application/json" hidden aria-label={t.importFile}
          onChange={(e) => { void take(e.target.files?.[0]); e.target.value = ""; }} />
      </div>
      <Text size="sm" role="status" className="chat-told">{trouble ? t.trouble(trouble) : told}</Text>
      {heads.length === 0 && !trouble && <Text size="sm" c="dimmed" px="xs">{t.noChats}</Text>}
      <ul>
        {heads.map((h) => (
          <li key={h.id}>
            <a href={addressOf("chat", h.id)} aria-current={h.id === current ? "page" : undefined} onClick={onOpen}>{h.title || t.untitled}</a>
            <Remove head={h} current={current} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Remove({ head, current }: { head: Head; current: string }) {
  const t = useText(words);
  const [asking, ask] = useState(false);
  const title = head.title || t.untitled;
  const remove = () => {
    void store.remove(head.id);
    if (head.id === current) go("chat", "", true);
  };
  return (
    <Popover opened={asking} onChange={ask} trapFocus position="bottom-end">
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t.remove(title)} onClick={() => ask(true)}><Icon name="trash" size={16} /></ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={t.remove(title)}>
        <Text size="sm" mb="xs">{t.remove(title)}</Text>
        <Button size="xs" color="red" onClick={remove}>{t.reallyRemove}</Button>{" "}
        <Button size="xs" variant="default" onClick={() => ask(false)}>{t.cancel}</Button>
      </Popover.Dropdown>
    </Popover>
  );
}
