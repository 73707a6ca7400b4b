"""Peers of bench.py for images and sequences: PyTorch at its best setting, which is looked for among
its layouts (channels after rows and columns, or last as ours) and with and without oneDNN. "hand" is
forward and backward written out without autograd, weights in one flat buffer; "idiom" is what tutorials
show; "torch" one operation alone."""
import ctypes, math, sys, time

import numpy as np
import torch
import torch.nn.functional as F

ops = torch.ops.aten
LAYERS = {"lenet": ((28, 28, 1), (("c", 20, 5, 0), ("p",), ("c", 50, 5, 0), ("p",), ("d", 500), ("d", 10))),
          "vgg": ((32, 32, 3), (("c", 32, 3, 1), ("c", 32, 3, 1), ("p",), ("c", 64, 3, 1), ("c", 64, 3, 1),
                                ("p",), ("c", 128, 3, 1), ("c", 128, 3, 1), ("p",), ("d", 256), ("d", 10)))}
STEPS = {"lenet_sgd": 100, "lenet_sgld": 100, "vgg_sgd": 50, "gru_digits": 50}  # rows of a batch
N_TRAIN, EPS, LAM, LR = 60000, 4e-6, 1.0, 1e-3


def floats(ours, name, which, *shape):
    """A copy: 0 x, 1 y, 2 weights, 3 gradient by weights, 4 by x"""
    at = ours.lib.bench_floats(ours.names.index(name), which)
    return torch.from_numpy(np.ctypeslib.as_array(at, (math.prod(shape),)).copy()).view(*shape)


def placed(t, last):
    """A copy in that layout, and with its strides also where an axis of 1 would leave them open"""
    fmt = torch.channels_last if last else torch.contiguous_format
    return torch.empty(t.shape, memory_format=fmt).copy_(t)


class Slices:
    """Batches of the data in turn, as ours"""
    def __init__(self, x, y, batch):
        self.x, self.y, self.b, self.i = x, y, batch, 0

    def next(self):
        s = slice(self.i, self.i + self.b)
        self.i = 0 if self.i + 2 * self.b > len(self.y) else self.i + self.b
        return self.x[s], self.y[s]


def langevin(ps):
    with torch.no_grad():
        for w in ps:
            w.add_(-EPS / 2 * (N_TRAIN * w.grad + LAM * w) + math.sqrt(EPS) * torch.randn_like(w))


def idiom(model, data, noise):
    ps = list(model.parameters())
    sgd = torch.optim.SGD(ps, LR)
    def step():
        x, y = data.next()
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        langevin(ps) if noise else sgd.step()
    return step


def by_hand(net, data, noise):
    z = torch.empty_like(net.flat)
    def step():
        with torch.no_grad():
            net.gradient(*data.next())
            if noise:
                z.normal_(0, math.sqrt(EPS))
                net.flat.mul_(1 - EPS * LAM / 2).add_(net.grad, alpha=-EPS * N_TRAIN / 2).add_(z)
            else:
                net.flat.add_(net.grad, alpha=-LR)
    return step


def error_of(o, y):
    """The gradient of the mean cross-entropy by the logits"""
    g = torch.softmax(o, 1)
    g[torch.arange(len(y)), y] -= 1
    return g.mul_(1 / len(y))


# ---- nets of layers

def theirs(kind, at):
    """Our weights as their kernels (out, in, rows, columns), matrices (out, in) and biases. at(n): the
    next n of ours"""
    (h, w, c), layers = LAYERS[kind]
    for what, *d in layers:
        if what == "c":
            yield at(d[1] * d[1] * c * d[0]).view(d[1], d[1], c, d[0]).permute(3, 2, 0, 1).contiguous()
            h, w, c = h + 2 * d[2] - d[1] + 1, w + 2 * d[2] - d[1] + 1, d[0]
        elif what == "p":
            h, w = h // 2, w // 2
        else:
            yield at(h * w * c * d[0]).view(h, w, c, d[0]).permute(3, 2, 0, 1).reshape(d[0], -1)
            h, w, c = 1, 1, d[0]
        if what != "p":
            yield at(c).clone()


