"""Adaptation by `pg-host replay`: a model meets new speakers, writers or wearers, and learns from a few of their labelled samples.

    python3 benches/adaptation.py PG_HOST vowel [OPTIONS OF replay]
    python3 benches/adaptation.py PG_HOST digits --mnist8x8 DIRECTORY [OPTIONS OF replay]
    python3 benches/adaptation.py PG_HOST hapt --hapt DIRECTORY --model FILE [OPTIONS OF replay]
    python3 benches/adaptation.py PG_HOST vowel --device PORT [OPTIONS OF replay]
    python3 benches/adaptation.py PG_HOST digits --device PORT --model FILE [OPTIONS OF replay]

vowel: trained on speakers 0-7; each of 8-14 gives 33 labelled samples and is tested on the other 33. digits: trained on mnist8x8, 200 labelled
samples of the bundled digits, tested on their test part. hapt: a model of windows of the phone fixed to the belt; each user gives 80 % of the windows
with the phone worn as he likes, and is tested on the rest. Means over --sessions draws (10, 5, 5).

With --device a device learns instead, over its line: it is reset, given the samples, tunes, and classifies the others. Each session is also replayed,
and must give the same bits and classify as many right. `cargo xtask serve serve-vowels` starts one in QEMU and prints its port; for the digits it is
`PG_MODEL=FILE cargo xtask serve`, with the absolute path of a model of mnist8x8.
"""
import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The classes of the vowels.
NAMES = ["hid", "hId", "hEd", "hAd", "hYd", "had", "hOd", "hod", "hUd", "hud", "hed"]


