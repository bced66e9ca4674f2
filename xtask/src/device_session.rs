//! `cargo xtask device-session`: devices that learn, in QEMU, asked by `pg-host device` over their serial lines, and held against `pg-host replay`.
//!
//! A power cut is the killing of the emulator: what a device keeps is in a file, `device.flash` of its directory. Lines are TCP ports of this
//! machine that the system has free.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    board::{ALL, Board, named},
    emulator::Emulator,
    firmware::{KEEP, PLAN_TOLERANCE, SERVING, build_one, directory, static_bytes_of},
    places::{target, workspace},
    qemu,
    steps::run as run_command,
    toolchain::{Toolchain, host_cargo},
};

/// Cores with an FPU, on which whole sessions are held: a Cortex-M4F and M7.
const BOARDS: [&str; 2] = ["mps2-an386", "mps2-an500"];
/// A Cortex-M3 without FPU and with 64 KB of RAM: it trains the last layer, in a short session.
const SOFT: &str = "lm3s6965evb";
/// A Cortex-M0 with 16 KB of RAM, which only infers.
const SMALLEST: &str = "microbit";
/// How long a device may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);
/// A busy machine may look too late.
const ATTEMPTS: u32 = 5;

/// A session of each network on each board.
pub fn run() -> Result<()> {
    let emulator = Emulator::find()?;
    let mut command = host_cargo("build");
    run_command(command.args(["--quiet", "--release", "--package", "pg-host"]).current_dir(workspace()))?;
    let session = |name: &str, program| -> Result<Session> {
        let board = named(name);
        let elf = build_one(&board, &Toolchain::find(board.target, false)?, program)?;
        let (data, model, samples) =
            if program == "serve" { ("digits", "models/mlp-64-32-10.pg", 48) } else { ("vowel", "models/mlp-9-24-11.pg", 33) };
        let model = workspace().join("pg-embedded").join(model);
        let place = directory().join("boards").join(name).join(format!("{program}-session"));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place)?;
        println!("{program} on {name}:");
        Ok(Session { emulator: &emulator, board, elf, data, model, samples, place, steps: 200, device_options: "", replay_options: "" })
    };
    for name in BOARDS {
        for program in ["serve", "serve-vowels"] {
            session(name, program)?.run().with_context(|| format!("{program} on {name}"))?;
        }
    }
    let soft = Session {
        samples: 24,
        steps: 12,
        device_options: " --layers 1 --population 2",
        replay_options: " --last 1 --population 2",
        ..session(SOFT, "serve")?
    };
    soft.run_short().with_context(|| format!("serve on {SOFT}"))?;
    let smallest = named(SMALLEST);
    qemu::run_one(&emulator, &smallest, &Toolchain::find(smallest.target, false)?, KEEP)?;
    session(SMALLEST, "classifier")?.run_without_learning().with_context(|| format!("classifier on {SMALLEST}"))
}

/// Runs a device until it is interrupted.
pub fn serve(program: &str, board: &str) -> Result<()> {
    ensure!(SERVING.contains(&program), "`{program}` does not serve; these do: {}", SERVING.join(", "));
    let driven = || ALL.iter().filter(|board| board.emulated && board.uart.is_some());
    let names = || driven().map(|board| board.name).collect::<Vec<_>>().join(", ");
    let board = driven()
        .find(|known| known.name == board)
        .with_context(|| format!("`{board}` has no UART that is driven; these have: {}", names()))?;
    let emulator = Emulator::find()?;
    let elf = build_one(board, &Toolchain::find(board.target, false)?, program)?;
    let port = free_port()?;
    println!("pg-host device --port tcp:127.0.0.1:{port} info");
    run_command(emulated(&emulator, board, &elf, port, &env::current_dir()?).args(["-monitor", "none"]))
}