class Layers(torch.nn.Sequential):
    def __init__(self, kind):
        (h, w, c), layers = LAYERS[kind]
        mods = []
        for what, *d in layers:
            if what == "c":
                mods += [torch.nn.Conv2d(c, d[0], d[1], padding=d[2]), torch.nn.ReLU()]
                h, w, c = h + 2 * d[2] - d[1] + 1, w + 2 * d[2] - d[1] + 1, d[0]
            elif what == "p":
                mods.append(torch.nn.MaxPool2d(2))
                h, w = h // 2, w // 2
            else:
                if h > 1:
                    mods.append(torch.nn.Flatten())
                mods += [torch.nn.Linear(h * w * c, d[0]), torch.nn.ReLU()]
                h, w, c = 1, 1, d[0]
        super().__init__(*mods[:-1])


class HandLayers:
    """Forward and backward written out; a pool comes before the relu, for there it has a quarter to do"""
    def __init__(self, kind, weights, last):
        self.layers, self.last, n = LAYERS[kind][1], last, sum(a.numel() for a in weights)
        self.flat, self.grad, self.t, self.g, at = torch.empty(n), torch.empty(n), [], [], 0
        for a in weights:
            if a.dim() == 4:
                a = placed(a, last)
            self.t.append(torch.as_strided(self.flat, a.shape, a.stride(), at).copy_(a))
            self.g.append(torch.as_strided(self.grad, a.shape, a.stride(), at))
            at += a.numel()

    def relu(self, j):
        """Is there one behind layer j, or behind the pool that follows it?"""
        if self.layers[j][0] == "d":
            return j < len(self.layers) - 1
        return self.layers[j][0] == "p" or self.layers[j + 1][0] != "p"

    def forward(self, x):
        self.kept, i = [], 0
        for j, (what, *d) in enumerate(self.layers):
            kept = x
            if what == "p":
                x, where = ops.max_pool2d_with_indices(x, [2, 2])
            elif what == "c":
                x, where = F.conv2d(x, self.t[i], self.t[i + 1], padding=d[2]), None
            else:
                kept, where = x.flatten(1), None
                x = torch.addmm(self.t[i + 1], kept, self.t[i].t())
            if self.relu(j):
                x.relu_()
            self.kept.append((kept, x, where))
            i += 0 if what == "p" else 2
        return x

    def gradient(self, x, y):
        g, i = error_of(self.forward(x), y), len(self.t)
        for j in range(len(self.layers) - 1, -1, -1):
            (what, *d), (x, out, where) = self.layers[j], self.kept[j]
            if g.dim() < out.dim():
                g = g.view(out.shape)
                g = placed(g, True) if self.last else g
            if self.relu(j):
                g = ops.threshold_backward(g, out, 0)
            if what == "p":
                g = ops.max_pool2d_with_indices_backward(g, x, [2, 2], [2, 2], [0, 0], [1, 1], False, where)
                continue
            i -= 2
            if what == "c":
                g, gw, gb = ops.convolution_backward(g, x, self.t[i], [d[0]], [1, 1], [d[2], d[2]], [1, 1],
                                                     False, [0, 0], 1, [j > 0, True, True])
                self.g[i].copy_(gw), self.g[i + 1].copy_(gb)
            else:
                torch.mm(g.t(), x, out=self.g[i]), torch.sum(g, 0, out=self.g[i + 1])
                g = torch.mm(g, self.t[i])


def layers(ours, name, last):
    kind, noise, flat, at = name.split("_")[0], name.endswith("sgld"), None, [0]
    (h, w, c), n = LAYERS[kind][0], 500 if name == "vgg_sgd" else 2000
    flat = floats(ours, name, 2, ours.lib.bench_weights(ours.names.index(name)))
    def take(k):
        at[0] += k
        return flat[at[0] - k:at[0]]
    weights, model = list(theirs(kind, take)), Layers(kind)
    with torch.no_grad():
        for p, a in zip(model.parameters(), weights):
            p.copy_(a)
    x = placed(floats(ours, name, 0, n, h, w, c).permute(0, 3, 1, 2), last)
    if last:
        model = model.to(memory_format=torch.channels_last)
    data = Slices(x, floats(ours, name, 1, n).long(), STEPS[name])
    net = HandLayers(kind, weights, last)
    return data, {"torch_hand": (by_hand(net, data, noise), net.forward),
                  "torch_idiom": (idiom(model, data, noise), model)}


