"""Many at once: nothing is lost, nothing stays held, a kill loses nothing. bench/serve_load.py does the same for longer."""
import pathlib
import signal
import tempfile
import unittest

import serving
import traffic
from serving import chat

BODIES = [{"prompt": p, "temperature": 0, "max_tokens": 24, "ignore_eos": True}
          for p in ("The river", "A list of tasks:", "Once", "In the morning")]


class Streams(serving.Case):
    words = ("--quiet", "--slots", "16", "--queue", "64", "--ctx", "512")

    def test_no_event_is_lost(self):
        wrong, answers, _, _ = traffic.streams(self.server, BODIES, clients=40, silent=4)
        self.assertEqual((wrong, answers), ([], 36))
        self.assertEqual(traffic.held(self.server, serving.PATIENCE), {})


class Paced(unittest.TestCase):
    def test_no_word_is_lost_at_an_even_pace(self):
        server = serving.Server(pace=20)
        readers = traffic.paced(server, clients=150, silent=15, words=40)
        left = traffic.held(server, serving.PATIENCE)
        self.assertEqual(server.stop(), 0)
        self.assertEqual([(r.lost, r.expected) for r in readers], [(0, 40)] * 135)
        self.assertEqual(left, {})


class Leaving(serving.Case):
    words = ("--quiet", "--slots", "4", "--queue", "8", "--ctx", "512")

    def test_nothing_stays_held(self):
        traffic.leave(self.server, traffic.asks(), count=120, seed=1)
        self.assertEqual(traffic.held(self.server, serving.PATIENCE), {})
        m = traffic.metrics(self.server)
        self.assertEqual(m["requests_failed_total"], 0)
        self.assertEqual(m["requests_accepted_total"], m["requests_finished_total"] + m["requests_canceled_total"])
        self.answers(200, "/v1/chat/completions", chat("a", max_tokens=1))


class Killed(unittest.TestCase):
    def test_sessions_are_there_at_the_next_start(self):
        """With their words and, once used, their pages: nothing of them is run again. Also after an end that was no kill."""
        system = [{"role": "system", "content": "You keep the minutes of a club that walks along the river. " * 9}]
        ask = {"messages": [{"role": "user", "content": "Who speaks?"}], "temperature": 0, "max_tokens": 20, "seed": 1}
        with tempfile.TemporaryDirectory() as folder:
            env = {"XDG_STATE_HOME": folder}
            first = serving.Server("--quiet", env=env)
            made = first.post("/v1/sessions", {"messages": system, "seconds": 3000})[2]
            brief = first.post("/v1/sessions", {"text": "a", "seconds": 1000})[2]
            gone = first.post("/v1/sessions", {"text": "The sea is wide. " * 30})[2]
            first.call("DELETE", "/v1/sessions/" + gone["id"])
            more = first.post(f"/v1/sessions/{made['id']}/append", {"messages": [{"role": "user", "content": "Begin. " * 30}]})[2]
            answer = first.post("/v1/chat/completions", dict(ask, session=made["id"]))[2]
            self.assertGreater(more["held_tokens"], made["held_tokens"])
            self.assertEqual(first.stop(signal.SIGKILL), -signal.SIGKILL)
            for end in (signal.SIGTERM, signal.SIGKILL):
                again = serving.Server("--quiet", env=env)
                listed = {s["id"]: s for s in again.call("GET", "/v1/sessions")[2]["data"]}
                self.assertEqual(set(listed), {made["id"], brief["id"]})
                self.assertEqual((listed[made["id"]]["tokens"], listed[made["id"]]["created"]), (more["tokens"], made["created"]))
                self.assertGreater(listed[made["id"]]["expires_in"], 2000)
                same = again.post("/v1/chat/completions", dict(ask, session=made["id"]))[2]
                self.assertEqual(same["choices"], answer["choices"])
                self.assertGreaterEqual(same["usage"]["prompt_tokens_details"]["cached_tokens"], more["held_tokens"])
                self.assertEqual(again.call("GET", "/v1/sessions/" + made["id"])[2]["held_tokens"], more["held_tokens"])
                again.stop(end)
            pages = pathlib.Path(folder) / "irori" / "sessions"
            self.assertEqual([f.name for f in pages.iterdir()], [made["id"] + ".kv"])
            next(pages.iterdir()).write_bytes(b"broken")
            last = serving.Server("--quiet", env=env)
            same = last.post("/v1/chat/completions", dict(ask, session=made["id"]))[2]
            self.assertEqual(same["choices"], answer["choices"])  # run again
            last.call("DELETE", "/v1/sessions/" + made["id"])
            self.assertEqual(list(pages.iterdir()), [])
            last.stop()

    def test_what_was_acknowledged_is_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            made, lost = traffic.killed({"XDG_STATE_HOME": folder}, writers=4, seconds=.5, body={"input": "a", "max_output_tokens": 2})
        self.assertGreater(made, 0)
        self.assertEqual(lost, [])


if __name__ == "__main__":
    serving.main()
