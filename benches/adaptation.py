"""Adaptation by `pg-host replay`: a model meets new speakers, writers or wearers, and learns from a few of their labelled samples.

    python3 benches/adaptation.py PG_HOST vowel [OPTIONS OF replay]
    python3 benches/adaptation.py PG_HOST digits --mnist8x8 DIRECTORY [OPTIONS OF replay]
    python3 benches/adaptation.py PG_HOST hapt --hapt DIRECTORY --model FILE [OPTIONS OF replay]

vowel: trained on speakers 0-7; each of 8-14 gives 33 labelled samples and is tested on the other 33. digits: trained on mnist8x8, 200 labelled
samples of the bundled digits, tested on their test part. hapt: a model of windows of the phone fixed to the belt; each user gives 80 % of the windows
with the phone worn as he likes, and is tested on the rest. Means over --sessions draws (10, 5, 5). Needs NumPy.
"""
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def pg(program, line):
    done = subprocess.run([program, *line], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def replay(program, model, data, samples, sessions, options):
    line = ["replay", model, "--data", data, "--samples", str(samples), "--draw", "1", "--sessions", str(sessions), "--json", *options]
    return json.loads(pg(program, line))


def idx(path):
    raw = gzip.decompress(Path(path).read_bytes())
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def vowel(program, folder, options):
    model = f"{folder}/vowel.pg"
    pg(program, ["train", "--data", "vowel", "--net", "mlp-9-24-11", "--out", model])
    header, *lines = (ROOT / "pg-host/data/vowel/vowel.csv").read_text().splitlines()
    rows = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    names = ["hid", "hId", "hEd", "hAd", "hYd", "had", "hOd", "hod", "hUd", "hud", "hed"]
    found = []
    for speaker in range(8, 15):
        path = f"{folder}/speaker{speaker}.csv"
        mine = rows[rows[:, 0] == speaker]
        text = "\n".join(",".join(str(v) for v in row[2:]) + "," + names[int(row[1])] for row in mine)
        Path(path).write_text(",".join(header.split(",")[2:]) + ",label\n" + text + "\n")
        found.append((f"speaker {speaker}", replay(program, model, path, 33, 10, options)))
    return found


def digits(program, folder, options, mnist):
    model = f"{folder}/mnist.pg"
    pg(program, ["train", "--data", mnist, "--net", "mlp-64-32-10", "--epochs", "4", "--out", model])
    return [("digits", replay(program, model, "digits", 200, 5, options))]


def hapt(program, folder, options, path, model):
    values, labels, users = (idx(f"{path}/t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1", "users-idx1"))
    found = []
    for user in np.unique(users):
        mine = users == user
        data = f"{folder}/user{user}.npz"
        np.savez(data, x_train=values[mine].reshape(-1, 3, 1, 64), y_train=labels[mine])
        found.append((f"user {user}", replay(program, model, data, int(0.8 * mine.sum()), 5, options)))
    return found


def main():
    program, kind, *options = sys.argv[1:]
    named = {}
    for name in ("--mnist8x8", "--hapt", "--model"):
        if name in options:
            at = options.index(name)
            named[name] = options[at + 1]
            del options[at : at + 2]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "vowel":
            found = vowel(program, folder, options)
        elif kind == "digits":
            found = digits(program, folder, options, named["--mnist8x8"])
        else:
            found = hapt(program, folder, options, named["--hapt"], named["--model"])
    for name, session in found:
        print(f"{name:12} {100 * session['accuracy_before']:6.1f} % -> {100 * session['accuracy_after']:6.1f} %")
    before, after = (100 * np.mean([session[key] for _, session in found]) for key in ("accuracy_before", "accuracy_after"))
    print(f"{'mean':12} {before:6.1f} % -> {after:6.1f} %")


main()
