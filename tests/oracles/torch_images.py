#!/usr/bin/env python3
# Convolutions, pools, norms, a GRU and an LSTM by PyTorch in float64, as C tables for test_images.c
# and test_sequences.c, in the layouts of bnn.h: channels last, kernels (row, column, channel) by k.
#     python3 tests/oracles/torch_images.py > tests/oracles/torch_images.inc
# For each: inputs, result, and the gradients of <g, result>; all inputs are exact in float.
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)


def exact(*shape, scale=1.0):
    return ((torch.randn(*shape) * scale * 64).round() / 64).requires_grad_()


def table(name, values):
    numbers = [float(v).hex() for v in values.detach().reshape(-1)]
    lines = [", ".join(numbers[i:i + 4]) for i in range(0, len(numbers), 4)]
    print("static const double %s[] = {\n    %s\n};" % (name, ",\n    ".join(lines)))


def last(x):
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def finish(name, out, inputs):
    """inputs: (suffix, leaf, layout)"""
    g = exact(*out.shape)
    out.backward(g.detach())
    print("/* %s, torch %s */" % (name, torch.__version__))
    table(name + "_out", last(out))
    table(name + "_g", last(g))
    for suffix, leaf, layout in inputs:
        table("%s_%s" % (name, suffix), layout(leaf))
        table("%s_g%s" % (name, suffix), layout(leaf.grad))


def kernel(w):                      # (k, c, h, w) -> (h w c, k)
    return w.permute(2, 3, 1, 0).reshape(-1, w.shape[0])


def kernel_t(w):                    # (c, k, h, w) -> (c, h w k)
    return w.permute(0, 2, 3, 1).reshape(w.shape[0], -1)


def same(x):
    return x


def conv(name, n, h, w, c, k, kh, kw, stride, pad):
    x, f, b = exact(n, c, h, w), exact(k, c, kh, kw, scale=0.5), exact(k)
    out = F.conv2d(x, f, b, stride=stride, padding=pad)
    finish(name, out, [("x", x, last), ("w", f, kernel), ("b", b, same)])


def conv_t(name, n, h, w, c, k, size, stride, pad):
    x, f, b = exact(n, c, h, w), exact(c, k, size, size, scale=0.5), exact(k)
    out = F.conv_transpose2d(x, f, b, stride=stride, padding=pad)
    finish(name, out, [("x", x, last), ("w", f, kernel_t), ("b", b, same)])


conv("conv_a", 2, 5, 6, 3, 4, 3, 3, 1, 0)
conv("conv_b", 2, 7, 5, 2, 3, 3, 2, 2, 1)
conv("conv_same", 1, 5, 4, 2, 2, 3, 4, 1, "same")
conv_t("conv_t", 2, 3, 4, 3, 2, 4, 2, 1)
x = exact(2, 3, 7, 6)
finish("max_pool", F.max_pool2d(x, 3, stride=2, padding=1), [("x", x, last)])
x = exact(2, 3, 7, 6)
finish("avg_pool", F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False), [("x", x, last)])
x, a, b = exact(2, 6, 3, 2), exact(6), exact(6)
finish("norm", F.group_norm(x, 3, a, b), [("x", x, last), ("a", a, same), ("b", b, same)])


def cell(name, kind, gates):
    n, d, k = 3, 4, 5
    m = kind(d, k)
    h, c, x = exact(n, k), exact(n, k), exact(n, d)
    for p in m.parameters():
        p.data = exact(*p.shape, scale=0.5).detach()
    if gates == 3:                  # two of its three second biases are redundant
        m.bias_hh.data[:2 * k] = 0
        out = m(x, h)
        bias = lambda g: torch.cat([g(m.bias_ih), g(m.bias_hh)[2 * k:]])
    else:
        m.bias_hh.data[:] = 0
        out = torch.cat(m(x, (h, c)), 1)
        bias = lambda g: g(m.bias_ih)
    finish(name, out, [("x", x, same), ("h", h, same)] + ([("c", c, same)] if gates == 4 else []) +
           [("w", m.weight_ih, torch.t), ("u", m.weight_hh, torch.t)])
    table(name + "_b", bias(lambda p: p))
    table(name + "_gb", bias(lambda p: p.grad))


cell("gru", torch.nn.GRUCell, 3)
cell("lstm", torch.nn.LSTMCell, 4)
