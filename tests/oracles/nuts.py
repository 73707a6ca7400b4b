# nuts.py -- a slow, obvious no-U-turn sampler, and what it does with frozen randomness.
#     python3 tests/oracles/nuts.py > tests/oracles/nuts.inc
# The recursion as it is printed in Betancourt 2017 (appendix A) and in Stan's base_nuts: a tree is
# two trees, whole lists of states are kept, sums are taken anew. Uniforms are those of bnn_rng_seed
# (Philox4x32-10); momenta are in the table. A case whose outcome hangs on less than 1e-3 of a
# comparison is left out, since the table is also compared with a build in float.
import math, random

class Philox:
    def __init__(self, seed):
        self.key, self.block, self.left = (seed & 0xffffffff, seed >> 32), 0, []
    def word(self):
        if not self.left:
            c = [self.block & 0xffffffff, self.block >> 32, 0, 0]
            k = list(self.key)
            for _ in range(10):
                p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [(q >> 32) ^ c[1] ^ k[0], q & 0xffffffff,
                     (p >> 32) ^ c[3] ^ k[1], p & 0xffffffff]
                k = [(k[0] + 0x9E3779B9) & 0xffffffff, (k[1] + 0xBB67AE85) & 0xffffffff]
            self.left, self.block = c, self.block + 1
        return self.left.pop(0)
    def uniform(self):
        high = self.word()                     # 52 bits and a half
        return (((high << 32 | self.word()) >> 12) + 0.5) / 2.0 ** 52

A = [[2.0, 0.9, 0.0], [0.9, 1.0, 0.3], [0.0, 0.3, 5.0]]     # precision; and 0.05 |x|^4
def energy(x):
    r2 = sum(v * v for v in x)
    return 0.5 * sum(x[i] * A[i][j] * x[j] for i in range(3) for j in range(3)) + 0.05 * r2 * r2
def slope(x):
    r2 = sum(v * v for v in x)
    return [sum(A[i][j] * x[j] for j in range(3)) + 0.2 * r2 * x[i] for i in range(3)]

class Run:
    def __init__(self, seed, step, mass_inv, max_depth):
        self.rng, self.e, self.m, self.max_depth = Philox(seed), step, mass_inv, max_depth
        self.margin, self.leaps, self.sum, self.diverged = 1, 0, 0, 0
    def H(self, s): return energy(s[0]) + 0.5 * sum(m * p * p for m, p in zip(self.m, s[1]))
    def leap(self, s, e):
        x, p = list(s[0]), list(s[1])
        p = [a - e / 2 * g for a, g in zip(p, slope(x))]
        x = [a + e * m * b for a, m, b in zip(x, self.m, p)]
        p = [a - e / 2 * g for a, g in zip(p, slope(x))]
        return (x, p)
    def less(self, a, b):
        self.margin = min(self.margin, abs(a - b))
        return a < b
    def turns(self, states, first, last):      # between two of them, in order of time
        rho = [sum(s[1][i] for s in states) for i in range(3)]
        d = [sum(m * a * b for m, a, b in zip(self.m, s[1], rho)) for s in (first, last)]
        size = sum(m * b * b for m, b in zip(self.m, rho))
        self.margin = min([self.margin] + [abs(v) / size for v in d])
        return d[0] <= 0 or d[1] <= 0
    def both_turn(self, a, b):                 # lists of states, neighbors in time, walked a first
        t = [self.turns(a + b, a[0], b[-1]), self.turns(a + b[:1], a[0], b[0]),
             self.turns(a[-1:] + b, a[-1], b[-1])]
        return any(t)
    def weight(self, states): # ln of the sum
        w = [self.h0 - self.H(s) for s in states]
        return max(w) + math.log(sum(math.exp(v - max(w)) for v in w))
    def tree(self, depth, start, e):           # (states in order of walking, draw) or None
        if depth == 0:
            s = self.leap(start, e)
            self.leaps += 1
            dh = self.H(s) - self.h0
            if dh > 1000:
                self.diverged = 1
                return None
            self.sum += min(1, math.exp(-dh))
            return [s], s
        a = self.tree(depth - 1, start, e)
        if a is None: return None
        b = self.tree(depth - 1, a[0][-1], e)
        if b is None: return None
        p = math.exp(self.weight(b[0]) - self.weight(a[0] + b[0]))
        draw = b[1] if self.less(self.rng.uniform(), p) else a[1]
        if self.both_turn(a[0], b[0]): return None
        return a[0] + b[0], draw
    def transition(self, x, p):
        path, depth = [(x, p)], 0              # in order of time
        self.h0 = self.H(path[0])
        draw = path[0]
        while depth < self.max_depth:
            forward = self.rng.uniform() > 0.5
            new = self.tree(depth, path[-1] if forward else path[0], self.e if forward else -self.e)
            if new is None: break
            depth += 1
            w = self.weight(new[0]) - self.weight(path)
            if w > 0 or self.less(self.rng.uniform(), math.exp(w)): draw = new[1]
            self.margin = min(self.margin, abs(w) if w > -1e-3 else 1)
            old = path if forward else path[::-1]
            path = path + new[0] if forward else new[0][::-1] + path
            if self.both_turn(old, new[0]): break
        return draw, depth

def main():
    rnd, kept, seed = random.Random(5), 0, 0
    print('/* seed, max_depth, step, mass_inv[3], x[3], p[3]; draw[3], its H, mean acceptance,\n'
          ' * steps, depth, diverged. Made by nuts.py. */')
    while kept < 60:
        seed += 1
        step = 2.0 ** rnd.randint(-6, -1) if kept % 12 else 40.0
        mass = [2.0 ** rnd.randint(-2, 2) for _ in range(3)]
        x, p = ([rnd.randint(-512, 512) / 256 for _ in range(3)] for _ in range(2))
        top = 10 if kept % 4 else 3
        r = Run(seed, step, mass, top)
        draw, depth = r.transition(x, p)
        if r.margin < 1e-3: continue
        kept += 1
        row = [seed, top, step] + mass + x + p + draw[0]
        row += [r.H(draw), r.sum / r.leaps, r.leaps, depth, r.diverged]
        text = ['%.15g' % v for v in row]
        print('{ ' + ', '.join(text[:9]) + ',\n  ' + ', '.join(text[9:14]) +
              ',\n  ' + ', '.join(text[14:]) + ' },')
main()
