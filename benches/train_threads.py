"""Whole runs of `train` with one thread and with two, in turn: passes a second, the median and the best, and their ratios.

    python3 benches/train_threads.py target/release/pg-host [RUNS [NET [SAMPLES]]]

Needs Fashion-MNIST (Debian's dataset-fashion-mnist, or PG_DATA). Nothing else should run on the machine.
"""

import json
import statistics
import subprocess
import sys
import tempfile

program, runs, net, samples = (sys.argv[1:] + ["10", "mlp-784-128-10", "60000"][len(sys.argv) - 2 :])[:4]
OPTIONS = f"train --data fashion-mnist --net {net} --train-samples {samples} --batch 64 --epochs 2 --json".split()


def passes(members, threads, out):
    words = ["--population", str(members), "--threads", str(threads), "--out", out]
    done = subprocess.run([program, *OPTIONS, *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["passes_per_s"]


with tempfile.TemporaryDirectory() as directory:
    print("  K  thousand passes/s: 1 thread, 2 threads  ratio of medians  of the best")
    for members in (0, 1, 2, 3, 4, 8):
        pairs = [[passes(members, threads, directory + "/model.pg") for threads in (1, 2)] for _ in range(int(runs))]
        one, two = zip(*pairs)
        medians = statistics.median(one), statistics.median(two)
        ratios = medians[1] / medians[0], max(two) / max(one)
        print(f"{members:3}  {medians[0] / 1e3:28.0f} {medians[1] / 1e3:10.0f}  {ratios[0]:16.2f}  {ratios[1]:11.2f}", flush=True)