/// The device in QEMU, in this directory, its line on this port.
fn emulated(emulator: &Emulator, board: &Board, elf: &Path, port: u16, directory: &Path) -> Command {
    let mut command = emulator.command();
    command.args(["-machine", board.name, "-nographic"]);
    // A UART sends byte by byte: with Nagle's delay each reply takes 40 ms.
    command.args(["-serial", &format!("tcp:127.0.0.1:{port},server=on,wait=off,nodelay=on")]);
    command.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(elf);
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// A port that nobody listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A running device; dropped, its power is cut.
struct Device {
    emulator: Child,
    port: u16,
    /// Where the emulator takes orders.
    monitor: u16,
    /// What it printed before it served.
    lines: Vec<String>,
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

struct Session<'a> {
    emulator: &'a Emulator,
    board: Board,
    elf: PathBuf,
    data: &'static str,
    model: PathBuf,
    samples: u32,
    /// Where the emulator runs: its flash, the record and what is pulled are there.
    place: PathBuf,
    steps: u64,
    /// How to tune, beside steps and held-out samples: the words of `device tune`, and the same for `replay`.
    device_options: &'static str,
    replay_options: &'static str,
}

impl Session<'_> {
    /// A session, one with a power cut in it, and everything else that a device does; all of it recorded and replayed.
    fn run(&self) -> Result<()> {
        let (mut device, expected) = self.learn()?;
        let mut found = self.steps;
        for _ in 0..ATTEMPTS {
            self.record(&device, "reset")?;
            self.label(&device)?;
            drop(device);
            device = self.start()?;
            ensure!(device.found("samples")? == u64::from(self.samples), "samples were acknowledged and lost");
            self.cut(device)?;
            device = self.start()?;
            found = self.steps - device.found("left")?;
            if found < self.steps {
                break;
            }
        }
        ensure!(found < self.steps, "tuning always ended before power was cut");
        self.record(&device, "monitor --json")?;
        device.ask("self-test")?;
        let pulled = self.pulled(&device)?;
        ensure!(pulled == expected, "after a power cut the bits are others: {pulled}, not {expected}");
        println!("  power cut while it saved, found {found} steps on, finished: the same bits");
        for word in ["eval", "save", "roll-back"] {
            self.record(&device, word)?;
        }
        self.rank_one(&device)?;
        self.infer(&device)?;
        self.record(&device, "tune --steps 3 --seed 2")?;
        self.replay_record(&device)?;
        self.verify_stack(device)
    }

    /// Members on the factors of rank-1 noise, a lone last one among them, from the factory's parameters on.
    fn rank_one(&self, device: &Device) -> Result<()> {
        const NOISE: &str = " --noise rank1 --population 5";
        self.record(device, "reset")?;
        self.label(device)?;
        self.record(device, &format!("{}{NOISE}", self.tune()))?;
        let (pulled, expected) = (self.pulled(device)?, self.replayed(NOISE)?);
        ensure!(pulled == expected, "{} steps with rank-1 noise gave other bits than their replay: {pulled}, not {expected}", self.steps);
        println!("  {} steps with rank-1 noise: the bits of the replay", self.steps);
        // A push lies where a step's gradient and members do.
        self.record(device, &format!("push {}", self.model.display()))?;
        device.ask("self-test").map(drop)
    }

    /// CRC-32 of the parameters after the session that the desktop computes, with these options more.
    fn replayed(&self, options: &str) -> Result<String> {
        let Self { model, data, samples, steps, replay_options, .. } = self;
        let model = model.display();
        let line = format!(
            "replay {model} --data {data} --part train --samples {samples} --steps {steps} --hold-out 4 --patience 0{replay_options}{options} --json"
        );
        text(&json(&pg_host(&line)?)?["sessions"][0]["parameters_crc"])
    }

    /// A session and a power cut after it.
    fn run_short(&self) -> Result<()> {
        let (device, _) = self.learn()?;
        // The firmware has no memory for more.
        let refused = device.ask("tune --steps 1 --hold-out 4").err().context("all layers were trained")?.to_string();
        ensure!(refused.contains("bytes of memory, and the firmware has"), "{refused}");
        self.infer(&device)?;
        self.replay_record(&device)?;
        self.verify_stack(device)
    }

    /// What a device answers that cannot learn.
    fn run_without_learning(&self) -> Result<()> {
        let device = self.start()?;
        self.verify_plan(&device)?;
        device.ask("self-test")?;
        device.ask("info")?;
        self.infer(&device)?;
        let factory = json(&pg_host(&format!("replay {} --data {} --steps 1 --rate 0 --json", self.model.display(), self.data))?)?;
        let (pulled, factory) = (self.pulled(&device)?, text(&factory["sessions"][0]["parameters_crc"])?);
        ensure!(pulled == factory, "its parameters are {pulled}, and the model's {factory}");
        for words in [format!("label --data {} --limit 1", self.data), "tune --steps 1".into(), "save".into(), "reset".into()] {
            let refused = device.ask(&words).err().with_context(|| format!("`{words}` was done"))?.to_string();
            ensure!(refused.contains("this firmware cannot do that: it was built without it"), "{words}: {refused}");
        }
        println!("  it refuses to learn");
        self.verify_stack(device)
    }

    /// Has a new device learn, cuts its power and starts it again: the device, and the check sum that its parameters must have.
    fn learn(&self) -> Result<(Device, String)> {
        let Self { data, samples, steps, .. } = self;
        let expected = self.replayed("")?;
        let device = self.start()?;
        self.verify_plan(&device)?;
        device.ask("self-test")?;
        self.label(&device)?;
        let started = Instant::now();
        self.record(&device, &self.tune())?;
        let took = started.elapsed();
        let pulled = self.pulled(&device)?;
        ensure!(pulled == expected, "{steps} steps gave other bits than their replay: {pulled}, not {expected}");
        println!("  {steps} steps on {samples} samples of {data}: the bits of the replay ({:.1} s)", took.as_secs_f64());
        drop(device);
        let device = self.start()?;
        ensure!(self.pulled(&device)? == expected, "the parameters did not survive a power cut");
        Ok((device, expected))
    }

    /// The device's outputs are those of the desktop.
    fn infer(&self, device: &Device) -> Result<()> {
        let pulled = self.place.join("pulled.pg");
        self.pulled(device)?;
        let there = json(&device.ask(&format!("infer --data {} --limit 20 --json", self.data))?)?;
        let here = json(&pg_host(&format!("predict {} --data {} --limit 20 --bits --json", pulled.display(), self.data))?)?;
        for i in 0..20 {
            let (there, here) = (&there["predictions"][i]["bits"], &here[i]["bits"]);
            ensure!(there.is_array() && there == here, "sample {i} has the outputs {there}, and {here} on the desktop");
        }
        println!("  20 samples inferred: the bits of `predict`");
        Ok(())
    }

    /// The recorded session, computed here, ends as the device did.
    fn replay_record(&self, device: &Device) -> Result<()> {
        let replayed = json(&pg_host(&format!("replay {} --session {} --json", self.model.display(), self.recorded().display()))?)?;
        let (there, here) = (self.pulled(device)?, text(&replayed["parameters_crc"])?);
        ensure!(there == here, "the replay of the record has other bits: {here}, not {there}");
        println!(
            "  record of {} commands replayed: the same bits at {} moments ({:.2} s)",
            replayed["commands"],
            replayed["compared"],
            replayed["seconds"].as_f64().unwrap_or(f64::NAN)
        );
        Ok(())
    }

    fn tune(&self) -> String {
        format!("tune --steps {} --hold-out 4{}", self.steps, self.device_options)
    }

    fn recorded(&self) -> PathBuf {
        self.place.join("session.jsonl")
    }

    /// Asks, and records it.
    fn record(&self, device: &Device, words: &str) -> Result<()> {
        device.ask(&format!("{words} --record {}", self.recorded().display())).map(drop)
    }

    /// Has the device tune, and cuts its power while it saves for the third time: the first save is at the beginning, the others are 50 steps apart.
    fn cut(&self, device: Device) -> Result<()> {
        let before = newest_state(&self.place)?;
        let tunes = || fs::read_to_string(self.recorded()).map(|text| text.matches("\"do\":\"tune\"").count());
        let tunes_before = tunes()?;
        let words = format!("device --port {} {} --record {}", device.port(), self.tune(), self.recorded().display());
        let mut host = Command::new(program_of_host());
        let mut host = host.args(words.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let started = Instant::now();
        while newest_state(&self.place)? < before + 3 || tunes()? == tunes_before {
            ensure!(started.elapsed() < PATIENCE, "the device does not tune");
            thread::sleep(Duration::from_millis(1));
        }
        drop(device);
        host.kill()?;
        host.wait()?;
        Ok(())
    }

    /// Starts the device and waits until it serves.
    fn start(&self) -> Result<Device> {
        let (port, monitor) = (free_port()?, free_port()?);
        let mut command = emulated(self.emulator, &self.board, &self.elf, port, &self.place);
        command.args(["-monitor", &format!("tcp:127.0.0.1:{monitor},server=on,wait=off")]);
        let mut emulator = command.stdout(Stdio::piped()).spawn().context("qemu-system-arm cannot be started")?;
        let stdout = BufReader::new(emulator.stdout.take().context("no output")?);
        let mut device = Device { emulator, port, monitor, lines: Vec::new() };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok(line) => {
                    device.lines.push(line);
                    if device.lines.iter().any(|line| line.starts_with("serving ")) {
                        return Ok(device);
                    }
                }
                Err(_) => bail!("the device does not serve:\n{}", device.lines.join("\n")),
            }
        }
    }

    /// The plan that it prints says what the linker says.
    fn verify_plan(&self, device: &Device) -> Result<()> {
        let planned = device.lines.iter().find_map(|line| line.strip_prefix("ram statics ")).context("no plan is printed")?;
        let (planned, linked) = (planned.parse::<u64>()?, static_bytes_of(&self.elf)?);
        println!("  plan: {planned} bytes of statics; the linker: {linked}");
        ensure!(planned.abs_diff(linked) <= PLAN_TOLERANCE, "plan and linker differ by more than {PLAN_TOLERANCE} bytes");
        Ok(())
    }

    /// The deepest that the stack ever was, against the plan. RAM is zero when the emulator starts, so the lowest number that is none, above the
    /// statics, was written by the stack. Ends the device.
    fn verify_stack(&self, mut device: Device) -> Result<()> {
        let planned = device.lines.iter().find_map(|line| line.strip_prefix("ram stack ")).context("no stack in the plan")?;
        let planned = planned.parse::<u64>()?;
        let ram = self.board.ram;
        let mut monitor = TcpStream::connect(("127.0.0.1", device.monitor))?;
        write!(monitor, "memsave {:#x} {:#x} \"ram.bin\"\nquit\n", ram.origin, ram.bytes)?;
        // Until it has hung up: what it says is of no interest.
        monitor.read_to_end(&mut Vec::new())?;
        device.emulator.wait()?;
        let bytes = fs::read(self.place.join("ram.bin"))?;
        let statics = static_bytes_of(&self.elf)? as usize;
        let lowest = bytes.iter().skip(statics).position(|&byte| byte != 0).context("no stack was used")? + statics;
        let used = (bytes.len() - lowest) as u64;
        println!("  stack: at most {used} of {planned} bytes");
        ensure!(used <= planned, "the stack takes {used} bytes, and the plan has {planned}");
        Ok(())
    }

    fn label(&self, device: &Device) -> Result<()> {
        self.record(device, &format!("label --data {} --part train --limit {}", self.data, self.samples))
    }

    /// CRC-32 of the device's parameters.
    fn pulled(&self, device: &Device) -> Result<String> {
        let out = self.place.join("pulled.pg");
        text(&json(&device.ask(&format!("pull {} --out {} --json", self.model.display(), out.display()))?)?["parameters_crc"])
    }
}

