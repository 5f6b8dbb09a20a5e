"""Trains one model of the pair and writes OUT/model.pt (and OUT/log.jsonl, OUT/checkpoint.pt to resume from).

usage: train_pair.py TEXTS OUT --phases 3000x256,3000x512,1000x2048 [--layers 6 --ff 768 ...] [--teacher M.pt]

TEXTS is a folder with the texts of the data list in README.md.  A phase is steps x row length; every step sees
--tokens tokens.  The learning rate warms up, stays, and falls to zero over the last --decay steps.  Work is split over
--ranks processes of one thread each, which average their gradients: on shared cores that is faster than threads that
wait for one another.  A run may be stopped at any time and started again with the same command (or other phases): it
goes on from the last checkpoint.  Creating OUT/stop makes it save and end.
"""
import argparse
import datetime
import json
import os
import statistics
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bpe import Tokenizer
from corpus import Corpus, english
from model import ChunkedLoss, Muon, Transformer
from tasks import held_items

SHAPE = {"layers": 6, "dim": 256, "ff": 768, "heads": 4, "kv": 2, "hd": 64}


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("texts")
    ap.add_argument("out")
    ap.add_argument("--vocabulary", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "bpe.json"))
    ap.add_argument("--phases", required=True)
    for key, default in SHAPE.items():
        ap.add_argument("--" + key, type=int, default=default)
    ap.add_argument("--tokens", type=int, default=8192)
    ap.add_argument("--ranks", type=int, default=2)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--warmup", type=int, default=100)
    ap.add_argument("--decay", type=int, default=1000)
    ap.add_argument("--late-from", type=int, default=1500, help="step at which the mixture starts to move to natural text")
    ap.add_argument("--late-to", type=int, default=4000)
    ap.add_argument("--late-mix", type=json.loads, help='shares of rows after --late-to, as JSON (see corpus.MIX_LATE)')
    ap.add_argument("--seed", type=int, default=7)
    ap.add_argument("--eval-every", type=int, default=200)
    ap.add_argument("--teacher", help="a model.pt to distil from")
    ap.add_argument("--mix", type=float, default=0.7, help="share of the loss against the teacher's distribution")
    return ap.parse_args()


def phase_lengths(text):
    """[(first step, end step, row length)]"""
    phases, at = [], 0
    for part in text.split(","):
        steps, length = map(int, part.split("x"))
        phases.append((at, at + steps, length))
        at += steps
    return phases


class Evaluator:
    """Exact match on held-out items by teacher forcing: an item is right when every answer token is the most likely
    one, which is when greedy decoding gives the answer."""

    def __init__(self, tok, corpus, rank, ranks):
        measure = lambda t: len(tok.encode(t))
        filler = [english(s) for s in corpus.read("eval/small_parallel_enja/dev.en").splitlines() if len(s) > 20]
        items = held_items(measure, filler, count=20)
        self.items = [(x["kind"], tok.encode(x["prompt"]), x["answer"]) for x in items][rank::ranks]
        self.tok = tok
        self.kinds = list(dict.fromkeys(x["kind"] for x in items))

    @torch.no_grad()
    def __call__(self, net):
        right = dict.fromkeys(self.kinds, 0)
        seen = dict.fromkeys(self.kinds, 0)
        for kind, prompt, answer in self.items:
            hidden = net(torch.tensor([prompt + self.tok.encode(answer)[:-1]]))[0, len(prompt) - 1:]
            best = (hidden @ net.e.weight.bfloat16().T).argmax(-1).tolist()
            right[kind] += int(self.tok.decode(best).startswith(answer))    # the last token may go on: "." or ".\n"
            seen[kind] += 1
        counts = torch.tensor([list(right.values()), list(seen.values())], dtype=torch.float32)
        dist.all_reduce(counts)
        return {k: round((counts[0, i] / counts[1, i]).item(), 3) for i, k in enumerate(self.kinds)}


