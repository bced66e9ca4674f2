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
    board::{Board, named},
    emulator::Emulator,
    firmware::{PLAN_TOLERANCE, SERVING, build_one, directory, static_bytes_of},
    places::{target, workspace},
    steps::run as run_command,
    toolchain::{Toolchain, host_cargo},
};

/// A Cortex-M4F and M7, whose UART is driven.
const BOARDS: [&str; 2] = ["mps2-an386", "mps2-an500"];
/// How long a device may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);
const STEPS: u64 = 200;
/// A busy machine may look too late.
const ATTEMPTS: u32 = 5;

/// A session of each network on each board.
pub fn run() -> Result<()> {
    let emulator = Emulator::find()?;
    let mut command = host_cargo("build");
    run_command(command.args(["--quiet", "--release", "--package", "pg-host"]).current_dir(workspace()))?;
    for name in BOARDS {
        let board = named(name);
        let toolchain = Toolchain::find(board.target, false)?;
        for (program, data, model, samples) in
            [("serve", "digits", "models/mlp-64-32-10.pg", 48), ("serve-vowels", "vowel", "models/mlp-9-24-11.pg", 33)]
        {
            let elf = build_one(&board, &toolchain, program)?;
            let session = Session { emulator: &emulator, board, elf, data, model: workspace().join("pg-embedded").join(model), samples };
            session.run(program).with_context(|| format!("{program} on {name}"))?;
        }
    }
    Ok(())
}

/// Runs a device until it is interrupted.
pub fn serve(program: &str, board: &str) -> Result<()> {
    ensure!(SERVING.contains(&program), "`{program}` does not serve; these do: {}", SERVING.join(", "));
    ensure!(BOARDS.contains(&board), "`{board}` has no UART that is driven; these have: {}", BOARDS.join(", "));
    let emulator = Emulator::find()?;
    let board = named(board);
    let elf = build_one(&board, &Toolchain::find(board.target, false)?, program)?;
    let port = free_port()?;
    println!("pg-host device --port tcp:127.0.0.1:{port} info");
    run_command(emulated(&emulator, &board, &elf, port, &env::current_dir()?).args(["-monitor", "none"]))
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
}

