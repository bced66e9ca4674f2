//! Chooses the model file and the board, and hands the linker the board's memories.
//!
//! The model file is the one named by the environment variable `PG_MODEL` (a relative path starts at pg-embedded).
//! The board is the one named by the environment variable `PG_BOARD`, else the first with the target of the build, else
//! (on a desktop) the first of all. The code it chooses for is in `src/board`; nothing is compiled or generated here but `memory.x`.

use std::{env, fs, path::Path};

#[allow(dead_code)] // the firmware uses the rest
#[path = "src/board/mod.rs"]
mod board;

fn main() {
    println!("cargo:rerun-if-changed=src/board");
    println!("cargo:rerun-if-env-changed=PG_BOARD");
    let variable = |name| env::var(name).unwrap_or_default();
    let (target, bare) = (variable("TARGET"), variable("CARGO_CFG_TARGET_OS") == "none");

    let wanted = variable("PG_BOARD");
    let default = || board::ALL.into_iter().find(|board| board.target == target).unwrap_or(board::ALL[0]);
    let board = if wanted.is_empty() {
        default()
    } else {
        board::ALL.into_iter().find(|board| board.name == wanted).unwrap_or_else(|| {
            let names = board::ALL.map(|board| board.name).join(", ");
            panic!("PG_BOARD={wanted}: there is no such board; there are {names}")
        })
    };
    println!("cargo:rustc-env=PG_BOARD={}", board.name);
    // The type of the flash that a program which serves keeps its state in: a constant cannot choose a type.
    println!("cargo:rustc-check-cfg=cfg(pg_store, values(\"file\", \"nvmc\"))");
    let store = match board.store {
        board::Store::File => "file",
        board::Store::Nvmc { .. } => "nvmc",
    };
    println!("cargo:rustc-cfg=pg_store=\"{store}\"");

    let model = Some(variable("PG_MODEL")).filter(|path| !path.is_empty()).unwrap_or_else(|| "models/mlp-64-32-10.pg".into());
    let model = Path::new(&variable("CARGO_MANIFEST_DIR")).join(model);
    assert!(model.is_file(), "PG_MODEL: there is no file {}", model.display());
    println!("cargo:rerun-if-env-changed=PG_MODEL");
    println!("cargo:rerun-if-changed={}", model.display());
    println!("cargo:rustc-env=PG_MODEL={}", model.display());

    if bare {
        assert!(board.target == target, "{} needs --target {}, this build is for {target}", board.name, board.target);
        let memory = |name, memory: board::Memory| format!("  {name} : ORIGIN = {:#010x}, LENGTH = {}\n", memory.origin, memory.bytes);
        let boot: String = board.boot.iter().map(|word| format!(" LONG({word:#010x})")).collect();
        let boot = if boot.is_empty() {
            boot
        } else {
            // Code begins behind it, where cortex-m-rt would have it begin behind the vector table.
            format!(
                "SECTIONS\n{{\n  .boot : ALIGN(4) {{{boot} }} > FLASH\n}} INSERT AFTER .vector_table;\n_stext = ADDR(.boot) + SIZEOF(.boot);\n"
            )
        };
        let script = format!("MEMORY\n{{\n{}{}}}\n{boot}", memory("FLASH", board.flash), memory("RAM", board.ram));
        let out = variable("OUT_DIR");
        fs::write(Path::new(&out).join("memory.x"), script).expect("OUT_DIR can be written");
        println!("cargo:rustc-link-search={out}");
        println!("cargo:rustc-link-arg-bins=--nmagic");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            // Where the texts of the log lie, for the probe's program.
            println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
        }
    }
}