class Trainer:
    def __init__(self, rank, args):
        self.rank, self.args = rank, args
        self.tok = Tokenizer(args.vocabulary)
        self.corpus = Corpus(args.texts, self.tok, args.late_mix)
        vocab = (len(self.tok.vocab) + 63) // 64 * 64
        torch.manual_seed(args.seed)
        self.net = Transformer({k: getattr(args, k) for k in SHAPE}, vocab)
        self.forward = torch.compile(self.net, dynamic=False)
        self.teacher = self.load_teacher(vocab) if args.teacher else None
        self.params = list(self.net.parameters())
        inner = [p for n, p in self.net.named_parameters() if p.dim() == 2 and n != "e.weight"]
        rest = [p for n, p in self.net.named_parameters() if p.dim() < 2 or n == "e.weight"]
        self.muon = Muon(inner, args.lr, share=(rank, args.ranks), combine=dist.all_reduce)
        self.adam = torch.optim.AdamW(rest, args.lr, betas=(0.9, 0.95), weight_decay=0.0)
        self.evaluate = Evaluator(self.tok, self.corpus, rank, args.ranks)
        self.step = self.seen = 0
        self.seconds = 0.0
        self.resume()

    def load_teacher(self, vocab):
        saved = torch.load(self.args.teacher)
        teacher = Transformer(saved["shape"], vocab)
        teacher.load_state_dict(saved["state"])
        teacher.requires_grad_(False)
        self.teacher_head = teacher.e.weight.bfloat16()
        return torch.compile(teacher, dynamic=False)

    # ---- one step --------------------------------------------------------------------------------------------------
    def schedule(self, step, total):
        a = self.args
        late = min(1.0, max(0.0, (step - a.late_from) / max(1, a.late_to - a.late_from)))
        return a.lr * min(1.0, (step + 1) / a.warmup) * min(1.0, (total - step) / a.decay), late

    def train_step(self, length, lr, late):
        a = self.args
        rows = max(1, a.tokens // a.ranks // length)
        ids, weights = self.corpus.batch(a.seed, self.rank, self.step, rows, length, late)
        ids, weights = torch.from_numpy(ids), torch.from_numpy(weights).reshape(-1)
        x, y = ids[:, :-1].contiguous(), ids[:, 1:].reshape(-1)
        hidden = self.forward(x).reshape(len(y), -1)
        teacher = ()
        if self.teacher is not None:
            with torch.no_grad():
                teacher = (self.teacher(x).reshape(len(y), -1), self.teacher_head, a.mix)
        loss = ChunkedLoss.apply(hidden, self.net.e.weight, y, weights, *teacher)
        loss.backward()
        flat = torch.cat([p.grad.reshape(-1) for p in self.params] + [loss.detach()[None]])
        dist.all_reduce(flat)
        flat /= a.ranks
        at = 0
        for p in self.params:
            p.grad.copy_(flat[at:at + p.numel()].view_as(p))
            at += p.numel()
        for optimiser in (self.muon, self.adam):
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
            optimiser.zero_grad(set_to_none=False)
        return flat[-1].item()

    # ---- the run ---------------------------------------------------------------------------------------------------
    def run(self):
        a, losses, times = self.args, [], []
        phases = phase_lengths(a.phases)
        total = phases[-1][1]
        while self.step < total:
            length = next(n for first, end, n in phases if first <= self.step < end)
            lr, late = self.schedule(self.step, total)
            began = time.time()
            losses.append(self.train_step(length, lr, late))
            if self.rank == 0 and len(losses) % 10 == 0:
                print(f"step {self.step} loss {statistics.mean(losses[-10:]):.3f} {time.time() - began:.2f}s", flush=True)
            times.append(time.time() - began)
            self.seconds += min(times[-1], 5 * statistics.median(times[-50:]))    # a paused run does not count
            self.step += 1
            self.seen += a.tokens
            if self.step % a.eval_every == 0 or self.step == total:
                self.report(losses, times, length, lr)
                losses, times = [], times[-50:]
                if self.stop_asked():
                    return
        if self.rank == 0:
            torch.save({"state": self.net.state_dict(), "shape": self.net.shape, "step": self.step},
                       os.path.join(a.out, "model.pt"))

    def report(self, losses, times, length, lr):
        exact = self.evaluate(self.net)
        if self.rank:
            return
        entry = {"step": self.step, "tokens_M": round(self.seen / 1e6, 2), "length": length,
                 "lr": round(lr, 6), "loss": round(statistics.mean(losses), 4), "minutes": round(self.seconds / 60, 1),
                 "tokens_per_s": round(self.args.tokens / statistics.median(times)), "exact": exact}
        with open(os.path.join(self.args.out, "log.jsonl"), "a", encoding="utf-8") as f:
            f.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)
        self.save()

    def stop_asked(self):
        flag = torch.tensor([float(os.path.exists(os.path.join(self.args.out, "stop")))])
        dist.all_reduce(flag)
        return bool(flag.item())

    # ---- checkpoints -----------------------------------------------------------------------------------------------
    def save(self):
        path = os.path.join(self.args.out, "checkpoint.pt")
        torch.save({"state": self.net.state_dict(), "shape": self.net.shape, "muon": self.muon.state_dict(),
                    "adam": self.adam.state_dict(), "step": self.step, "seen": self.seen, "seconds": self.seconds}, path + ".part")
        os.replace(path + ".part", path)

    def resume(self):
        path = os.path.join(self.args.out, "checkpoint.pt")
        if os.path.exists(path):
            saved = torch.load(path)
            self.net.load_state_dict(saved["state"])
            self.muon.load_state_dict(saved["muon"])
            self.adam.load_state_dict(saved["adam"])
            self.step, self.seconds = saved["step"], saved["seconds"]
            self.seen = saved.get("seen", self.step * self.args.tokens)


def worker(rank, args):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{os.path.abspath(args.out)}/ranks", rank=rank,
                            world_size=args.ranks, timeout=datetime.timedelta(hours=12))
    Trainer(rank, args).run()
    dist.barrier()


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    for name in ("ranks", "stop"):
        if os.path.exists(os.path.join(args.out, name)):
            os.remove(os.path.join(args.out, name))
    mp.start_processes(worker, (args,), nprocs=args.ranks, start_method="fork")


if __name__ == "__main__":
    main()