# ---- the reader of digits

class HandReader:
    """Gates r, z, m in a row of 96. x w of all eight rows is one product, and so are the gradients by
    the weights."""
    def __init__(self, flat, batch):
        self.flat, self.grad = flat, torch.empty_like(flat)
        self.p, self.g = self.views(self.flat), self.views(self.grad)
        self.a, self.s, self.d, self.e = (torch.empty(8, batch, 96) for _ in range(4))
        self.h = torch.zeros(9, batch, 32)

    @staticmethod
    def views(f):
        w, u, b, o, c = f.split((8 * 96, 32 * 96, 128, 320, 10))
        return w.view(8, 96), u.view(32, 96), b, o.view(32, 10), c

    def forward(self, x):
        w, u, b, o, c = self.p
        self.x = x.view(-1, 8, 8).transpose(0, 1).reshape(-1, 8)
        torch.addmm(b[:96], self.x, w, out=self.a.view(-1, 96))
        for a, s, h, out in zip(self.a, self.s, self.h, self.h[1:]):
            torch.mm(h, u, out=s)
            a[:, :64].add_(s[:, :64]).sigmoid_()
            s[:, 64:].add_(b[96:])
            a[:, 64:].addcmul_(a[:, :32], s[:, 64:]).tanh_()
            torch.lerp(a[:, 64:], h, a[:, 32:64], out=out)
        return torch.addmm(c, self.h[8], o)

    def gradient(self, x, y):
        w, u, b, o, c = self.p
        gw, gu, gb, go, gc = self.g
        g = error_of(self.forward(x), y)
        torch.mm(self.h[8].t(), g, out=go), torch.sum(g, 0, out=gc)
        g = torch.mm(g, o.t())
        for i in range(7, -1, -1):
            (a, s, d, e), h = (t[i] for t in (self.a, self.s, self.d, self.e)), self.h[i]
            r, z, m = a[:, :32], a[:, 32:64], a[:, 64:]
            gz = g * z
            g -= gz
            torch.addcmul(g, g, m * m, value=-1, out=d[:, 64:])
            dz = (h - m).mul_(gz)
            torch.addcmul(dz, dz, z, value=-1, out=d[:, 32:64])
            torch.mul(d[:, 64:], r, out=e[:, 64:])
            dr = e[:, 64:] * s[:, 64:]
            torch.addcmul(dr, dr, r, value=-1, out=d[:, :32])
            e[:, :64].copy_(d[:, :64])
            g = torch.addmm(gz, e, u.t())
        torch.mm(self.x.t(), self.d.view(-1, 96), out=gw)
        torch.mm(self.h[:8].view(-1, 32).t(), self.e.view(-1, 96), out=gu)
        torch.sum(self.d.view(-1, 96), 0, out=gb[:96])
        torch.sum(self.e[:, :, 64:], (0, 1), out=gb[96:])


class Reader(torch.nn.Module):
    def __init__(self, w, u, b, o, c):
        super().__init__()
        self.gru, self.out = torch.nn.GRU(8, 32, batch_first=True), torch.nn.Linear(32, 10)
        ours = (w.t(), u.t(), b[:96], torch.cat((torch.zeros(64), b[96:])), o.t(), c)
        with torch.no_grad():
            for p, a in zip(self.parameters(), ours):
                p.copy_(a)

    def forward(self, x):
        return self.out(self.gru(x.view(-1, 8, 8))[1][0])


def reader(ours, name, last):
    flat = floats(ours, name, 2, ours.lib.bench_weights(ours.names.index(name)))
    data = Slices(floats(ours, name, 0, 2000, 64), floats(ours, name, 1, 2000).long(), STEPS[name])
    net = HandReader(flat, data.b)
    model = Reader(*net.p)
    return data, {"torch_hand": (by_hand(net, data, False), net.forward),
                  "torch_idiom": (idiom(model, data, False), model)}


