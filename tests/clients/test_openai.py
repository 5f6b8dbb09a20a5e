"""OpenAI's own Python client."""
import json

import openai

import serving
from serving import NAME, WEATHER

ASK = [{"role": "user", "content": "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."}]
ANSWER = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]'


class OpenAI(serving.Case):
    def setUp(self):
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    def test_models(self):
        self.assertEqual([m.id for m in self.client.models.list()], [NAME])
        self.assertEqual(self.client.models.retrieve(NAME).id, NAME)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("other")

    def test_chat(self):
        a = self.client.chat.completions.create(model=NAME, messages=ASK, temperature=0, n=2, logprobs=True, top_logprobs=2)
        self.assertEqual([c.message.content for c in a.choices], [ANSWER, ANSWER])
        self.assertEqual(a.choices[0].finish_reason, "stop")
        self.assertEqual("".join(e.token for e in a.choices[0].logprobs.content), ANSWER)
        self.assertEqual(a.usage.total_tokens, a.usage.prompt_tokens + a.usage.completion_tokens)

    def test_stream(self):
        text, usage = "", None
        for chunk in self.client.chat.completions.create(model=NAME, messages=ASK, temperature=0, stream=True,
                                                         stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for c in chunk.choices:
                text += c.delta.content or ""
        self.assertEqual(text, ANSWER)
        self.assertGreater(usage.completion_tokens, 10)
        with self.client.chat.completions.stream(model=NAME, messages=ASK, temperature=0) as stream:
            self.assertEqual(stream.get_final_completion().choices[0].message.content, ANSWER)

    def test_tools(self):
        ask = [{"role": "user", "content": "What is the weather in Nagoli?"}]
        a = self.client.chat.completions.create(model=NAME, messages=ask, tools=[WEATHER], temperature=0)
        call = a.choices[0].message.tool_calls[0]
        self.assertEqual(json.loads(call.function.arguments), {"city": "Nagoli"})
        with self.client.chat.completions.stream(model=NAME, messages=ask, tools=[WEATHER], temperature=0) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()
        self.assertIn("tool_calls.function.arguments.delta", kinds)
        self.assertEqual(final.choices[0].message.tool_calls[0].function.name, "get_weather")
        again = ask + [a.choices[0].message.model_dump(exclude_none=True),
                       {"role": "tool", "tool_call_id": call.id, "content": '{"city": "Nagoli", "temperature": 21}'}]
        self.assertTrue(self.client.chat.completions.create(model=NAME, messages=again, tools=[WEATHER], temperature=0,
                                                            max_tokens=30).choices[0].message.content)

    def test_completions(self):
        a = self.client.completions.create(model=NAME, prompt="The river", max_tokens=4, temperature=0)
        text = "".join(c.choices[0].text for c in self.client.completions.create(
            model=NAME, prompt="The river", max_tokens=4, temperature=0, stream=True))
        self.assertEqual(a.choices[0].text, text)

    def test_responses(self):
        a = self.client.responses.create(model=NAME, input=ASK[0]["content"], temperature=0)
        self.assertEqual((a.output_text, a.status), (ANSWER, "completed"))
        self.assertEqual(self.client.responses.retrieve(a.id).output_text, ANSWER)
        with self.client.responses.stream(model=NAME, input=ASK[0]["content"], temperature=0) as stream:
            text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
            self.assertEqual(stream.get_final_response().output_text, ANSWER)
        self.assertEqual(text, ANSWER)
        more = self.client.responses.create(model=NAME, input="Again.", previous_response_id=a.id, max_output_tokens=5)
        self.assertGreater(more.usage.input_tokens, a.usage.input_tokens)
        self.client.responses.delete(a.id)

    def test_errors(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            self.client.chat.completions.create(model=NAME, messages=ASK, temperature=-1)
        self.assertEqual(raised.exception.param, "temperature")
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(model="other", messages=ASK)


if __name__ == "__main__":
    serving.main()
