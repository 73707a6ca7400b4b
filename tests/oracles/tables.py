"""tables.py -- inputs of judge.py and metrics.py as C tables: integers in units of 1/1024, which float and
double hold exactly. Returns the numbers that they stand for."""
import numpy as np

UNIT = 1024


def ints(name, a):
    a = np.rint(np.asarray(a) * UNIT).astype(int)
    print("static const int %s[] = { /* %s, 1/%d */" % (name, " x ".join(map(str, a.shape)), UNIT))
    line = "   "
    for v in map(str, a.ravel()):
        if len(line) + len(v) > 96:
            print(line)
            line = "   "
        line += " " + v + ","
    print(line + "\n};")
    return a / UNIT
