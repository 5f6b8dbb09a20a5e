"""Many at once: nothing is lost, nothing stays held, a kill loses nothing. bench/serve_load.py does the same for longer."""
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
    def test_what_was_acknowledged_is_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            made, lost = traffic.killed({"XDG_STATE_HOME": folder}, writers=4, seconds=.5, body={"input": "a", "max_output_tokens": 2})
        self.assertGreater(made, 0)
        self.assertEqual(lost, [])


if __name__ == "__main__":
    serving.main()
