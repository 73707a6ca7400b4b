#!/usr/bin/env python3
"""Files of NumPy and of safetensors for test_npy.c, and NumPy's view of what test_npy.c writes.

    python3 tests/oracles/npy.py make          writes tests/files/npy/      (needs numpy)
    python3 tests/oracles/npy.py torch         writes tests/files/npy/mlp.safetensors and prints what the
                                               net answers (needs torch; the same bytes each time)
    python3 tests/oracles/npy.py layers        the same of layers.safetensors: Conv2d, GRU, LSTM
    python3 tests/oracles/npy.py check FILE    reads an .npz of test_npy.c (build, then NPY_KEEP=FILE
                                               ./test_npy) and compares it with the formula there

Item i of an array, counted in C order, is i - 3 for signed types, i for unsigned ones, i % 3 != 0 for
bool and (i - 3) / 8 for floats: exact in all of them.
"""
import json
import os
import struct
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'files', 'npy')


def items(kind, count):
    import numpy as np
    i = np.arange(count)
    return {'b': i % 3 != 0, 'u': i, 'i': i - 3, 'f': (i - 3) / 8}[kind]


def make():
    import numpy as np
    os.makedirs(HERE, exist_ok=True)
    arrays = {}
    for order, name in (('<', 'little'), ('>', 'big')):
        for t in ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1'):
            a = items(t[0], 24).reshape(2, 3, 4).astype(order + t)
            arrays[name + '_c_' + t] = a
            arrays[name + '_f_' + t] = np.asfortranarray(a)
    np.savez(os.path.join(HERE, 'types.npz'), **arrays)
    np.save(os.path.join(HERE, 'matrix.npy'), items('f', 6).reshape(3, 2).astype('<f4'))
    np.save(os.path.join(HERE, 'row.npy'), items('f', 5).astype('>f8'))
    np.save(os.path.join(HERE, 'scalar.npy'), np.float32(2.5))
    np.save(os.path.join(HERE, 'text.npy'), np.array(['a', 'bc']))
    np.savez_compressed(os.path.join(HERE, 'deflated.npz'), x=np.zeros((100, 100)))
    x = ((np.arange(120) * 37) % 101 / 50.5 - 1).reshape(60, 2)
    y = x @ [2, -1] + np.arange(60) % 3 / 10
    np.savez_compressed(os.path.join(HERE, 'table.npz'), x=x, price=y)
    np.savez(os.path.join(HERE, 'uneven.npz'), x=x[:3], price=y[:2])
    tensors = {}
    for t in ('F64', 'F32', 'F16', 'I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U16', 'U8', 'BOOL'):
        kind = {'F': 'f', 'I': 'i', 'U': 'u', 'B': 'b'}[t[0]]
        size = {'BOOL': 1}.get(t) or int(t[1:]) // 8
        data = items(kind, 6).reshape(2, 3).astype('<%s%d' % (kind, size))
        tensors['t.' + t] = (t, [2, 3], data.tobytes())
    half = (items('f', 6).astype('<f4').view('<u4') >> 16).astype('<u2')
    tensors['t.BF16'] = ('BF16', [2, 3], half.tobytes())
    safetensors('types.safetensors', tensors, {'format': 'pt', 'note': 'a "quoted" \\ word'})


def safetensors(name, tensors, metadata=None):
    head, body = {}, b''
    if metadata:
        head['__metadata__'] = metadata
    for key, (dtype, shape, data) in tensors.items():
        head[key] = {'dtype': dtype, 'shape': shape, 'data_offsets': [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head).encode()
    text += b' ' * (-len(text) % 8)
    with open(os.path.join(HERE, name), 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text + body)


def torch_net():
    import torch
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    state('mlp.safetensors', {str(i): layer for i, layer in enumerate(net)})
    x = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
    y = net.double()(x.double())
    print(', '.join('%.9g' % v for v in y.reshape(-1).tolist()))


def state(name, modules):
    tensors = {}
    for prefix, module in modules.items():
        for key, value in module.state_dict().items():
            flat = value.reshape(-1).tolist()
            tensors[prefix + '.' + key] = ('F32', list(value.shape), struct.pack('<%df' % len(flat), *flat))
    safetensors(name, tensors)


def torch_layers():
    import torch
    torch.manual_seed(2)
    conv, fc = torch.nn.Conv2d(2, 3, (3, 2)), torch.nn.Linear(3 * 2 * 4, 2)
    gru, lstm = torch.nn.GRU(3, 4, num_layers=2), torch.nn.LSTM(3, 4)
    state('layers.safetensors', {'conv': conv, 'fc': fc, 'gru': gru, 'lstm': lstm})
    for m in (conv, fc, gru, lstm):
        m.double()
    image = (torch.arange(2 * 4 * 5) % 7 - 3).double() / 4                    # item i in the order h, w, c
    x = image.reshape(4, 5, 2).permute(2, 0, 1)[None]
    steps = ((torch.arange(2 * 3) % 5 - 2).double() / 2).reshape(2, 1, 3)
    for name, y in (('conv', fc(torch.flatten(torch.relu(conv(x)), 1))), ('gru', gru(steps)[0][-1]),
                    ('lstm', lstm(steps)[0][-1])):
        print('    static const double %s[] = { %s };' %
              (name, ', '.join('%.9g' % v for v in y.reshape(-1).tolist())))


def check(path):
    import numpy as np
    z = np.load(path)
    groups = {}
    for key in z:
        group, name = key.split('.', 1)
        groups.setdefault(group, {})[name] = z[key]
    for name, a in groups['posterior'].items():
        assert a.dtype == np.dtype('<f4') and a.shape[:2] == (2, 3), (name, a.shape)
    w = groups['posterior']
    assert set(w) == {'w01', 'b01', 'w02', 'b02'} and w['w01'].shape == (2, 3, 3, 4)
    flat = np.concatenate([w[k].reshape(2, 3, -1) for k in ('w01', 'b01', 'w02', 'b02')], axis=2)
    c, s, i = np.indices(flat.shape)
    assert np.array_equal(flat, (c * 1000 + s * 100 + i).astype('<f4'))
    y = groups['log_likelihood']['y']
    assert y.shape == (2, 3, 7) and np.array_equal(y, -np.arange(42).reshape(2, 3, 7) / 4)
    assert groups['observed_data']['y'].shape == (7, 1)
    print('numpy %s reads %d arrays as written' % (np.__version__, len(z.files)))


if __name__ == '__main__':
    {'make': make, 'torch': torch_net, 'layers': torch_layers, 'check': lambda: check(sys.argv[2])}[sys.argv[1]]()
