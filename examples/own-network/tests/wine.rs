//! The network of one's own has the whole command line.

use std::process::Command;

fn run(line: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_own-network")).args(line.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_learns_from_the_table_and_judges_what_it_learnt() {
    let model = format!("{}/wine.pg", env!("CARGO_TARGET_TMPDIR"));
    let text = run(&format!("train --data wine.csv --out {model}"));
    let f1 = text.lines().find_map(|line| line.strip_prefix("macro F1")).unwrap();
    assert!(f1.trim().parse::<f64>().unwrap() > 0.9, "{text}");
    assert!(run(&format!("eval {model} --data wine.csv")).contains(&format!("macro F1  {}", f1.trim())));
    assert!(run("nets").contains("wine-13-16-3"));
}
