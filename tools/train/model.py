"""The Qwen3-shaped language model that train_pair.py trains, and the optimiser that trains it.

Grouped-query attention with RMS-normed queries and keys, rotary positions (halves rotated), a SwiGLU
feed-forward and an output head tied to the embedding.  Parameter names are those reference.py and
gguf_export.py read.  Written for speed on two CPU cores with bf16 matrix units: matrix products run in bf16,
the residual stream and the loss in F32.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

ROPE_THETA = 1e5
NORM_EPS = 1e-6


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.w = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        x = x.float()
        return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + NORM_EPS) * self.w).bfloat16()


def linear(x, *weights):
    """x times the stacked weights, in bf16."""
    w = weights[0] if len(weights) == 1 else torch.cat(weights)
    return F.linear(x, w.bfloat16())


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def attend(q, k, v):
    """Causal attention.  Up to 512 positions, plain products compile to faster code than the fused kernel."""
    t = q.shape[2]
    if t > 512:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    future = torch.full((t, t), float("-inf"), device=q.device).triu(1)
    scores = (q @ k.mT).float() * q.shape[-1] ** -0.5 + future
    return scores.softmax(-1).bfloat16() @ v


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        dim, ff, hd = shape["dim"], shape["ff"], shape["hd"]
        self.heads, self.kv, self.hd, self.ff = shape["heads"], shape["kv"], hd, ff
        self.n1, self.n2, self.qn, self.kn = RMSNorm(dim), RMSNorm(dim), RMSNorm(hd), RMSNorm(hd)
        self.q = nn.Linear(dim, self.heads * hd, bias=False)
        self.k = nn.Linear(dim, self.kv * hd, bias=False)
        self.v = nn.Linear(dim, self.kv * hd, bias=False)
        self.o = nn.Linear(self.heads * hd, dim, bias=False)
        self.g = nn.Linear(dim, ff, bias=False)
        self.u = nn.Linear(dim, ff, bias=False)
        self.dn = nn.Linear(ff, dim, bias=False)

    def attention(self, x, cos, sin):
        b, t, _ = x.shape
        qkv = linear(x, self.q.weight, self.k.weight, self.v.weight).view(b, t, -1, self.hd).transpose(1, 2)
        q, k, v = qkv.split((self.heads, self.kv, self.kv), 1)
        q, k = rotate(self.qn(q), cos, sin), rotate(self.kn(k), cos, sin)
        k, v = (z.repeat_interleave(self.heads // self.kv, 1) for z in (k, v))
        y = attend(q, k, v)
        return linear(y.transpose(1, 2).reshape(b, t, -1), self.o.weight)

    def feed_forward(self, x):
        gate, up = linear(x, self.g.weight, self.u.weight).split(self.ff, -1)
        return linear(F.silu(gate) * up, self.dn.weight)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.n1(x), cos, sin)
        return x + self.feed_forward(self.n2(x))


class Transformer(nn.Module):
    """Everything but the head: token ids [B, T] to normed hidden states [B, T, dim] in bf16."""

    def __init__(self, shape, vocab, context=2048):
        super().__init__()
        self.shape = dict(shape)
        self.e = nn.Embedding(vocab, shape["dim"])
        self.b = nn.ModuleList(Block(shape) for _ in range(shape["layers"]))
        self.n = RMSNorm(shape["dim"])
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("o.weight", "dn.weight"))
                nn.init.normal_(p, 0, 0.02 / (math.sqrt(2 * shape["layers"]) if last else 1))
        freq = ROPE_THETA ** (-torch.arange(0, shape["hd"], 2).float() / shape["hd"])
        angle = torch.outer(torch.arange(context).float(), freq)
        self.register_buffer("cos", angle.cos().bfloat16(), persistent=False)
        self.register_buffer("sin", angle.sin().bfloat16(), persistent=False)

    def forward(self, ids):
        t = ids.shape[1]
        x = self.e(ids)
        cos, sin = self.cos[:t], self.sin[:t]
        for block in self.b:
            x = block(x, cos, sin)
        return self.n(x)


@torch.compile(dynamic=False)
def logits_loss(logits, targets, weights, teacher, mix):
    """Weighted cross entropy of bf16 logits and its gradient; teacher is None or the teacher's logits."""
    p = logits.float().softmax(-1)
    hit = torch.arange(p.shape[1])[None, :] == targets[:, None]
    nll = -(torch.where(hit, logits.float().log_softmax(-1), 0.0).sum(-1) * weights).sum()
    wanted = hit.float()
    if teacher is not None:
        wanted = (1 - mix) * wanted + mix * teacher.float().softmax(-1)
    return nll, ((p - wanted) * weights[:, None]).bfloat16()