impl Session<'_> {
    fn run(&self, program: &str) -> Result<()> {
        let place = directory().join("boards").join(self.board.name).join(format!("{program}-session"));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place)?;
        let expected = self.replayed("")?;
        println!("{program} on {}:", self.board.name);

        let device = self.start(&place)?;
        self.verify_plan(&device)?;
        device.ask("self-test")?;
        self.label(&device)?;
        let started = Instant::now();
        device.ask(&tune())?;
        let took = started.elapsed();
        let pulled = self.pulled(&device, &place)?;
        ensure!(pulled == expected, "{STEPS} steps gave other bits than their replay: {pulled}, not {expected}");
        println!("  {STEPS} steps on {} samples of {}: the bits of the replay ({:.1} s)", self.samples, self.data, took.as_secs_f64());
        drop(device);

        let device = self.start(&place)?;
        ensure!(self.pulled(&device, &place)? == expected, "the parameters did not survive a power cut");
        let mut device = device;
        let mut found = STEPS;
        for _ in 0..ATTEMPTS {
            device.ask("reset")?;
            self.label(&device)?;
            drop(device);
            device = self.start(&place)?;
            ensure!(device.found("samples")? == u64::from(self.samples), "samples were acknowledged and lost");
            self.cut(device, &place)?;
            device = self.start(&place)?;
            found = STEPS - device.found("left")?;
            if found < STEPS {
                break;
            }
        }
        ensure!(found < STEPS, "tuning always ended before power was cut");
        device.ask("monitor --json")?;
        device.ask("self-test")?;
        let pulled = self.pulled(&device, &place)?;
        ensure!(pulled == expected, "after a power cut the bits are others: {pulled}, not {expected}");
        println!("  power cut while it saved, found {found} steps on, finished: the same bits");
        for word in ["eval", "save", "roll-back"] {
            device.ask(word)?;
        }
        self.rank_one(&device, &place)?;
        device.ask(&format!("infer --data {} --limit 20", self.data))?;
        device.ask(&format!("push {}", self.model.display()))?;
        self.verify_stack(device, &place)
    }

    /// Members on the factors of rank-1 noise, a lone last one among them, from the factory's parameters on.
    fn rank_one(&self, device: &Device, place: &Path) -> Result<()> {
        const NOISE: &str = " --noise rank1 --population 5";
        device.ask("reset")?;
        self.label(device)?;
        device.ask(&format!("{}{NOISE}", tune()))?;
        let (pulled, expected) = (self.pulled(device, place)?, self.replayed(NOISE)?);
        ensure!(pulled == expected, "{STEPS} steps with rank-1 noise gave other bits than their replay: {pulled}, not {expected}");
        println!("  {STEPS} steps with rank-1 noise: the bits of the replay");
        // A push lies where a step's gradient and members do.
        device.ask(&format!("push {}", self.model.display()))?;
        device.ask("self-test").map(drop)
    }

    /// CRC-32 of the parameters after the session that the desktop computes, with these options more.
    fn replayed(&self, options: &str) -> Result<String> {
        let Self { model, data, samples, .. } = self;
        let model = model.display();
        let line = format!(
            "replay {model} --data {data} --part train --samples {samples} --steps {STEPS} --hold-out 4 --patience 0{options} --json"
        );
        text(&json(&pg_host(&line)?)?["sessions"][0]["parameters_crc"])
    }

    /// Has the device tune, and cuts its power while it saves for the third time: the first save is at the beginning, the others are 50 steps apart.
    fn cut(&self, device: Device, place: &Path) -> Result<()> {
        let before = newest_state(place)?;
        let words = format!("device --port {} {}", device.port(), tune());
        let mut host = Command::new(program_of_host());
        let mut host = host.args(words.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let started = Instant::now();
        while newest_state(place)? < before + 3 {
            ensure!(started.elapsed() < PATIENCE, "the device does not tune");
            thread::sleep(Duration::from_millis(1));
        }
        drop(device);
        host.kill()?;
        host.wait()?;
        Ok(())
    }

    /// Starts the device and waits until it serves.
    fn start(&self, place: &Path) -> Result<Device> {
        let (port, monitor) = (free_port()?, free_port()?);
        let mut command = emulated(self.emulator, &self.board, &self.elf, port, place);
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
    fn verify_stack(&self, mut device: Device, place: &Path) -> Result<()> {
        let planned = device.lines.iter().find_map(|line| line.strip_prefix("ram stack ")).context("no stack in the plan")?;
        let planned = planned.parse::<u64>()?;
        let ram = self.board.ram;
        let mut monitor = TcpStream::connect(("127.0.0.1", device.monitor))?;
        write!(monitor, "pmemsave {:#x} {:#x} \"ram.bin\"\nquit\n", ram.origin, ram.bytes)?;
        // Until it has hung up: what it says is of no interest.
        monitor.read_to_end(&mut Vec::new())?;
        device.emulator.wait()?;
        let bytes = fs::read(place.join("ram.bin"))?;
        let statics = static_bytes_of(&self.elf)? as usize;
        let lowest = bytes.iter().skip(statics).position(|&byte| byte != 0).context("no stack was used")? + statics;
        let used = (bytes.len() - lowest) as u64;
        println!("  stack: at most {used} of {planned} bytes");
        ensure!(used <= planned, "the stack takes {used} bytes, and the plan has {planned}");
        Ok(())
    }

    fn label(&self, device: &Device) -> Result<()> {
        device.ask(&format!("label --data {} --part train --limit {}", self.data, self.samples)).map(drop)
    }

    /// CRC-32 of the device's parameters.
    fn pulled(&self, device: &Device, place: &Path) -> Result<String> {
        let out = place.join("pulled.pg");
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

fn tune() -> String {
    format!("tune --steps {STEPS} --hold-out 4")
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
