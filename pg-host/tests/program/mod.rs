//! Runs the real program in a directory of its own.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A directory that removes itself, and the program in it.
pub struct Program {
    pub directory: tempfile::TempDir,
}

impl Program {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The program with the arguments of a line.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg-host"));
        command.current_dir(self.directory.path()).args(line.split_whitespace()).env_remove("CARGO");
        command
    }

    pub fn output(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Its stdout; it must succeed.
    pub fn text(&self, line: &str) -> String {
        let output = self.output(line);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{line}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, line: &str) -> Value {
        let text = self.text(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|reason| panic!("{line}: {reason}: {text}"))
    }

    /// Its one sentence of refusal and its exit code; it must print nothing on stdout.
    pub fn refusal(&self, line: &str) -> (String, i32) {
        let output = self.output(line);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && !stderr.contains("panicked"), "{line}: {stderr}");
        let sentences: Vec<&str> = stderr.lines().filter_map(|text| text.strip_prefix("error: ")).collect();
        let [sentence] = sentences[..] else { panic!("{line}: one sentence is wanted: {stderr}") };
        assert!(stderr.ends_with(&format!("error: {sentence}\n")), "{line}: nothing follows the sentence: {stderr}");
        (sentence.into(), output.status.code().unwrap())
    }

    /// A model that was trained in a moment.
    pub fn trained(&self) {
        self.text("train --net mlp-64-32-10 --population 0 --epochs 3");
    }
}
