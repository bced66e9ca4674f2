//! SIGKILL at random moments: whatever is killed, and however often, ends with the bytes of the run that nobody killed.
//!
//! This program is both: the test, and as its own child, told by [`CHILD`], the pg-host that is killed. So the child can have a network of
//! its own, with dropout and batch normalisation. For longer, each round with other moments:
//!
//! ```sh
//! PG_KILL_ROUNDS=100 cargo test --release -p pg-host --test kill
//! ```

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use pg_core::layers::{BatchNorm, Conv2d, Dense, Dropout, Flatten, Relu};
use pg_core::noise::{Purpose, Stream};
use pg_core::{Image, Network, Sequential};
use pg_host::Entry;
use pg_host::checkpoint::Checkpoint;
use serde_json::Value;

type Mixed = Sequential<Image<1, 8, 8>, (Conv2d<4, 3>, BatchNorm, Relu, Flatten, Dropout<25>, Dense<16>, BatchNorm, Relu, Dense<10>)>;
const _: () = assert!(<Mixed as Network>::PARAMS > 0);

/// Runs, each with its own kind of state. Short epochs, so that kills fall everywhere in them.
const RUNS: [&str; 9] = [
    "--net mlp-64-32-10 --epochs 12 --population 4 --validation 0.2",
    "--net mlp-64-32-10 --epochs 40 --population 0 --nesterov --schedule one-cycle --batch 17 --every 5steps",
    "--net mlp-64-32-10 --epochs 20 --population 2 --optimiser adam --rate 0.003 --ema 0.99 --every 2",
    "--net mlp-64-32-10 --epochs 20 --population 0 --sam 0.05 --optimiser adagrad --every 7steps",
    "--net mlp-64-64-32-10 --epochs 8 --population 2 --augment shift=1,noise=0.05,cutout=2,mixup=0.2 --every 3steps",
    "--net mixed --epochs 3 --population 2 --noise rademacher --validation 0.1 --every 1steps",
    "--net mlp-64-32-10 --epochs 20 --population 4 --batch-mode split --rho-schedule cosine-up --noise uniform --every 3steps",
    "--net mlp-64-32-10 --epochs 6 --population 2 --batch-mode fresh --combine softmax=1 --scale-rule weight --targets weights,biases",
    "--net mlp-64-32-10 --epochs 8 --population 8 --optimiser rmsprop --threads 2 --every 11steps",
];

/// The most kills of a run; then it may end.
const MOST_KILLS: u32 = 8;

/// The variable that makes this program a child.
const CHILD: &str = "PG_KILL_CHILD";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        let mut networks = pg_host::zoo();
        networks.push(Entry::new::<Mixed>("mixed", "mixed"));
        return pg_host::run(&networks);
    }
    let rounds = std::env::var("PG_KILL_ROUNDS").map_or(1, |rounds| rounds.parse().expect("PG_KILL_ROUNDS is a number"));
    let (mut kills, mut resumed) = (0, 0);
    for round in 0..rounds {
        for (number, line) in RUNS.iter().enumerate() {
            let counts = check(round, number as u32, line);
            (kills, resumed) = (kills + counts.0, resumed + counts.1);
        }
    }
    assert!(resumed > RUNS.len() as u32, "{kills} kills, and only {resumed} runs went on");
    println!("{} runs, killed {kills} times and resumed {resumed} times, end as those that were not: ok", rounds * RUNS.len() as u32);
    ExitCode::SUCCESS
}

/// Kills a run at random moments until it ends, compares it with the same run that is left alone, and returns how often it was killed and how
/// often it went on from a checkpoint behind its first step.
fn check(round: u32, number: u32, line: &str) -> (u32, u32) {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let random = Stream::new(2010, Purpose::Shuffle, number, round);
    let train = format!("train {line} --checkpoint run --out model.pg");
    let started = Instant::now();
    let whole = finish(start(place, &format!("train {line} --checkpoint whole --out whole.pg")), line);
    let time = started.elapsed();
    let (mut kills, mut resumed) = (0, 0);
    let ended = loop {
        let kept = newest(&place.join("run"));
        let begun = !kept.is_empty();
        resumed += u32::from(begun && Checkpoint::decode(&kept).unwrap().state.step > 0);
        // What changes nothing may change on the way.
        let threads = if kills % 2 == 1 { " --threads 2" } else { "" };
        let child = start(place, &if begun { format!("train --resume run{threads}") } else { train.clone() });
        if kills == MOST_KILLS {
            break finish(child, line);
        }
        let permille = random.below(kills, 500);
        std::thread::sleep(time * permille / 1000);
        match kill(child) {
            Some(report) => break report,
            None => kills += 1,
        }
    };
    let read = |name: &str| std::fs::read(place.join(name)).unwrap();
    assert!(read("model.pg") == read("whole.pg"), "{line}: the model after {kills} kills");
    for part in ["data", "net", "samples", "epochs", "steps", "stopped", "test", "validation", "train"] {
        assert_eq!(ended[part], whole[part], "{line}: {part} after {kills} kills");
    }
    // The state in every bit, and which run it is; how the run was called may differ.
    let last = |name: &str| {
        let mut checkpoint = Checkpoint::decode(&newest(&place.join(name))).unwrap();
        checkpoint.identity.arguments.clear();
        Checkpoint::encode(&checkpoint.identity, &checkpoint.state, checkpoint.validation.as_ref())
    };
    assert!(last("run") == last("whole"), "{line}: the state after {kills} kills");
    let files = std::fs::read_dir(place.join("run")).unwrap().count();
    // Two; one that was to be removed, and one that was half-written, when the last kill came.
    assert!(files <= 4, "{line}: {files} files are left");
    (kills, resumed)
}

fn start(place: &Path, line: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env(CHILD, "")
        .current_dir(place)
        .args(line.split(' '))
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child, line: &str) -> Value {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Kills a child as `kill -9` does; returns its report if it was faster.
fn kill(mut child: Child) -> Option<Value> {
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    // A child that was killed on its way out has written all the same.
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// The newest checkpoint; empty where there is none.
fn newest(directory: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    let newest = entries.filter(|path| path.extension() == Some(OsStr::new("pgc"))).max();
    newest.map(|path| std::fs::read(path).unwrap()).unwrap_or_default()
}
