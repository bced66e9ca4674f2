"""A population against plain steps in fine-tuning, by `pg-host replay`: equal steps and equal passes, ten draws and seeds.

    python3 benches/tuning_population.py PG_HOST MNIST8X8_DIRECTORY

Two adaptations (see adaptation.py): seven new speakers of vowel with 33 samples each, and the bundled digits with 200 samples from a model trained on
mnist8x8. Prints the mean accuracy, and the mean difference to K = 0 with the same steps, with its 95 % interval (t, paired by draw).
"""
import json
import statistics
import subprocess
import sys
import tempfile

from adaptation import pg, speakers, train_digits

SESSIONS, STEPS, T_95 = 10, 200, 2.262


def after(program, model, data, samples, options):
    line = ["replay", model, "--data", data, "--samples", str(samples), "--draw", "1", "--sessions", str(SESSIONS), "--json", *options]
    return [session["accuracy_after"] for session in json.loads(pg(program, line))["sessions"]]


def main():
    program, mnist = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        vowel, files = speakers(program, folder)
        digits = train_digits(program, folder, mnist)

        def run(options):
            each = [after(program, vowel, path, 33, options) for _, path in files]
            means = [statistics.mean(session) for session in zip(*each)]
            return {"vowel": means, "digits": after(program, digits, "digits", 200, options)}

        arms = [(f"K = {k}, {STEPS} steps", k, STEPS) for k in (0, 2, 4, 8)]
        arms += [(f"K = {k}, {steps} steps", k, steps) for k, steps in ((0, 400), (0, 800), (0, 1600))]
        base = None
        for name, members, steps in arms:
            found = run(["--population", str(members), "--steps", str(steps)])
            base = base or found
            cells = []
            for task, values in found.items():
                difference = [100 * (value - plain) for value, plain in zip(values, base[task])]
                interval = T_95 * statistics.stdev(difference) / len(difference) ** 0.5
                cells.append(f"{task} {100 * statistics.mean(values):.1f} ({statistics.mean(difference):+.1f} ± {interval:.1f})")
            print(f"{name:22}", "  ".join(cells), flush=True)


main()
