"""Ollama's own Python client."""
import os
import subprocess

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

    def test_store(self):
        """What changes the store: copy, create, delete, and a pull that cannot be."""
        env = {**os.environ, "XDG_DATA_HOME": self.server.home.name}
        subprocess.run([serving.IRORI, "pull", serving.MODEL, "--as", "tiny:v1"], env=env, check=True, capture_output=True)
        self.client.copy("tiny:v1", "twin")
        self.client.create(model="brief", from_="twin", system="Be brief.", parameters={"num_predict": 3})
        names = [m.model for m in self.client.list().models]
        self.assertTrue({"tiny:v1", "twin:latest", "brief:latest"} <= set(names), names)
        self.assertEqual(self.client.chat(model="brief", messages=ASK, options=GREEDY).eval_count, 3)
        for name in ("brief", "twin", "tiny:v1"):
            self.client.delete(name)
        self.assertEqual([m.model for m in self.client.list().models], [NAME + ":latest"])
        with self.assertRaises(ollama.ResponseError):
            list(self.client.pull("127.0.0.1:1/some/model", stream=True))
        with self.assertRaises(ollama.ResponseError):
            self.client.push("tiny")

    def test_errors(self):
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.chat(model="other", messages=ASK)
        self.assertEqual(raised.exception.status_code, 404)


if __name__ == "__main__":
    serving.main()
