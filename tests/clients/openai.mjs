// OpenAI's own JavaScript client.
import assert from "node:assert";
import { createRequire } from "node:module";

const OpenAI = createRequire(process.env.NODE_PATH + "/x.js")("openai");
const client = new OpenAI({ baseURL: process.env.BASE + "/v1", apiKey: "none", maxRetries: 0 });
const model = process.env.MODEL;
const messages = [{ role: "user", content: "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday." }];
const answer = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]';

assert.equal((await client.models.list()).data[0].id, model);
assert.equal((await client.chat.completions.create({ model, messages, temperature: 0 })).choices[0].message.content, answer);
let text = "";
for await (const chunk of await client.chat.completions.create({ model, messages, temperature: 0, stream: true }))
    text += chunk.choices[0]?.delta?.content ?? "";
assert.equal(text, answer);
const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }];
const rain = [{ role: "user", content: "What is the weather in Nagoli?" }];
const called = await client.chat.completions.create({ model, messages: rain, tools, temperature: 0 });
assert.deepEqual(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments), { city: "Nagoli" });
await assert.rejects(client.chat.completions.create({ model: "other", messages }), { status: 404 });