def pg(program, line):
    done = subprocess.run([program, *line], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def replay(program, model, data, samples, sessions, options):
    line = ["replay", model, "--data", data, "--samples", str(samples), "--draw", "1", "--sessions", str(sessions), "--json", *options]
    return json.loads(pg(program, line))


def idx(path):
    """The rows of an IDX file of bytes."""
    raw = gzip.decompress(Path(path).read_bytes())
    sizes = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    values, length = raw[4 + 4 * raw[3] :], len(raw[4 + 4 * raw[3] :]) // sizes[0]
    return [list(values[i * length : (i + 1) * length]) for i in range(sizes[0])]


def table(path, rows):
    """A CSV file of rows whose last cell is the label."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"x{i}" for i in range(len(rows[0]) - 1)] + ["label"])
        writer.writerows(rows)


def speakers(program, folder):
    """A model of speakers 0-7, and the file of each other speaker."""
    model = f"{folder}/vowel.pg"
    pg(program, ["train", "--data", "vowel", "--net", "mlp-9-24-11", "--out", model])
    with open(ROOT / "pg-host/data/vowel/vowel.csv") as file:
        rows = list(csv.reader(file))[1:]
    files = []
    for speaker in range(8, 15):
        path = f"{folder}/speaker{speaker}.csv"
        table(path, [row[2:] + [NAMES[int(row[1])]] for row in rows if int(row[0]) == speaker])
        files.append((f"speaker {speaker}", path))
    return model, files


def vowel(program, folder, options):
    model, files = speakers(program, folder)
    return [(name, replay(program, model, path, 33, 10, options)) for name, path in files]


def session(program, folder, options, port, model, names, reading, chosen, others):
    """A session on a device whose firmware has this model: the accuracy on `others` before and after it learnt `chosen`."""
    device = lambda *words: pg(program, ["device", "--port", port, *words])
    given, asked, both = (f"{folder}/{name}.csv" for name in ("given", "asked", "both"))
    # A device knows classes by number, a model by name.
    table(given, chosen)
    table(asked, others)
    table(both, [row[:-1] + [names[int(row[-1])]] for row in chosen + others])

    device("reset")
    score = lambda: json.loads(device("infer", "--data", asked, "--part", "all", *reading, "--json"))["right"] / len(others)
    before = score()
    device("label", "--data", given, "--part", "all", *reading)
    device("tune", "--steps", "200", *options)
    after = score()
    pulled = json.loads(device("pull", model, "--out", f"{folder}/pulled.pg", "--json"))
    line = ["replay", model, "--data", both, "--part", "all", "--samples", str(len(chosen)), "--patience", "0", "--json", *reading, *options]
    [replayed] = json.loads(pg(program, line))["sessions"]
    if (before, after, pulled["parameters_crc"]) != tuple(
        replayed[key] for key in ("accuracy_before", "accuracy_after", "parameters_crc")
    ):
        sys.exit("the device differs from its replay")
    return before, after


def mean_of(sessions):
    before, after = (sum(session[i] for session in sessions) / len(sessions) for i in (0, 1))
    return {"accuracy_before": before, "accuracy_after": after}


def vowel_on_device(program, folder, options, port):
    """Each speaker's ten sessions on a device with the firmware `serve-vowels`: three of the six repetitions of each word, drawn."""
    model = str(ROOT / "pg-embedded/models/mlp-9-24-11.pg")
    with open(ROOT / "pg-host/data/vowel/vowel.csv") as file:
        rows = list(csv.reader(file))[1:]
    found = []
    for speaker in range(8, 15):
        sessions = []
        for draw in range(1, 11):
            chosen, others = [], []
            for word in range(11):
                mine = [row[2:] + [row[1]] for row in rows if (int(row[0]), int(row[1])) == (speaker, word)]
                random.Random(f"{draw} {word}").shuffle(mine)
                chosen += mine[:3]
                others += mine[3:]
            sessions.append(session(program, folder, options, port, model, NAMES, [], chosen, others))
        found.append((f"speaker {speaker}", mean_of(sessions)))
    return found


def digits_on_device(program, folder, options, port, model):
    """Five sessions on a device whose firmware `serve` was built with this model: 200 of the bundled digits' training samples, drawn."""
    part = lambda name: [idx(ROOT / f"pg-host/data/digits8x8/{name}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")]
    train, test = ([image + label for image, label in zip(*part(name))] for name in ("train", "t10k"))
    names = [str(digit) for digit in range(10)]
    drawn = lambda draw: random.Random(draw).sample(train, 200)
    reading = ["--as", "1x8x8"]
    sessions = [session(program, folder, options, port, model, names, reading, drawn(draw), test) for draw in range(1, 6)]
    return [("digits", mean_of(sessions))]


def train_digits(program, folder, mnist):
    """A model of other digits."""
    model = f"{folder}/mnist.pg"
    pg(program, ["train", "--data", mnist, "--net", "mlp-64-32-10", "--epochs", "4", "--out", model])
    return model


def digits(program, folder, options, mnist):
    return [("digits", replay(program, train_digits(program, folder, mnist), "digits", 200, 5, options))]


def wearers(folder, path):
    """The file of each user, of the windows with the phone worn as he likes, and 80 % of how many they are."""
    values, labels, users = (idx(f"{path}/t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1", "users-idx1"))
    files = []
    for user in sorted({user for [user] in users}):
        mine = [window + label for window, label, [other] in zip(values, labels, users) if other == user]
        data = f"{folder}/user{user}.csv"
        table(data, mine)
        files.append((f"user {user}", data, int(0.8 * len(mine))))
    return files


def hapt(program, folder, options, path, model):
    return [
        (name, replay(program, model, data, samples, 5, ["--as", "3x1x64", *options])) for name, data, samples in wearers(folder, path)
    ]


def main():
    program, kind, *options = sys.argv[1:]
    named = {}
    for name in ("--mnist8x8", "--hapt", "--model", "--device"):
        if name in options:
            at = options.index(name)
            named[name] = options[at + 1]
            del options[at : at + 2]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "vowel" and "--device" in named:
            found = vowel_on_device(program, folder, options, named["--device"])
        elif kind == "vowel":
            found = vowel(program, folder, options)
        elif kind == "digits" and "--device" in named:
            found = digits_on_device(program, folder, options, named["--device"], named["--model"])
        elif kind == "digits":
            found = digits(program, folder, options, named["--mnist8x8"])
        else:
            found = hapt(program, folder, options, named["--hapt"], named["--model"])
    for name, session in found:
        print(f"{name:12} {100 * session['accuracy_before']:6.1f} % -> {100 * session['accuracy_after']:6.1f} %")
    before, after = (100 * sum(session[key] for _, session in found) / len(found) for key in ("accuracy_before", "accuracy_after"))
    print(f"{'mean':12} {before:6.1f} % -> {after:6.1f} %")


if __name__ == "__main__":
    main()