class ChunkedLoss(torch.autograd.Function):
    """Weighted cross entropy of a tied head, computed chunk by chunk so that no [B*T, V] array is ever held.

    With teacher hidden states and a teacher head it adds `mix` times the cross entropy against the teacher's
    distribution (distillation); the target weights and the sum of weights are shared.
    """

    CHUNK = 1024

    @staticmethod
    def forward(ctx, hidden, head, targets, weights, teacher_hidden=None, teacher_head=None, mix=0.0):
        head16 = head.bfloat16()
        total = weights.sum().clamp(min=1)
        grad_hidden = torch.empty_like(hidden)
        grad_head = torch.zeros_like(head)
        loss = torch.zeros(())
        for i in range(0, len(hidden), ChunkedLoss.CHUNK):
            part = slice(i, i + ChunkedLoss.CHUNK)
            h, y, w = hidden[part], targets[part], weights[part] / total
            logits = h @ head16.T
            wanted = teacher_hidden[part] @ teacher_head.T if mix else None
            nll, grad = logits_loss(logits, y, w, wanted, mix)
            loss += nll
            grad_hidden[part] = grad @ head16
            grad_head += (grad.T @ h).float()
        ctx.save_for_backward(grad_hidden, grad_head)
        return loss

    @staticmethod
    def backward(ctx, scale):
        grad_hidden, grad_head = ctx.saved_tensors
        return grad_hidden * scale, grad_head * scale, None, None, None, None, None


def orthogonalise(m, steps=5):
    """Newton-Schulz iteration towards the nearest (semi-)orthogonal matrix, for a batch of matrices, in bf16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = m.shape[-2] > m.shape[-1]
    x = (m / (m.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
    if tall:
        x = x.mT
    x = x.contiguous()
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: for the matrices inside the blocks.  Same-shaped matrices are stacked.

    share = (rank, ranks): this process orthogonalises every ranks-th matrix and `combine` adds up the parts.
    """

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.05, share=(0, 1), combine=None):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.share, self.combine = share, combine

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            rank, ranks = self.share
            updates = [torch.zeros_like(p) for p in group["params"]]
            by_shape = {}
            for i, p in enumerate(group["params"]):
                m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group["momentum"])
                by_shape.setdefault(p.shape, []).append(i)
            for indices in by_shape.values():
                mine = indices[rank::ranks]
                if mine:
                    ps = [group["params"][i] for i in mine]
                    looked_ahead = [p.grad.lerp(self.state[p]["momentum"], group["momentum"]) for p in ps]
                    for i, u in zip(mine, orthogonalise(torch.stack(looked_ahead))):
                        updates[i] = u
            if ranks > 1:
                updates = self.combined(updates)
            for p, u in zip(group["params"], updates):
                gain = 0.2 * math.sqrt(max(p.shape))
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-group["lr"] * gain)

    def combined(self, updates):
        flat = torch.cat([u.reshape(-1) for u in updates])
        self.combine(flat)
        out, at = [], 0
        for u in updates:
            out.append(flat[at:at + u.numel()].view_as(u))
            at += u.numel()
        return out
