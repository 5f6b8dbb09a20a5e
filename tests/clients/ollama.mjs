// Ollama's own JavaScript client.
import assert from "node:assert";
import { createRequire } from "node:module";

const { Ollama } = createRequire(process.env.NODE_PATH + "/x.js")("ollama");
const client = new Ollama({ host: process.env.BASE });
const model = process.env.MODEL;
const messages = [{ role: "user", content: "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday." }];
const answer = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]';
const options = { temperature: 0 };

assert.equal((await client.chat({ model, messages, options })).message.content, answer);
let text = "";
for await (const part of await client.chat({ model, messages, options, stream: true })) text += part.message.content;
assert.equal(text, answer);
assert.equal((await client.list()).models[0].model, model + ":latest");
await assert.rejects(client.chat({ model: "other", messages }));
