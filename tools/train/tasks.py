"""Endless copying tasks over made-up names: extraction to JSON, task lists, tool calls, recall, repetition, sums.

Every answer can only be copied (or, for sums, computed) from the prompt, so a model that solves them reads its
context.  A document is a list of (text, weight) segments; the weight says how much the loss counts there: 1 for what
follows from the context, little for what is random.  Words whose CRC-32 is divisible by HELD_SHARE never occur in
training and all made-up words of held-out items are such words, so that no held-out name has been seen.
"""
import json
import random
import zlib

CONSONANTS, VOWELS = "bdfghjklmnprstvwyz", "aeiou"
JOBS = "teacher nurse engineer farmer artist driver doctor cook pilot writer baker clerk".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
CITIES = "Tokyo Osaka Kyoto Nagoya Sapporo Fukuoka Paris London Berlin Madrid Rome Vienna Oslo Seoul Lima Cairo".split()
PEOPLE = "Taro Hanako Ken Yuki Emma Liam Noah Olivia Mia Lucas Sora Ren Aoi Haru Sakura Leo Anna Ivan Chloe Hugo".split()
GOODS = "milk bread apples rice tea coffee eggs fish paper soap pens books lamps chairs".split()
COLOURS, ANIMALS = "red blue green gold pink grey".split(), "fox owl bear crow hare wolf".split()
TOOLS = "You may call tools: get_weather, multiply, book_meeting."
HELD_SHARE = 6
RANDOM_WEIGHT = 0.1


def is_held(word):
    return zlib.crc32(word.lower().encode()) % HELD_SHARE == 0


def chat_segments(*turns):
    """ChatML turns (role, text); only what the assistant says counts fully."""
    segments = []
    for role, text in turns:
        if role == "assistant":
            segments += [(f"<|im_start|>{role}\n", RANDOM_WEIGHT), (f"{text}<|im_end|>", 1.0), ("\n", 1.0)]
        else:
            segments.append((f"<|im_start|>{role}\n{text}<|im_end|>\n", RANDOM_WEIGHT))
    return segments


def to_json(value):
    return json.dumps(value, ensure_ascii=False)


