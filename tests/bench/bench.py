"""Our workloads in turn with PyTorch, NumPy and OpenBLAS: A B C A B C ..., medians, microseconds: of
processor time with one thread, as others may use the core; else by the wall.
    bench.py LIBRARY [name ...]         one thread: ours beside the peers
    bench.py --avx2 LIBRARY [name ...]  the same on a machine that has AVX2 and no more (RESULT avx2)
    bench.py LIBRARY1 LIBRARY2          our one thread beside our two (OpenMP)
LIBRARY is tests/bench/bench.c as a shared object. The peers are the distribution's packages; one that
is not there is left out. "hand" is PyTorch with the backward pass written out over flat buffers,
"idiom" is what tutorials show."""
import ctypes, ctypes.util, math, os, sys, time

AVX2 = sys.argv[1] == "--avx2"
if AVX2:  # read by the peers when they are loaded
    del sys.argv[1]
    os.environ.update(OPENBLAS_CORETYPE="Haswell", ATEN_CPU_CAPABILITY="avx2", DNNL_MAX_CPU_ISA="AVX2",
                      NPY_DISABLE_CPU_FEATURES="AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL")

try:
    import numpy as np
except ImportError:
    np = None
try:
    import torch
    import torch.nn.functional as F
    torch.manual_seed(1)
    import images
except ImportError:
    torch = None

NTRAIN, EPS, LAM = 60000, 4e-6, 1.0


class Ours:
    def __init__(self, path):
        self.lib = ctypes.CDLL(os.path.abspath(path))
        self.lib.bench_name.restype = self.lib.bench_run.restype = ctypes.c_char_p
        self.lib.bench_run.argtypes = [ctypes.c_int, ctypes.c_long]
        for f in (self.lib.bench_peak, self.lib.bench_flops, self.lib.bench_off):
            f.restype = ctypes.c_double
        self.lib.bench_floats.restype = ctypes.POINTER(ctypes.c_float)
        self.lib.bench_loss.restype = ctypes.c_double
        self.lib.bench_weights.restype = self.lib.bench_memory.restype = ctypes.c_size_t
        if AVX2:
            self.lib.bench_level(8)
        self.names = [self.lib.bench_name(i).decode() for i in range(self.lib.bench_count())]

    def way(self, name):
        i = self.names.index(name)
        def run(times):
            error = self.lib.bench_run(i, times)
            if error:
                sys.exit(f"bench: {name}: {error.decode()}")
        return run


def repeat(f):
    def run(times):
        for _ in range(times):
            f()
    return run


