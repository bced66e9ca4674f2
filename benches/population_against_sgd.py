#!/usr/bin/env python3
"""The population gradient against plain SGD on the digits: mean test macro F1 of ten seeds for each arm, as a Markdown table.

SGD gets the best of nine settings, picked on the test set in its favour; the settings of the populations were fixed beforehand: the second is
what `train` does when it is told nothing.
From the root of the repository:  cargo build --release && python3 benches/population_against_sgd.py
Another build's program is given as the argument.
"""
import json
import statistics
import subprocess
import sys

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/pg-host"
SEEDS = range(1, 11)


def f1(population: int, rate: str, decay: str, rho: str = "0.6") -> list[float]:
    """Macro F1 in percent, a number for each seed."""
    scores = []
    for seed in SEEDS:
        options = f"--population {population} --rho {rho} --rate {rate} --weight-decay {decay} --seed {seed} --threads 1"
        command = [PROGRAM, "train", "--json", "--out", "/dev/null", *options.split()]
        report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout or "null")
        # A run that diverges has no result: it counts as nothing learnt.
        scores.append(100 * report["test"]["macro_f1"] if report else 0.0)
    return scores


def line(name: str, rate: str, decay: str, scores: list[float]) -> str:
    return f"| {name} | {rate} | {decay} | {statistics.mean(scores):.2f} | {statistics.stdev(scores):.2f} | {min(scores):.2f} |"


print("| gradient | rate | weight decay | macro F1 %, mean | standard deviation | worst seed |\n|---|---|---|---|---|---|")
ours = f1(8, "0.1", "1e-5")
print(line("population of 8, ρ = 0.6", "0.1", "1e-5", ours), flush=True)
print(line("population of 4, ρ = 0.3", "0.1", "1e-5", f1(4, "0.1", "1e-5", "0.3")), flush=True)
arms = []
for rate in ("0.03", "0.1", "0.2"):
    for decay in ("1e-5", "1e-3", "3e-3"):
        arms.append((rate, decay, f1(0, rate, decay)))
        print(line("SGD", *arms[-1]), flush=True)
rate, decay, best = max(arms, key=lambda arm: statistics.mean(arm[2]))
gains = [a - b for a, b in zip(ours, best)]
error = statistics.stdev(gains) / len(gains) ** 0.5
print(f"\nPopulation minus the best SGD (rate {rate}, weight decay {decay}), paired by seed: {statistics.mean(gains):+.2f} ± {error:.2f} points.")
