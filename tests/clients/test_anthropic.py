"""Anthropic's own Python client."""
import anthropic

import serving
from serving import NAME, WEATHER

ASK = [{"role": "user", "content": "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."}]
ANSWER = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]'
TOOL = {"name": "get_weather", "description": "Weather", "input_schema": WEATHER["function"]["parameters"]}


class Anthropic(serving.Case):
    def setUp(self):
        self.client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{self.server.port}", api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    def create(self, **more):
        return self.client.messages.create(**dict({"model": NAME, "max_tokens": 100, "messages": ASK, "extra_body": {"temperature": 0}}, **more))

    def test_messages(self):
        a = self.create()
        self.assertEqual((a.content[0].text, a.stop_reason), (ANSWER, "end_turn"))
        with self.client.messages.stream(model=NAME, max_tokens=100, messages=ASK, extra_body={"temperature": 0}) as stream:
            self.assertEqual("".join(stream.text_stream), ANSWER)
            self.assertEqual(stream.get_final_message().stop_reason, "end_turn")

    def test_tools(self):
        ask = [{"role": "user", "content": "What is the weather in Nagoli?"}]
        a = self.create(messages=ask, tools=[TOOL])
        use = a.content[-1]
        self.assertEqual((a.stop_reason, use.name, use.input), ("tool_use", "get_weather", {"city": "Nagoli"}))
        with self.client.messages.stream(model=NAME, max_tokens=100, messages=ask, tools=[TOOL], extra_body={"temperature": 0}) as stream:
            self.assertEqual(stream.get_final_message().content[-1].input, {"city": "Nagoli"})
        again = ask + [{"role": "assistant", "content": a.content},
                       {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "21"}]}]
        self.assertTrue(self.create(messages=again, tools=[TOOL], max_tokens=5).content)

    def test_counting(self):
        self.assertGreater(self.client.messages.count_tokens(model=NAME, messages=ASK).input_tokens, 10)

    def test_errors(self):
        with self.assertRaises(anthropic.NotFoundError):
            self.create(model="other")
        with self.assertRaises(anthropic.BadRequestError):
            self.create(max_tokens=-1)


if __name__ == "__main__":
    serving.main()