# ---- a convolution alone

def convolution(ours, name, last):
    wide, what = "3x3x64" in name, name.split("_")[-1]
    n, side, c, k, kernel, pad = (50, 16, 64, 64, 3, 1) if wide else (100, 28, 1, 20, 5, 0)
    out, place = side + 2 * pad - kernel + 1, lambda t, *axes: placed(t.permute(*axes), last)
    x = place(floats(ours, name, 0, n, side, side, c), 0, 3, 1, 2)
    w = place(floats(ours, name, 2, kernel, kernel, c, k), 3, 2, 0, 1)
    g = place(floats(ours, name, 1, n, out, out, k), 0, 3, 1, 2)
    ours.way(name)(1)
    mine = {"y": lambda: floats(ours, name, 1, n, out, out, k).permute(0, 3, 1, 2),
            "gw": lambda: floats(ours, name, 3, kernel, kernel, c, k).permute(3, 2, 0, 1),
            "gx": lambda: floats(ours, name, 4, n, side, side, c).permute(0, 3, 1, 2)}[what]()
    def run():
        with torch.no_grad():
            if what == "y":
                return F.conv2d(x, w, None, padding=pad)
            return ops.convolution_backward(g, x, w, [0], [1, 1], [pad, pad], [1, 1], False, [0, 0], 1,
                                            [what == "gx", what == "gw", False])[what == "gw"]
    off = float((run() - mine).abs().max() / mine.abs().max())
    if not off < 1e-4:
        sys.exit(f"bench: {name}: PyTorch is off by {off:.3g} of the largest")
    return None, {"torch": (run, None)}


# ---- for bench.py

def kind_of(name):
    return convolution if name.startswith("conv_") else reader if name == "gru_digits" else layers


def check(ours, name):
    """A step of SGD from our weights on our first batch, whatever the layout: the loss of that batch
    must become ours."""
    i, rows = ours.names.index(name), STEPS[name]
    got = []
    for last in (False, True):
        data, ways = kind_of(name)(ours, name, last)
        for k, (step, net) in ways.items():
            data.i = 0
            step()
            with torch.no_grad():
                got.append((k, float(F.cross_entropy(net(data.x[:rows]), data.y[:rows]))))
    before = ours.lib.bench_loss(i, rows)
    ours.way(name)(1)
    mine = ours.lib.bench_loss(i, rows)
    for k, loss in got:
        if not abs(loss - mine) < min(1e-4 * mine, 0.01 * abs(before - mine)):
            sys.exit(f"bench: {name}: the loss goes from {before:.6f} to {mine:.6f}, that of {k} to {loss:.6f}")


def ways(ours, name, median_times, repeat):
    """Its ways, each at its best setting, and what that is"""
    best, make = {}, kind_of(name)
    for dnn in (True, False):
        for last in (False, True) if make is not reader else (False,):
            with torch.backends.mkldnn.flags(enabled=dnn):
                made = {k: step for k, (step, _) in make(ours, name, last)[1].items()}
                t = median_times({k: repeat(f) for k, f in made.items()}, rounds=5)
            for k, f in made.items():
                if k not in best or t[k] < best[k][0]:
                    best[k] = (t[k], dnn, last, f)
    def at(dnn, f):
        def run(times):
            with torch.backends.mkldnn.flags(enabled=dnn):
                repeat(f)(times)
        return run
    return ({k: at(dnn, f) for k, (_, dnn, _, f) in best.items()},
            {k: f"layout={'last' if last else 'first'} onednn={int(dnn)} "
             for k, (_, dnn, last, _) in best.items()})


def memory(ours, name):
    i, f = ours.names.index(name), ours.lib.bench_memory
    if name in STEPS:
        print(f"RESULT memory name={name} batch={STEPS[name]} step={f(i, 0)} weights={f(i, 1)} "
              f"scratch={f(i, 2)}", flush=True)
    else:
        print(f"RESULT memory name={name} scratch={f(i, 2)}", flush=True)