class TaskMaker:
    """Makes documents from a random generator.  `pieces`: vocabulary entries to build varied words from."""

    def __init__(self, rng, pieces=(), filler=(), held=False):
        self.rng, self.pieces, self.filler, self.held = rng, pieces, filler, held

    # ---- words ---------------------------------------------------------------------------------------------------
    def syllables(self, low=2, high=3):
        rng = self.rng
        return "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(low, high)))

    def word(self, low=2, high=3):
        """A made-up lower-case word: syllables; in training also joined vocabulary pieces or letters."""
        rng = self.rng
        while True:
            u = rng.random()
            if self.held or u < 0.6 or not self.pieces:
                w = self.syllables(low, high)
            elif u < 0.85:
                w = "".join(rng.choice(self.pieces) for _ in range(rng.randint(1, 3)))
            else:
                w = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 8)))
            if is_held(w) == self.held:
                return w

    def name(self, real=()):
        if real and not self.held and self.rng.random() < 0.15:
            return self.rng.choice(real)
        return self.word().capitalize()

    # ---- tasks with one answer: (system or None, question, answer) -------------------------------------------------
    def extraction(self):
        rng = self.rng
        who, age, city, job = self.name(PEOPLE), rng.randint(18, 90), self.name(CITIES), rng.choice(JOBS)
        text = rng.choice([f"{who} is {age} years old, lives in {city} and works as a {job}.",
                           f"{who}, a {job} from {city}, turned {age}.",
                           f"{who}さんは{age}歳の{job}で、{city}に住んでいます。"])
        return None, f"Extract JSON with name, age, city, job: {text}", \
            to_json({"name": who, "age": age, "city": city, "job": job})

    def task_list(self):
        rng = self.rng
        goods = [rng.choice(GOODS) if not self.held and rng.random() < 0.15 else self.word()
                 for _ in range(rng.randint(1, 4))]
        days = [rng.choice(DAYS) for _ in goods]
        listed = ", ".join(f"buy {g} on {d}" for g, d in zip(goods, days))
        return None, f"List the tasks as JSON: {listed}.", \
            to_json([{"task": f"buy {g}", "day": d} for g, d in zip(goods, days)])

    def tool_call(self):
        rng, kind = self.rng, self.rng.randrange(3)
        if kind == 0:
            city = self.name(CITIES)
            asked = rng.choice([f"What is the weather in {city}?", f"{city}の天気は?"])
            call = {"name": "get_weather", "arguments": {"city": city}}
        elif kind == 1:
            a, b = rng.randint(2, 999), rng.randint(2, 999)
            asked, call = f"Multiply {a} by {b}.", {"name": "multiply", "arguments": {"a": a, "b": b}}
        else:
            who, day = self.name(PEOPLE), rng.choice(DAYS)
            asked = f"Book a meeting with {who} on {day}."
            call = {"name": "book_meeting", "arguments": {"with": who, "day": day}}
        return TOOLS, asked, f"<tool_call>\n{to_json(call)}\n</tool_call>"

    def single(self, kind):
        """One task as (prompt, answer), for held-out items."""
        system, asked, answer = getattr(self, kind)()
        turns = ([("system", system)] if system else []) + [("user", asked)]
        prompt = "".join(f"<|im_start|>{r}\n{t}<|im_end|>\n" for r, t in turns) + "<|im_start|>assistant\n"
        return prompt, answer

    # ---- recall ----------------------------------------------------------------------------------------------------
    def recall_facts(self, pairs=None):
        """Key and code pairs, shuffled."""
        rng = self.rng
        count = pairs or (rng.randint(2, 7) if self.held else rng.choice((2, 2, 3, 3, 4, 5, 6, 7)))
        keys = set()
        while len(keys) < count:
            if not self.held and rng.random() < 0.15:
                keys.add(f"{rng.choice(COLOURS)}-{rng.choice(ANIMALS)}")
            else:
                keys.add(f"{self.word()}-{self.word()}")
        return [(k, str(rng.randint(1000, 9999))) for k in sorted(keys, key=lambda _: rng.random())]

    def filler_line(self):
        rng = self.rng
        if self.filler and rng.random() < 0.7:
            return rng.choice(self.filler), 0.3
        return " ".join(self.word(1, 3) for _ in range(rng.randint(3, 12))) + ".", 0.0

    def recall_prompt(self, measure, length, pairs=None):
        """Facts, then filler until `length` tokens by `measure`.  Returns (segments, facts in asking order)."""
        facts = self.recall_facts(pairs)
        segments = [("Remember these codes.\n", RANDOM_WEIGHT)]
        segments += [(f"The code of {k} is {v}.\n", RANDOM_WEIGHT) for k, v in facts]
        size = sum(measure(t) for t, _ in segments)
        while size < length:
            line, weight = self.filler_line()
            segments.append((line + "\n", weight))
            size += measure(line) + 1
        self.rng.shuffle(facts)
        return segments, facts

    # ---- training documents: lists of (text, weight) ----------------------------------------------------------------
    def task_document(self):
        kind = self.rng.choice(("extraction", "task_list", "tool_call"))
        turns = []
        for _ in range(1 if self.rng.random() < 0.8 else 2):
            system, asked, answer = getattr(self, kind)()
            turns += ([("system", system)] if system and not turns else []) + [("user", asked), ("assistant", answer)]
        return chat_segments(*turns)

    def recall_document(self, measure, length):
        """Facts and questions.  Some documents ask by restating a fact, which is easier and learnt sooner."""
        rng = self.rng
        segments, facts = self.recall_prompt(measure, length)
        form = rng.choice(("{k}: ", "The code of {k} is ", "")) if rng.random() < 0.4 else ""
        asked = facts + rng.sample(facts, rng.randint(0, len(facts)))
        for k, v in asked:
            if form:
                segments += [(form.format(k=k), RANDOM_WEIGHT), (f"{v}.\n", 1.0)]
            else:
                segments += [(f"Question: what is the code of {k}? Answer:", RANDOM_WEIGHT), (f" {v}.\n", 1.0)]
        return segments

    def chat_recall_document(self):
        """Facts told in a conversation, asked for later."""
        rng = self.rng
        who, city, job, age = self.name(PEOPLE), self.name(CITIES), rng.choice(JOBS), rng.randint(18, 90)
        told = [("name", who, f"My name is {who}.", "What is my name?", f"Your name is {who}."),
                ("city", city, f"I live in {city}.", "Where do I live?", f"You live in {city}."),
                ("job", job, f"I work as a {job}.", "What is my job?", f"You work as a {job}."),
                ("age", age, f"I am {age} years old.", "How old am I?", f"You are {age} years old.")]
        told = rng.sample(told, rng.randint(1, 4))
        turns = [("user", " ".join(t[2] for t in told)), ("assistant", "I will remember that.")]
        for t in rng.sample(told, rng.randint(1, len(told))):
            turns += [("user", t[3]), ("assistant", t[4])]
        return chat_segments(*turns)

    def tool_result_document(self):
        """A call, its result, and an answer that copies from the result."""
        rng, city, degrees = self.rng, self.name(CITIES), self.rng.randint(-9, 39)
        call = to_json({"name": "get_weather", "arguments": {"city": city}})
        return chat_segments(
            ("system", TOOLS), ("user", f"What is the weather in {city}?"),
            ("assistant", f"<tool_call>\n{call}\n</tool_call>"),
            ("tool", to_json({"city": city, "temperature": degrees})),
            ("assistant", f"It is {degrees} degrees in {city}."))

    def repeat_document(self):
        rng = self.rng
        if self.filler and rng.random() < 0.4:
            text = rng.choice(self.filler)[:200].strip()
        else:
            text = " ".join(self.word() for _ in range(rng.randint(2, 12)))
        return chat_segments(("user", f"Repeat: {text}"), ("assistant", text))

    def sums_document(self):
        rng, turns = self.rng, []
        for _ in range(rng.randint(3, 10)):
            a, b = rng.randint(0, 50), rng.randint(0, 50)
            turns += [("user", f"{a} + {b} = ?"), ("assistant", str(a + b))]
        return chat_segments(*turns)


def held_items(measure, filler, seed=11, count=100, lengths=(0, 128, 256, 512, 1024)):
    """Held-out items, made-up words all unseen: dicts with kind, prompt, answer.  Fillers are held-out text too."""
    maker = TaskMaker(random.Random(seed), filler=filler, held=True)
    items = []
    for kind, method in (("extraction", "extraction"), ("tasks", "task_list"), ("tool", "tool_call")):
        for _ in range(count):
            prompt, answer = maker.single(method)
            items.append({"kind": kind, "prompt": prompt, "answer": answer})
    for length in lengths:
        kind = f"recall_{length}" if length else "recall"
        for _ in range(count):
            segments, facts = maker.recall_prompt(measure, length)
            prompt = "".join(t for t, _ in segments) + f"Question: what is the code of {facts[0][0]}? Answer:"
            items.append({"kind": kind, "prompt": prompt, "answer": f" {facts[0][1]}."})
    return items
