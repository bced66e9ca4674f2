"""A population against plain steps in fine-tuning, by `pg-host replay`: equal steps and equal passes, every noise of a device, ten draws and seeds.

    python3 benches/tuning_population.py PG_HOST MNIST8X8_DIRECTORY HAPT_DIRECTORY

Three adaptations (see adaptation.py): seven new speakers of vowel with 33 samples each; the bundled digits with 200 samples from a model trained on
mnist8x8; thirty users who wear their phone as they like, about 21 windows each, from a model of phones fixed to the belt. Prints the rows of a table: the
mean accuracy, and in brackets the mean difference to K = 0 with the same steps and its 95 % interval (t, paired by draw; a draw's accuracy is the
mean over speakers or users).
"""
import statistics
import sys
import tempfile

from adaptation import pg, replay, speakers, train_digits, wearers

SESSIONS, STEPS, T_95 = 10, 200, 2.262


def of_draws(program, model, files, options):
    """The accuracy after each draw's session, mean over files, each with the number of samples that are labelled."""
    each = []
    for path, samples in files:
        sessions = replay(program, model, path, samples, SESSIONS, options)["sessions"]
        each.append([session["accuracy_after"] for session in sessions])
    return [statistics.mean(draw) for draw in zip(*each)]


def train_windows(program, folder, path):
    model = f"{folder}/hapt.pg"
    pg(program, ["train", "--data", path, "--as", "3x1x64", "--net", "mlp-192-32-6", "--epochs", "40", "--out", model])
    return model


def main():
    program, mnist, windows = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        model, files = speakers(program, folder)
        tasks = {"vowel": (model, [(path, 33) for _, path in files], [])}
        tasks["digits"] = train_digits(program, folder, mnist), [("digits", 200)], []
        users = [(path, samples) for _, path, samples in wearers(folder, windows)]
        tasks["HAPT"] = train_windows(program, folder, windows), users, ["--as", "3x1x64"]

        arms = [(f"K = 0, {STEPS} steps", ["--population", "0"], STEPS)]
        for members in (2, 4, 8):
            for noise, name in (("gaussian", "Gaussian"), ("rademacher", "signs"), ("rank1", "rank 1")):
                arms.append((f"K = {members}, {name}, {STEPS} steps", ["--population", str(members), "--noise", noise], STEPS))
        for members in (2, 4, 8):
            steps = members * STEPS
            arms.append((f"K = 0, {steps} steps: the passes of K = {members}", ["--population", "0"], steps))

        print("| |", " | ".join(tasks), "|")
        print("|---|" + "---|" * len(tasks))
        base = {}
        for name, options, steps in arms:
            cells = []
            for task, (model, files, reading) in tasks.items():
                values = of_draws(program, model, files, [*reading, *options, "--steps", str(steps)])
                cell = f"{100 * statistics.mean(values):.1f}"
                if task in base:
                    difference = [100 * (value - plain) for value, plain in zip(values, base[task])]
                    interval = T_95 * statistics.stdev(difference) / len(difference) ** 0.5
                    cell += f" ({statistics.mean(difference):+.1f} ± {interval:.1f})"
                base.setdefault(task, values)
                cells.append(cell)
            print("|", " | ".join([name, *cells]), "|", flush=True)


main()
