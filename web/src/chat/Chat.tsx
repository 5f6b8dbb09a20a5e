// The panel: chats on the left, the open one, the place to write.
import "./chat.css";
import { ActionIcon, Drawer } from "@mantine/core";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { PanelProps } from "../app/panels";
import { go } from "../app/route";
import { useServer } from "../app/server";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { Icon } from "../ui/icons";
import { ChatList } from "./ChatList";
import { Composer } from "./Composer";
import { Options } from "./Options";
import { browserShelf, serverShelf } from "./shelf";
import { store } from "./store";
import { Thread } from "./Thread";
import { openCalls, pathOf, type Attachment } from "./tree";
import { words } from "./words";

export default function Chat({ rest }: PanelProps) {
  const t = useText(words);
  const { shelf } = useSettings();
  const { model } = useServer();
  const state = useSyncExternalStore(store.subscribe, store.get);
  const [side, setSide] = useState<"list" | "options" | null>(null);
  const { chat, writing } = state;

  useEffect(() => {
    void store.useShelf(shelf === "server" ? serverShelf : browserShelf);
  }, [shelf]);
  // Who comes back from another panel finds the chat as it was; within this one, no id means a new chat.
  const arrived = useRef(false);
  useEffect(() => {
    const kept = store.get().chat;
    if (!arrived.current && !rest && Object.keys(kept.messages).length > 0) go("chat", kept.id, true);
    else void store.open(rest);
    arrived.current = true;
  }, [rest]);
  const send = (text: string, files: Attachment[]) => {
    store.send(model, last?.id ?? null, text, files);
    if (rest !== chat.id) go("chat", chat.id, true);
  };

  const path = pathOf(chat);
  const last = path[path.length - 1];
  const open = writing ? [] : openCalls(path);
  const list = <ChatList heads={state.heads} current={chat.id} trouble={state.trouble} onOpen={() => setSide(null)} />;

  return (
    <div className="chat">
      <aside className="chat-side" aria-label={t.chats}>{list}</aside>
      <section className="chat-main">
        <div className="chat-head">
          <ActionIcon className="chat-burger" variant="subtle" color="gray" size="lg" aria-label={t.showChats} onClick={() => setSide("list")}>
            <Icon name="list" />
          </ActionIcon>
          <h1>{chat.title || t.untitled}</h1>
          <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t.options} title={t.options} onClick={() => setSide("options")}>
            <Icon name="settings" />
          </ActionIcon>
        </div>
        <Thread key={chat.id} chat={chat} path={path} writing={writing} model={model} open={open} />
        <Composer key={`w${chat.id}`} chatId={chat.id} writing={writing !== null} disabled={!model || state.loading || open.length > 0}
          onSend={send} onStop={() => store.stop()} />
      </section>
      <Drawer opened={side === "list"} onClose={() => setSide(null)} title={t.chats} size={300} closeButtonProps={{ "aria-label": t.close }}>
        {list}
      </Drawer>
      <Drawer opened={side === "options"} onClose={() => setSide(null)} title={t.options} position="right" size={420} closeButtonProps={{ "aria-label": t.close }}>
        <Options key={chat.id} chat={chat} />
      </Drawer>
    </div>
  );
}