def median_times(ways, seconds=0.05, rounds=15, clock=time.process_time):
    """name -> microseconds of one call, the ways taken in turn."""
    counts, got = {}, {k: [] for k in ways}
    for k, run in ways.items():
        run(1)
        t = clock(); run(1); t = clock() - t
        if t < 0.01:
            n = max(1, int(0.01 / max(t, 1e-7)))
            t = clock(); run(n); t = (clock() - t) / n
        counts[k] = max(1, int(seconds / max(t, 1e-8)))
        if t > 1:
            rounds = 3
    for _ in range(rounds):
        for k, run in ways.items():
            t = clock(); run(counts[k]); t = clock() - t
            got[k].append(1e6 * t / counts[k])
    return {k: sorted(v)[len(v) // 2] for k, v in got.items()}


# ---- peers ----------------------------------------------------------------------------------------

def blas():
    path = ctypes.util.find_library("openblas")
    return ctypes.CDLL(path) if path else None


def kernel(lib):
    """The name of the kernels that OpenBLAS chose."""
    lib.openblas_get_corename.restype = ctypes.c_char_p
    return lib.openblas_get_corename().decode()


def gemm_peer(ours, lib, name):
    """OpenBLAS at the same matrices, called from the same loop in C. Its result must be ours."""
    i, address = ours.names.index(name), ctypes.cast(lib.cblas_sgemm, ctypes.c_void_p)
    off = ours.lib.bench_off(address, i)
    if not off < 1:
        sys.exit(f"bench: {name}: OpenBLAS is off by {off:.3g} of what rounding explains")
    return lambda times: ours.lib.bench_blas(address, i, ctypes.c_long(times))


class Flat:
    """An MLP whose parameters and gradients are views into one buffer each."""
    def __init__(self, sizes):
        self.sizes, self.n = sizes, sum(a * b + b for a, b in zip(sizes, sizes[1:]))
        self.w, self.g, self.t, self.gt, o = torch.empty(self.n), torch.zeros(self.n), [], [], 0
        for a, b in zip(sizes, sizes[1:]):
            for shape in ((b, a), (b,)):
                k = math.prod(shape)
                self.t.append(self.w[o:o + k].view(shape)); self.gt.append(self.g[o:o + k].view(shape))
                o += k
            self.t[-2].normal_(0, 1 / math.sqrt(a)); self.t[-1].zero_()


class Hand:
    """Forward and backward written out into buffers: relu or tanh; cross-entropy or squares."""
    def __init__(self, net, batch, tanh=False):
        self.net, self.b, self.tanh = net, batch, tanh
        self.h = [torch.empty(batch, k) for k in net.sizes[1:]]
        self.d = [torch.empty(batch, k) for k in net.sizes[1:]]
        self.rows = torch.arange(batch)

    def forward(self, x):
        t, n = self.net.t, len(self.net.t) // 2
        for i in range(n):
            torch.addmm(t[2 * i + 1], x, t[2 * i].t(), out=self.h[i])
            if i < n - 1:
                self.h[i].tanh_() if self.tanh else self.h[i].relu_()
            x = self.h[i]
        return x

    def gradient(self, x, y):
        t, g, h, d = self.net.t, self.net.gt, self.h, self.d
        o = self.forward(x)
        if o.shape[1] == 1:
            torch.sub(o, y, out=d[-1])
        else:
            torch.softmax(o, 1, out=d[-1])
            if y.dim() == 1:
                d[-1][self.rows, y] -= 1
            else:
                d[-1].sub_(y)
        d[-1].mul_(1 / self.b)
        for i in range(len(t) // 2 - 1, -1, -1):
            inp = h[i - 1] if i else x
            torch.mm(d[i].t(), inp, out=g[2 * i]); torch.sum(d[i], 0, out=g[2 * i + 1])
            if i:
                torch.mm(d[i], t[2 * i], out=d[i - 1])
                if self.tanh:
                    d[i - 1].addcmul_(d[i - 1], h[i - 1].square_(), value=-1)
                else:
                    d[i - 1].mul_(h[i - 1] > 0)


def check_steps(ours):
    """A step of SGD by hand from our weights on our batch: it must end where ours does."""
    sizes, i, net = (784, 400, 400, 10), ours.names.index("sgd_400"), Flat((784, 400, 400, 10))
    floats = lambda which, *shape: torch.from_numpy(np.ctypeslib.as_array(
        ours.lib.bench_floats(i, which), (math.prod(shape),)).copy()).view(*shape)
    def load(w, at=0):
        for a, b, t, bias in zip(sizes, sizes[1:], net.t[::2], net.t[1::2]):
            yield t, w[at:at + a * b].view(a, b).t()
            yield bias, w[at + a * b:at + a * b + b]
            at += a * b + b
    start = floats(2, net.n)
    for to, part in load(start):
        to.copy_(part)
    Hand(net, 100).gradient(floats(0, 10000, 784)[:100], floats(1, 10000)[:100].long())
    ours.way("sgd_400")(1)
    moved, off = floats(2, net.n) - start, 0
    if moved.abs().max() == 0:
        sys.exit("bench: our step moved nothing")
    for g, (_, part) in zip(net.gt, load(moved)):
        off = max(off, float((part + 1e-3 * g).abs().max() / moved.abs().max()))
    if not off < 1e-3:
        sys.exit(f"bench: the step of torch_hand is off by {off:.3g}")


class Batches:
    def __init__(self, d, batch, classes):
        self.x = torch.rand(10000, d)
        self.y = torch.randint(classes, (10000,)) if classes else torch.randn(10000, 1)
        self.b, self.i = batch, 0

    def next(self):
        self.i = 0 if self.i + self.b > 10000 else self.i
        s = slice(self.i, self.i + self.b); self.i += self.b
        return self.x[s], self.y[s]


def modules(sizes, tanh=False):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.Tanh() if tanh else torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def langevin_idiom(net):
    with torch.no_grad():
        for w in net.parameters():
            w.add_(-EPS / 2 * (NTRAIN * w.grad + LAM * w) + math.sqrt(EPS) * torch.randn_like(w))


def steps(sizes, batch, classes, noise, tanh=False):
    """hand and idiom for SGD or SGLD steps"""
    data, net = Batches(sizes[0], batch, classes), Flat(sizes)
    hand, z = Hand(net, batch, tanh), torch.empty(net.n)
    def by_hand():
        hand.gradient(*data.next())
        if noise:
            z.normal_(0, math.sqrt(EPS))
            net.w.mul_(1 - EPS * LAM / 2).add_(net.g, alpha=-EPS * NTRAIN / 2).add_(z)
        else:
            net.w.add_(net.g, alpha=-1e-3)
    model = modules(sizes, tanh)
    sgd = torch.optim.SGD(model.parameters(), 1e-3)
    loss = F.cross_entropy if classes else (lambda o, y: 0.5 * F.mse_loss(o, y))
    def idiom():
        x, y = data.next()
        model.zero_grad()
        loss(model(x), y).backward()
        langevin_idiom(model) if noise else sgd.step()
    return {"torch_hand": repeat(by_hand), "torch_idiom": repeat(idiom)}


def sgd_flat(n):
    return lambda w, g: w.add_(g, alpha=-1e-3)


def adam_flat(n, lr=1e-4):
    m, v, t, k = torch.zeros(n), torch.zeros(n), torch.empty(n), [0]
    def step(w, g):
        k[0] += 1
        m.mul_(0.9).add_(g, alpha=0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        torch.sqrt(v, out=t)
        t.mul_(1 / math.sqrt(1 - 0.999 ** k[0])).add_(1e-8)
        w.addcdiv_(m, t, value=-lr / (1 - 0.9 ** k[0]))
    return step


class BBBLinear(torch.nn.Module if torch else object):
    """As people write it: a module with mu and rho, the KL by autograd."""
    def __init__(self, a, b):
        super().__init__()
        P = torch.nn.Parameter
        self.wm, self.wr = P(torch.randn(b, a) / math.sqrt(a)), P(torch.full((b, a), -3.0))
        self.bm, self.br = P(torch.zeros(b)), P(torch.full((b,), -3.0))

    def forward(self, x, s0=0.1):
        sw, sb = F.softplus(self.wr), F.softplus(self.br)
        w, b = self.wm + sw * torch.randn_like(sw), self.bm + sb * torch.randn_like(sb)
        kl = 0.0
        for m, s in ((self.wm, sw), (self.bm, sb)):
            kl = kl + (math.log(s0) - torch.log(s) + (s * s + m * m) / (2 * s0 * s0) - 0.5).sum()
        return F.linear(x, w, b), kl


def bayes_by_backprop(sizes, batch, classes, adam):
    """hand: mu and rho in one flat buffer, every pass written out into buffers"""
    data, net = Batches(sizes[0], batch, classes), Flat(sizes)
    hand, n, k, is2 = Hand(net, batch), net.n, 1 / NTRAIN, 100.0
    w, g = torch.empty(2 * n), torch.empty(2 * n)
    mu, rho, gmu, grho = w[:n], w[n:], g[:n], g[n:]
    mu.copy_(net.w); rho.fill_(-3.0)
    eps, sig, tmp = torch.empty(n), torch.empty(n), torch.empty(n)
    move = adam_flat(2 * n) if adam else sgd_flat(2 * n)
    def by_hand():
        eps.normal_()
        torch._C._nn.softplus(rho, out=sig)
        torch.addcmul(mu, sig, eps, out=net.w)
        hand.gradient(*data.next())
        torch.add(net.g, mu, alpha=k * is2, out=gmu)
        torch.reciprocal(sig, out=tmp)
        torch.mul(net.g, eps, out=grho)
        grho.add_(sig, alpha=k * is2).sub_(tmp, alpha=k)
        torch.sigmoid(rho, out=tmp)
        grho.mul_(tmp)
        move(w, g)
    layers = torch.nn.ModuleList(BBBLinear(a, b) for a, b in zip(sizes, sizes[1:]))
    opt = torch.optim.Adam(layers.parameters(), 1e-4) if adam else torch.optim.SGD(layers.parameters(), 1e-3)
    loss = F.cross_entropy if classes else (lambda o, y: 0.5 * F.mse_loss(o, y))
    def idiom():
        x, y = data.next()
        opt.zero_grad(set_to_none=True)
        kl = 0.0
        for i, layer in enumerate(layers):
            x, one = layer(x); kl = kl + one
            if i < len(layers) - 1:
                x = torch.relu(x)
        (loss(x, y) + kl / NTRAIN).backward()
        opt.step()
    return {"torch_hand": repeat(by_hand), "torch_idiom": repeat(idiom)}


def dark_knowledge():
    sizes, data = (784, 400, 400, 10), Batches(784, 100, 10)
    T, S = Flat(sizes), Flat(sizes)
    th, sh, z = Hand(T, 100), Hand(S, 100), torch.empty(T.n)
    xn, q = torch.empty(100, 784), torch.empty(100, 10)
    def by_hand():
        th.gradient(*data.next())
        z.normal_(0, math.sqrt(EPS))
        T.w.mul_(1 - EPS * LAM / 2).add_(T.g, alpha=-EPS * NTRAIN / 2).add_(z)
        xn.normal_(0, 0.05).add_(data.next()[0])
        torch.softmax(th.forward(xn), 1, out=q)
        sh.gradient(xn, q)
        S.w.mul_(1 - 1e-6).add_(S.g, alpha=-1e-3)
    MT, MS = modules(sizes), modules(sizes)
    sgd = torch.optim.SGD(MS.parameters(), 1e-3, weight_decay=1e-3)
    def idiom():
        x, y = data.next()
        MT.zero_grad(); F.cross_entropy(MT(x), y).backward(); langevin_idiom(MT)
        with torch.no_grad():
            x = data.next()[0]; x = x + 0.05 * torch.randn_like(x)
            p = F.softmax(MT(x), 1)
        sgd.zero_grad(); (-(p * F.log_softmax(MS(x), 1)).sum(1).mean()).backward(); sgd.step()
    return {"torch_hand": repeat(by_hand), "torch_idiom": repeat(idiom)}


def predictive():
    sizes, x = (784, 400, 400, 10), torch.rand(10000, 784)
    nets = [Flat(sizes) for _ in range(100)]
    acc = torch.zeros(10000, 10)
    def run(chunk=1000):
        with torch.no_grad():
            acc.zero_()
            for i in range(0, 10000, chunk):
                for net in nets:
                    h = x[i:i + chunk]
                    for j in (0, 2, 4):
                        h = F.linear(h, net.t[j], net.t[j + 1])
                        if j < 4:
                            h = h.relu_()
                    acc[i:i + chunk] += torch.softmax(h, 1)
            acc.div_(100)
    return {"torch_chunks": repeat(run)}


def randoms(kind):
    n, ways = 1 << 20, {}
    if np is not None:
        gen, a = np.random.Generator(np.random.SFC64(1)), np.empty(n, np.float32)
        if kind == "rng_normal":
            ways["numpy_sfc64"] = repeat(lambda: gen.standard_normal(out=a, dtype=np.float32))
        if kind == "rng_gamma":
            ways["numpy_sfc64"] = repeat(lambda: gen.standard_gamma(0.7, out=a, dtype=np.float32))
    if torch is not None:
        z = torch.empty(n)
        if kind == "rng_normal":
            ways["torch"] = repeat(lambda: z.normal_())
        if kind == "rng_gamma":
            shape = torch.full((n,), 0.7)
            ways["torch"] = repeat(lambda: torch._standard_gamma(shape))
        if kind == "rng_gumbel":
            ways["torch"] = repeat(lambda: z.exponential_().log_().neg_())
    return ways


def gumbel_softmax():
    logits = torch.zeros(1000000, 4)
    return {"torch": repeat(lambda: F.gumbel_softmax(logits, tau=0.5))}


def peers(ours, name):
    if name.startswith("gemm_"):
        lib = blas()
        return {"openblas": gemm_peer(ours, lib, name)} if lib else {}
    if name.startswith("rng_"):
        return randoms(name)
    if torch is None:
        return {}
    mnist = (784, 400, 400, 10)
    make = {"sgd_400": lambda: steps(mnist, 100, 10, False), "sgld_400": lambda: steps(mnist, 100, 10, True),
            "bdk_400": dark_knowledge, "predict_100x10000": predictive,
            "sgld_1_50_1": lambda: steps((1, 50, 1), 32, None, True, True),
            "gumbel_softmax": gumbel_softmax,
            "bbb_13_50_1": lambda: bayes_by_backprop((13, 50, 1), 32, None, True)}
    for units in (400, 1200):
        for adam in (False, True):
            make[f"bbb_{units}_{'adam' if adam else 'sgd'}"] = (
                lambda u=units, a=adam: bayes_by_backprop((784, u, u, 10), 128, 10, a))
    return make[name]() if name in make else {}


# Zeros change nothing for the peers: beside ours on them, our own step without any
DENSE = {"sgld_mnist": "sgld_400", "bbb_mnist": "bbb_400_sgd", "predict_mnist": "predict_100x10000",
         "bow": "bow_dense"}
TABLE = "avx2" if AVX2 else "bench"


def show(name, threads, mine, other, peer, more=""):
    print(f"RESULT {TABLE} name={name} threads={threads} ours={mine:.2f} peer={other} peer_us={peer:.2f} "
          f"{more}ratio={peer / mine:.2f}", flush=True)


def versions(ours):
    """What is compared: lanes and peak of this core, and the kernels that the peers chose."""
    lib, said = blas(), f"lanes={ours.lib.bench_level(0)} peak_gflops={ours.lib.bench_peak():.1f}"
    if lib:
        lib.openblas_get_config.restype = ctypes.c_char_p
        said += f" openblas={lib.openblas_get_config().decode().split()[1]} kernel={kernel(lib)}"
    if np is not None:
        said += f" numpy={np.__version__}"
    if torch is not None:
        find = lambda text, key: [s.split(key)[1].strip() for s in text.splitlines() if key in s] or ["?"]
        info = torch.__config__.parallel_info()
        used = find(torch.__config__.show(), "CPU capability usage:")[0]
        said += (f" torch={torch.__version__} capability={used}"
                 f" torch_threads={find(info, 'at::get_num_threads() :')[0]}"
                 f" torch_backend={find(info, 'ATen parallel backend:')[0]}")
    print(f"RESULT versions table={TABLE} {said}", flush=True)


def main():
    ours = Ours(sys.argv[1])
    if len(sys.argv) == 3 and sys.argv[2].endswith(".so"):
        two = Ours(sys.argv[2])
        for name in ("sgd_400", "sgld_400", "bdk_400", "bbb_400_sgd", "bbb_1200_sgd", "gemm_nn_128x1200x1200"):
            t = median_times({"two": two.way(name), "one": ours.way(name)}, clock=time.perf_counter)
            show(name + "_t2", 2, t["two"], "ours_t1", t["one"])
        return
    if torch is not None:
        torch.set_num_threads(1)  # of OpenMP in this process, so not when ours has two
        check_steps(ours)
        for name in ("lenet_sgd", "vgg_sgd", "gru_digits"):
            if name in (sys.argv[2:] or ours.names):
                images.check(ours, name)
    versions(ours)
    lib = blas()
    for name in sys.argv[2:] or ours.names:
        dense = DENSE.get(name)
        more, ways, settings = "", peers(ours, dense or name), {}
        picture = torch is not None and (name in images.STEPS or name.startswith("conv_"))
        if picture:
            ways, settings = images.ways(ours, name, median_times, repeat)
        if dense:
            ways["ours_dense"] = ours.way(dense)
        t = median_times({"ours": ours.way(name), **ways})
        mine = t.pop("ours")
        for other, us in t.items():
            if other == "openblas":
                flops, peak = ours.lib.bench_flops(ours.names.index(name)), ours.lib.bench_peak()
                more = (f"kernel={kernel(lib)} gflops={1e-3 * flops / mine:.1f} "
                        f"peer_gflops={1e-3 * flops / us:.1f} of_peak={1e-3 * flops / mine / peak:.2f} ")
            show(name, 1, mine, other, us, more + settings.get(other, ""))
        if not t:
            print(f"RESULT {TABLE} name={name} threads=1 ours={mine:.2f} peer=none", flush=True)
        if picture:
            images.memory(ours, name)


main()
