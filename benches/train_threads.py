"""Whole runs of `train` with one thread and with two, in turn: passes a second, the median and the best, and their ratios.

    python3 benches/train_threads.py target/release/pg-host

Each round runs every K, and of several programs, such as a build before a change and one after it, each: what the machine does meanwhile, it does to all.
Needs Fashion-MNIST (Debian's dataset-fashion-mnist, or PG_DATA). Nothing else should run on the machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("programs", nargs="+", metavar="PROGRAM", help="pg-host, one build or several")
options.add_argument("--rounds", type=int, default=10, help="runs of each kind (default %(default)s)")
options.add_argument("--net", default="mlp-784-128-10", help="the network (default %(default)s)")
options.add_argument("--batch", type=int, default=64, help="samples in a step (default %(default)s)")
options.add_argument("--samples", type=int, default=60000, help="training samples (default %(default)s)")
options.add_argument("--population", type=int, nargs="+", default=[0, 1, 2, 3, 4, 8], metavar="K", help="members (default %(default)s)")
options = options.parse_args()


def passes(program, members, threads, out):
    words = f"train --data fashion-mnist --net {options.net} --train-samples {options.samples} --batch {options.batch} --epochs 2 --json"
    words += f" --population {members} --threads {threads}"
    try:
        done = subprocess.run([program, *words.split(), "--out", out], capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"\n{program} cannot be run: {error.strerror}; build it with `cargo build --release`")
    if done.returncode != 0:
        sys.exit(f"\n{program} {words}\n{done.stderr.strip()}")
    return json.loads(done.stdout)["passes_per_s"]


runs = [(members, program, threads) for members in options.population for program in options.programs for threads in (1, 2)]
speeds = {run: [] for run in runs}
with tempfile.TemporaryDirectory() as directory:
    for number in range(1, options.rounds + 1):
        print(f"\rround {number} of {options.rounds}", end="", file=sys.stderr, flush=True)
        for members, program, threads in runs:
            speeds[members, program, threads].append(passes(program, members, threads, directory + "/model.pg") / 1e3)
print(file=sys.stderr)
print("  K  thousand passes/s: 1 thread, 2 threads  ratio of medians  of the best  median of ratios")
for members in options.population:
    for program in options.programs:
        one, two = speeds[members, program, 1], speeds[members, program, 2]
        medians = statistics.median(one), statistics.median(two)
        ratios = medians[1] / medians[0], max(two) / max(one), statistics.median(b / a for a, b in zip(one, two))
        name = f"  {program}" if len(options.programs) > 1 else ""
        print(f"{members:3}  {medians[0]:28.1f} {medians[1]:10.1f}  {ratios[0]:16.2f}  {ratios[1]:11.2f}  {ratios[2]:16.2f}{name}")
