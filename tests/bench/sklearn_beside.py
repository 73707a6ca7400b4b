"""sklearn_beside.py -- build/bench/bnn with no option but --target, and scikit-learn's linear model, random
forest and Gaussian process, on the same rows. Called by sklearn.sh.

All three of scikit-learn get standardized inputs, classes as columns of 0 and 1, and the noise that a
default lacks, so that each has a likelihood at all:
  linear  LinearRegression, residuals' variance over n - d - 1; LogisticRegression
  forest  RandomForest..., variance from the out-of-bag residuals; votes + 1/10 of a tree for each class
  gp      GaussianProcess... with const * RBF + white noise, y standardized; classes: its default.
          At most 1000 rows, drawn at random: time grows with their cube
error: root mean square, or share of wrong classes. coverage90: intervals, or smallest sets of classes that
hold .9. Mean over the splits; the last line counts the sets on which the tool's NLL is the least.
"""
import csv
import gzip
import json
import os
import subprocess
import sys
import time
import warnings

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression

warnings.simplefilter("ignore")
OUT = "build/bench/"
UCI = ["bostonHousing", "concrete", "energy", "kin8nm", "power-plant", "wine-quality-red"]
STAN = {"kidiq-kidscore_momiq": "kid_score", "earnings-logearn_interaction": "earn",
        "nes1972-nes": "partyid7"}


def thirds(n, split):
    order = np.random.RandomState(split).permutation(n)
    return order[n // 3:], order[:n // 3]


def uci(folder, name, split):
    base = f"{folder}/uci/{name}/"
    all_ = np.loadtxt(base + "data.txt")
    x = all_[:, np.loadtxt(base + "index_features.txt", dtype=int)]
    y = all_[:, int(np.loadtxt(base + "index_target.txt"))]
    part = [np.loadtxt(f"{base}index_{p}_{split}.txt", dtype=int) for p in ("train", "test")]
    return [f"x{i}" for i in range(x.shape[1])], x, y, part


def labels(folder, name, split):
    lines = open(f"{folder}/sklearn/{'iris.csv' if name == 'iris' else 'wine_data.csv'}").read().split()
    names = lines[0].split(",")[2:]
    v = np.array([[float(f) for f in line.split(",")] for line in lines[1:]])
    y = np.array([names[int(k)] for k in v[:, -1]])
    return [f"x{i}" for i in range(v.shape[1] - 1)], v[:, :-1], y, thirds(len(v), split)


def idx(path):
    raw = open(path, "rb").read()
    dims = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw[4 + 4 * raw[3]:], np.uint8).reshape(dims[0], -1).astype(float)


def digits():
    x = [idx(f"examples/data/digits-{p}-images.idx") for p in ("train", "test")]
    y = np.concatenate([idx(f"examples/data/digits-{p}-labels.idx") for p in ("train", "test")])
    n = len(x[0])
    return ([f"x{i}" for i in range(64)], np.concatenate(x), np.array([f"d{int(k)}" for k in y[:, 0]]),
            (np.arange(n), np.arange(n, len(y))))


def table(path, target, split):
    rows = [r for r in csv.reader(open(path)) if "" not in r and "NA" not in r]
    at = rows[0].index(target)
    v = np.array(rows[1:], float)
    names = [c for i, c in enumerate(rows[0]) if i != at]
    return names, np.delete(v, at, 1), v[:, at], thirds(len(v), split)


def load(folder, name, split):
    if name in UCI:
        return uci(folder, name, split)
    if name in ("iris", "wine"):
        return labels(folder, name, split)
    if name == "digits":
        return digits()
    if name == "friedman":
        return table("examples/data/friedman.csv", "y", split)
    return table(f"{folder}/posteriordb/{name}.data.csv", STAN[name], split)


def write(path, names, x, y):
    with open(path, "w") as f:
        f.write(",".join(names + ["target"]) + "\n")
        for row, target in zip(x, y):
            f.write(",".join(repr(float(v)) for v in row) + f",{target}\n")


def run(*args):
    p = subprocess.run([OUT + "bnn", *args], capture_output=True, text=True)
    if p.returncode not in (0, 3):
        raise RuntimeError(p.stderr.strip())
    return p.stdout


def sets(p, truth, classes):
    """Share of rows whose class is in the smallest set that holds .9"""
    inside = 0
    for row, label in zip(p, truth):
        order = np.argsort(-row)
        n = np.searchsorted(np.cumsum(row[order]), 0.9) + 1
        inside += label in classes[order[:n]]
    return inside / len(truth)


