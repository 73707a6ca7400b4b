# Ten steps of PyTorch's optimizers on a fixed gradient sequence, in double. With Debian's
# python3-torch:
#     /usr/bin/python3 tests/oracles/torch_steppers.py > tests/oracles/torch_steppers.inc
import math

import torch

STEPS, N = 10, 5
start = [0.5, -1.25, 2.0, -0.03125, 0.75]
grads = [[math.sin(1.7 * (t + 1) * (i + 1)) * 2.0 ** (i - 2) for i in range(N)]
         for t in range(STEPS)]
grads = [[round(g * 1024) / 1024 for g in row] for row in grads]  # exact in float
grads[3][1] = 0.0

O = torch.optim
LR, WD = 0.03125, 0.0625
BETAS, FAST = (0.875, 0.96875), (0.875, 0.75)
runs = [
    ("SGD", lambda p: O.SGD(p, lr=0.125)),
    ("SGD_DECAY", lambda p: O.SGD(p, lr=0.125, weight_decay=WD)),
    ("MOMENTUM", lambda p: O.SGD(p, lr=0.125, momentum=0.875)),
    ("DAMPENING", lambda p: O.SGD(p, lr=0.125, momentum=0.875, dampening=0.25, weight_decay=WD)),
    ("NESTEROV", lambda p: O.SGD(p, lr=0.125, momentum=0.875, nesterov=True)),
    ("ADAM", lambda p: O.Adam(p, lr=LR, betas=BETAS, eps=1e-6)),
    ("ADAM_L2", lambda p: O.Adam(p, lr=LR, betas=BETAS, eps=1e-6, weight_decay=WD)),
    ("ADAMW", lambda p: O.AdamW(p, lr=LR, betas=BETAS, eps=1e-6, weight_decay=WD)),
    ("AMSGRAD", lambda p: O.Adam(p, lr=LR, betas=FAST, eps=1e-6, weight_decay=0, amsgrad=True)),
    ("AMSGRADW", lambda p: O.AdamW(p, lr=LR, betas=FAST, eps=1e-6, weight_decay=WD, amsgrad=True)),
    ("RMSPROP", lambda p: O.RMSprop(p, lr=LR, alpha=0.96875, eps=1e-6, weight_decay=WD)),
    ("CENTERED", lambda p: O.RMSprop(p, lr=LR, alpha=0.875, eps=0.0625, centered=True)),
    ("RMSMOMENTUM", lambda p: O.RMSprop(p, lr=LR, alpha=0.96875, eps=1e-6, momentum=0.5)),
    ("RMSALL", lambda p: O.RMSprop(p, lr=LR, alpha=0.875, eps=0.0625, centered=True, momentum=0.5,
                                   weight_decay=WD)),
    ("ADAGRAD", lambda p: O.Adagrad(p, lr=0.125, eps=1e-6, lr_decay=0.25, weight_decay=WD)),
    ("ADADELTA", lambda p: O.Adadelta(p, lr=1.0, rho=0.9375, eps=1e-3, weight_decay=WD)),
]


def row(values):
    return "{ " + ", ".join("%.17g" % v for v in values) + " }"


print("/* by torch_steppers.py, torch %s */" % torch.__version__)
print("enum {")
for name, _ in runs:
    print("    TORCH_%s," % name)
print("    TORCH_RUNS\n};")
print("enum { TORCH_STEPS = %d, TORCH_N = %d };" % (STEPS, N))
print("static const double torch_start[TORCH_N] = %s;" % row(start))
print("static const double torch_grads[TORCH_STEPS][TORCH_N] = {")
for g in grads:
    print("    %s," % row(g))
print("};")
print("static const double torch_after[TORCH_RUNS][TORCH_STEPS][TORCH_N] = {")
for name, make in runs:
    p = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    opt = make([p])
    print("    { /* %s */" % name)
    for g in grads:
        p.grad = torch.tensor(g, dtype=torch.float64)
        opt.step()
        v = p.detach().tolist()
        print("        { %s,\n          %s }," % (", ".join("%.17g" % x for x in v[:3]),
                                                 ", ".join("%.17g" % x for x in v[3:])))
    print("    },")
print("};")