impl Device {
    fn port(&self) -> String {
        format!("tcp:127.0.0.1:{}", self.port)
    }

    fn ask(&self, words: &str) -> Result<String> {
        pg_host(&format!("device --port {} {words}", self.port()))
    }

    /// A number of what it found in its flash when it started.
    fn found(&self, name: &str) -> Result<u64> {
        let mut words = self.lines.iter().filter_map(|line| line.strip_prefix("serving ")).flat_map(|line| line.split(' '));
        words.find(|&word| word == name).with_context(|| format!("the device does not say `{name}`"))?;
        Ok(words.next().unwrap_or_default().parse()?)
    }
}

/// The number of the newest state whose header is in the flash, complete or not: docs/flash.md.
fn newest_state(place: &Path) -> Result<u32> {
    let flash = fs::read(place.join("device.flash"))?;
    let number = |page: &[u8]| Some(u32::from_le_bytes(page.strip_prefix(b"PGST")?.get(4..)?.first_chunk().copied()?));
    Ok(flash.chunks(4096).filter_map(number).max().unwrap_or(0))
}

fn program_of_host() -> PathBuf {
    target().join("release/pg-host")
}

/// What the desktop's program prints.
fn pg_host(words: &str) -> Result<String> {
    let output = Command::new(program_of_host()).args(words.split(' ')).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "pg-host {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("no JSON: {text}"))
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("no text: {value}"))
}