def tool(names, x, y, xt, yt):
    write(OUT + "train.csv", names, x, y)
    write(OUT + "test.csv", names, xt, yt)
    start = time.time()
    run("fit", OUT + "train.csv", "--target", "target", "-o", OUT + "m.bnn")
    seconds = time.time() - start
    r = json.loads(run("report", OUT + "m.bnn", OUT + "test.csv", "-o", OUT + "r.html", "--json"))
    if y.dtype.kind == "f" and "rmse" in r:
        return r["rmse"], r["nll"], r["coverage90"], seconds
    rows = list(csv.reader(run("predict", OUT + "m.bnn", OUT + "test.csv").splitlines()))
    p = np.array([r[1:-1] for r in rows[1:]], float)
    classes = np.array([c[2:-1] for c in rows[0][1:-1]])
    return r["error"], r["nll"], sets(p, yt, classes), seconds


def gauss(mean, sd, y):
    nll = np.mean(0.5 * np.log(2 * np.pi * sd ** 2) + 0.5 * ((y - mean) / sd) ** 2)
    return np.sqrt(np.mean((y - mean) ** 2)), nll, np.mean(np.abs(y - mean) <= 1.6448536 * sd)


def peer(kind, x, y, xt, yt):
    m, s = x.mean(0), x.std(0)
    x, xt = ((v - m) / np.where(s > 0, s, 1) for v in (x, xt))
    if kind == "gp" and len(x) > 1000:
        few = np.random.RandomState(0).permutation(len(x))[:1000]
        x, y = x[few], y[few]
    start = time.time()
    if y.dtype.kind != "f":
        model = {"linear": lambda: LogisticRegression(max_iter=1000),
                 "forest": lambda: RandomForestClassifier(random_state=0),
                 "gp": lambda: GaussianProcessClassifier(random_state=0)}[kind]().fit(x, y)
        p = model.predict_proba(xt)
        if kind == "forest":
            p = (p * 100 + 0.1) / (100 + 0.1 * p.shape[1])
        at = np.searchsorted(model.classes_, yt)
        return (np.mean(p.argmax(1) != at), -np.mean(np.log(p[np.arange(len(at)), at])),
                sets(p, yt, model.classes_), time.time() - start)
    if kind == "linear":
        model = LinearRegression().fit(x, y)
        sd = np.sqrt(np.sum((y - model.predict(x)) ** 2) / max(1, len(x) - x.shape[1] - 1))
        mean = model.predict(xt)
    elif kind == "forest":
        model = RandomForestRegressor(oob_score=True, random_state=0).fit(x, y)
        sd, mean = np.sqrt(np.mean((y - model.oob_prediction_) ** 2)), model.predict(xt)
    else:
        model = GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel(), normalize_y=True,
                                         random_state=0).fit(x, y)
        mean, sd = model.predict(xt, return_std=True)
    return *gauss(mean, sd, yt), time.time() - start


def tweets(folder):
    """Free text is no column: what the tool says"""
    with open(OUT + "tweets.csv", "w") as f:
        f.write("mood,text\n")
        w = csv.writer(f)
        lines = gzip.open(f"{folder}/tweets/sentiment140_test_manual.tsv.gz", "rt").read().split("\n")
        for line in lines:
            if "\t" in line:
                mood, text = line.split("\t", 1)
                w.writerow(["bad" if mood == "0" else "good", text])
    p = subprocess.run([OUT + "bnn", "fit", OUT + "tweets.csv", "--target", "mood"], capture_output=True,
                       text=True)
    print("tweets:", p.stderr.strip(), flush=True)


def main(folder, splits=3, *names):
    names = names or ["friedman", "iris", "wine", "digits", *UCI, *STAN]
    best = 0
    for name in names:
        nll = {}
        for method in os.environ.get("METHODS", "bnn linear forest gp").split():
            got = []
            for split in range(1 if name in ("digits", "kin8nm", "power-plant") else int(splits)):
                columns, x, y, (train, test) = load(folder, name, split)
                part = x[train], y[train], x[test], y[test]
                got.append(tool(columns, *part) if method == "bnn" else peer(method, *part))
            error, nll[method], coverage, seconds = np.mean(got, 0)
            print(f"RESULT tool set={name} method={method} error={error:.4g} nll={nll[method]:.4f} "
                  f"coverage90={coverage:.3f} seconds={seconds:.1f} splits={len(got)}", flush=True)
        best += nll.get("bnn", 9e9) <= min(nll.values())
    if "METHODS" not in os.environ:
        print(f"RESULT tool sets={len(names)} best={best}", flush=True)
        tweets(folder)


main(*sys.argv[1:])
