"""The Responses API: whole, streamed, going on from an answer, kept over a restart and a kill."""
import json
import signal
import tempfile
import unittest

import serving
from serving import NAME, WEATHER

TASKS = "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."
TASKS_ANSWER = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]'
TOOL = dict(WEATHER["function"], type="function")


def body(text=TASKS, **more):
    return dict({"model": NAME, "input": text, "temperature": 0}, **more)


class Responses(serving.Case):
    def make(self, **more):
        return self.answers(200, "/v1/responses", body(**more))

    def test_a_response(self):
        a = self.make()
        self.assertEqual((a["object"], a["status"], a["error"]), ("response", "completed", None))
        item = a["output"][0]
        self.assertEqual((item["type"], item["role"], item["status"]), ("message", "assistant", "completed"))
        self.assertEqual(item["content"], [{"type": "output_text", "text": TASKS_ANSWER, "annotations": []}])
        self.assertEqual(a["usage"]["total_tokens"], a["usage"]["input_tokens"] + a["usage"]["output_tokens"])
        self.assertEqual(self.answers(200, "/v1/responses/" + a["id"], None, "GET"), a)
        items = self.answers(200, f"/v1/responses/{a['id']}/input_items", None, "GET")
        self.assertEqual(items["data"][0]["content"], TASKS)
        self.assertTrue(self.answers(200, "/v1/responses/" + a["id"], None, "DELETE")["deleted"])
        self.answers(404, "/v1/responses/" + a["id"], None, "GET")
        self.answers(404, "/v1/responses/" + a["id"], None, "DELETE")

    def test_length(self):
        a = self.make(max_output_tokens=3)
        self.assertEqual((a["status"], a["incomplete_details"]), ("incomplete", {"reason": "max_output_tokens"}))

    def test_a_stream(self):
        events = self.server.events("/v1/responses", body(stream=True))
        self.assertTrue(all(name == data["type"] for name, data in events))
        self.assertEqual([d["sequence_number"] for _, d in events], list(range(len(events))))
        names = [name.removeprefix("response.") for name, _ in events]
        self.assertEqual(names[:4], ["created", "in_progress", "output_item.added", "content_part.added"])
        self.assertEqual(names[-4:], ["output_text.done", "content_part.done", "output_item.done", "completed"])
        self.assertEqual(set(names[4:-4]), {"output_text.delta"})
        self.assertEqual("".join(d["delta"] for n, d in events if n.endswith("text.delta")), TASKS_ANSWER)
        final = events[-1][1]["response"]
        self.assertEqual(final["output"][0]["content"][0]["text"], TASKS_ANSWER)
        self.assertEqual(final["output"][0]["id"], events[2][1]["item"]["id"])
        self.assertEqual(self.answers(200, "/v1/responses/" + final["id"], None, "GET"), final)

    def test_going_on(self):
        first = self.make(text="My code is 4711. Remember it.", max_output_tokens=20)
        second = self.make(text="What is my code?", previous_response_id=first["id"], max_output_tokens=20)
        self.assertGreater(second["usage"]["input_tokens"], first["usage"]["input_tokens"] + first["usage"]["output_tokens"])
        self.assertEqual(second["previous_response_id"], first["id"])
        self.answers(400, "/v1/responses", body(previous_response_id="resp_none"))

    def test_tools(self):
        a = self.make(text="What is the weather in Nagoli?", tools=[TOOL])
        call = a["output"][-1]
        self.assertEqual((call["type"], call["name"]), ("function_call", "get_weather"))
        self.assertEqual(json.loads(call["arguments"]), {"city": "Nagoli"})
        events = self.server.events("/v1/responses", body("What is the weather in Nagoli?", tools=[TOOL], stream=True))
        deltas = "".join(d["delta"] for n, d in events if n == "response.function_call_arguments.delta")
        self.assertEqual(deltas, call["arguments"])
        again = [{"role": "user", "content": "What is the weather in Nagoli?"}, call,
                 {"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees"}]
        self.make(text=again, tools=[TOOL], max_output_tokens=5)
        self.make(text=again[2:], previous_response_id=a["id"], tools=[TOOL], max_output_tokens=5)

    def test_errors(self):
        for more in ({"input": 5}, {"input": [{"type": "x"}]}, {"tools": [{"type": "web_search"}]}, {"max_output_tokens": 0},
                     {"background": True}, {"text": {"format": {"type": "xml"}}}, {"input": [{"role": "user"}] * 0}):
            self.answers(400, "/v1/responses", dict(body(), **more))

    def test_not_kept(self):
        a = self.make(store=False, max_output_tokens=2)
        self.answers(404, "/v1/responses/" + a["id"], None, "GET")


class Kept(unittest.TestCase):
    def test_a_kill_loses_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            env = {"XDG_STATE_HOME": folder}
            server = serving.Server("--quiet", env=env)
            made = [server.post("/v1/responses", body(max_output_tokens=2))[2] for _ in range(5)]
            self.assertEqual(server.stop(signal.SIGKILL), -signal.SIGKILL)
            server = serving.Server("--quiet", env=env)
            for a in made:
                self.assertEqual(server.call("GET", "/v1/responses/" + a["id"])[2], a)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    serving.main()
