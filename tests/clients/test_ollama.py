"""Ollama's own Python client."""
import ollama

import serving
from serving import NAME, WEATHER

ASK = [{"role": "user", "content": "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."}]
ANSWER = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]'
GREEDY = {"temperature": 0}


class Ollama(serving.Case):
    def setUp(self):
        self.client = ollama.Client(host=f"http://127.0.0.1:{self.server.port}")

    def test_chat(self):
        a = self.client.chat(model=NAME, messages=ASK, options=GREEDY)
        self.assertEqual((a.message.content, a.done), (ANSWER, True))
        self.assertEqual("".join(p.message.content for p in self.client.chat(model=NAME, messages=ASK, options=GREEDY, stream=True)), ANSWER)

    def test_generate(self):
        a = self.client.generate(model=NAME, prompt=ASK[0]["content"], options=GREEDY)
        self.assertEqual(a.response, ANSWER)

    def test_tools(self):
        ask = [{"role": "user", "content": "What is the weather in Nagoli?"}]
        a = self.client.chat(model=NAME, messages=ask, tools=[WEATHER], options=GREEDY)
        self.assertEqual(a.message.tool_calls[0].function.arguments, {"city": "Nagoli"})
        again = ask + [a.message, {"role": "tool", "tool_name": "get_weather", "content": "21"}]
        self.client.chat(model=NAME, messages=again, options={"num_predict": 4})

    def test_lists(self):
        self.assertEqual(self.client.list().models[0].model, NAME + ":latest")
        self.assertEqual(self.client.show(NAME).details.quantization_level, "F16")
        self.assertEqual(self.client.ps().models[0].name, NAME + ":latest")

    def test_errors(self):
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.chat(model="other", messages=ASK)
        self.assertEqual(raised.exception.status_code, 404)


if __name__ == "__main__":
    serving.main()
