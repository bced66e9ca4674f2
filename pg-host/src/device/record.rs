//! The record of a session with a device: every command that changed it, in a file of JSON lines, from which `replay --session` computes what
//! the device computed.
//!
//! The first line says which device it is. Every other line is a command with the step at which it took effect, or how the device was found
//! before and after commands; all are numbered. Numbers whose bits matter are decimal digits that are read back to the same bits. A line
//! is on the disk before the next command is sent. What was not answered is not recorded, though it may have been carried out: the next line
//! that says how the device was found shows it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use pg_core::link::{Activity, Form, Noise, Options, Sample, Status};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Greeting;

/// The version of this format.
pub const FORMAT: u32 = 1;

/// Why a record cannot be read or gone on with; each text is a whole sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The system does not allow it.
    #[error("{} cannot be {action}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// It does not begin as a record does.
    #[error("{} is no record of a session with a device: `pg-host device --record` writes one", .0.display())]
    NoRecord(PathBuf),
    /// Written by another version of this program.
    #[error("{} is a record of format {found}, and this program reads format {FORMAT}: use the pg-host that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The last line has no end.
    #[error("{} ends in the middle of line {line}: without that line, what is before it can be replayed", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A line is none.
    #[error("line {line} of {} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Lines are missing, or in another order.
    #[error("line {line} of {} has the number {found} where {expected} belongs: lines are missing or out of order", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Its number.
        found: u32,
        /// The number that it should have.
        expected: u32,
    },
    /// It is of another device.
    #[error("{} is the record of another device ({firmware}) or of another model in it: begin another file", path.display())]
    OtherDevice {
        /// The file.
        path: PathBuf,
        /// The firmware in the record.
        firmware: String,
    },
    /// The device has already learnt.
    #[error(
        "the device has learnt already (step {step}, {samples} samples), and a record begins with the factory's state: `reset` it first"
    )]
    NotNew {
        /// Its step.
        step: u32,
        /// Its samples.
        samples: u32,
    },
    /// It has been changed without a record.
    #[error(
        "the device has {found} samples and {} says {recorded}: it was changed without a record, or lost power before it had saved; `reset` it",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Samples on the device.
        found: u32,
        /// Samples by the record.
        recorded: u32,
    },
    /// It tunes with options that only the firmware knows.
    #[error("a record does not know with which options the firmware tunes by itself: give one or more, such as --rate 0.05")]
    UnknownOptions,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, from 0.
    pub n: u32,
    /// What it says.
    #[serde(flatten)]
    pub what: Entry,
}

/// What a line says. A `step` is that at which a command took effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names of the commands, and of the replies' fields")]
pub enum Entry {
    /// The first line: which device.
    Begin {
        pg_device: u32,
        firmware: String,
        fingerprint: String,
        model_crc: String,
        form: String,
        samples: u32,
    },
    /// How the device was found; the check sum of its parameters unless they were changing.
    Found {
        step: u32,
        samples: u32,
        tuning: bool,
        loss_nats: Exact,
        best_loss_nats: Exact,
        parameters_crc: Option<String>,
    },
    Label {
        step: u32,
        class: u16,
        values: Exacts,
    },
    Tune {
        step: u32,
        steps: u32,
        options: Option<TuneOptions>,
    },
    Stop {
        step: u32,
    },
    Push {
        step: u32,
        parameters: Exacts,
    },
    Save {
        state: u32,
    },
    RollBack {
        step: u32,
    },
    Forget {
        step: u32,
        samples: u32,
    },
    Reset {
        step: u32,
    },
}

/// A number as decimal digits that are read back to the same bits.
#[derive(Clone, Copy, Debug)]
pub struct Exact(pub f32);

/// The same bits, or both no number.
impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || self.0.is_nan() && other.0.is_nan()
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom(format!("{text:?} is no number")))
    }
}

/// Several of them, with spaces between.
#[derive(Clone, Debug, PartialEq)]
pub struct Exacts(pub Vec<f32>);

impl Serialize for Exacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole numbers, which most samples are made of, without a point.
        let text: Vec<String> = self.0.iter().map(|value| value.to_string()).collect();
        serializer.serialize_str(&text.join(" "))
    }
}

impl<'de> Deserialize<'de> for Exacts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = |word: &str| word.parse().map_err(|_| de::Error::custom(format!("{word:?} is no number")));
        text.split(' ').filter(|word| !word.is_empty()).map(number).collect::<Result<_, _>>().map(Self)
    }
}

/// The options of a `Tune` request: [`Options`], by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names and meanings of the request")]
pub struct TuneOptions {
    pub rate: Exact,
    pub momentum: Exact,
    pub weight_decay: Exact,
    pub population: u32,
    pub rho: Exact,
    pub noise: String,
    pub antithetic: bool,
    pub batch: u16,
    pub layers: u64,
    pub biases: bool,
    pub hold_out: u32,
    pub look_every: u32,
    pub patience: u32,
    pub seed: u64,
}

impl From<&Options> for TuneOptions {
    fn from(options: &Options) -> Self {
        let noise = match options.noise {
            Noise::Gaussian => "gaussian",
            Noise::Rademacher => "rademacher",
            Noise::RankOne => "rank1",
        };
        Self {
            rate: Exact(options.rate),
            momentum: Exact(options.momentum),
            weight_decay: Exact(options.weight_decay),
            population: options.population,
            rho: Exact(options.rho),
            noise: noise.into(),
            antithetic: options.antithetic,
            batch: options.batch,
            layers: options.layers,
            biases: options.biases,
            hold_out: options.hold_out,
            look_every: options.look_every,
            patience: options.patience,
            seed: options.seed,
        }
    }
}

impl TryFrom<&TuneOptions> for Options {
    type Error = String;

    fn try_from(options: &TuneOptions) -> Result<Self, String> {
        let noise = match options.noise.as_str() {
            "gaussian" => Noise::Gaussian,
            "rademacher" => Noise::Rademacher,
            "rank1" => Noise::RankOne,
            other => return Err(format!("there is no noise {other:?}")),
        };
        Ok(Self {
            rate: options.rate.0,
            momentum: options.momentum.0,
            weight_decay: options.weight_decay.0,
            population: options.population,
            rho: options.rho.0,
            noise,
            antithetic: options.antithetic,
            batch: options.batch,
            layers: options.layers,
            biases: options.biases,
            hold_out: options.hold_out,
            look_every: options.look_every,
            patience: options.patience,
            seed: options.seed,
        })
    }
}

impl Entry {
    /// A sample as it is sent.
    pub fn label(step: u32, class: u16, sample: &Sample<'_>) -> Self {
        Self::Label { step, class, values: Exacts(sample.values().collect()) }
    }

    /// How a device is, with the check sum of its parameters if it is that of this status.
    pub fn found(status: &Status, parameters_crc: Option<u32>) -> Self {
        Self::Found {
            step: status.step,
            samples: status.samples,
            tuning: status.activity == Activity::Tuning,
            loss_nats: Exact(status.loss_nats),
            best_loss_nats: Exact(status.best_loss_nats),
            parameters_crc: parameters_crc.map(|crc| format!("{crc:08x}")),
        }
    }

    fn begin(greeting: &Greeting) -> Self {
        let form = match greeting.form {
            Form::U8 => "u8",
            Form::I8 => "i8",
            Form::F32 => "f32",
        };
        Self::Begin {
            pg_device: FORMAT,
            firmware: greeting.firmware.clone(),
            fingerprint: format!("{:016x}", greeting.fingerprint),
            model_crc: format!("{:08x}", greeting.model_crc),
            form: form.into(),
            samples: greeting.samples,
        }
    }
}

/// Reads a record: at least its first line, numbered without a gap.
///
/// # Errors
/// [`RecordError`].
pub fn read(path: &Path) -> Result<Vec<Line>, RecordError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|reason| RecordError::File {
        path: path.into(),
        action: "read",
        reason,
    })?;
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Line>, RecordError> {
    let none = || RecordError::NoRecord(path.into());
    let text = std::str::from_utf8(bytes).map_err(|_| none())?;
    let mut lines = Vec::new();
    for (line, piece) in (1..).zip(text.split_inclusive('\n')) {
        let parsed = serde_json::from_str::<Line>(piece);
        let first = lines.is_empty();
        if !piece.ends_with('\n') && (!first || piece.starts_with("{\"n\":0,\"do\":\"begin\"")) {
            return Err(RecordError::Cut { path: path.into(), line });
        }
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(_) if first => return Err(none()),
            Err(reason) => {
                // Without serde's "at line 1 column 7": there is one line.
                let reason = reason.to_string().split(" at line ").next().unwrap_or_default().to_owned();
                return Err(RecordError::Damaged { path: path.into(), line, reason });
            }
        };
        let expected = lines.len() as u32;
        if parsed.n != expected {
            return Err(RecordError::Order { path: path.into(), line, found: parsed.n, expected });
        }
        match parsed.what {
            Entry::Begin { pg_device, .. } if first && pg_device != FORMAT => {
                return Err(RecordError::Format { path: path.into(), found: pg_device });
            }
            Entry::Begin { .. } if first => {}
            _ if first => return Err(none()),
            Entry::Begin { .. } => {
                return Err(RecordError::Damaged { path: path.into(), line, reason: "a second beginning".into() });
            }
            _ => {}
        }
        lines.push(parsed);
    }
    if lines.is_empty() { Err(none()) } else { Ok(lines) }
}

/// Writes a record, line by line.
pub struct Recorder {
    file: File,
    path: PathBuf,
    next: u32,
    /// Samples on the device by the record.
    samples: u32,
    /// Whether the options with which the device tunes are in the record.
    options_known: bool,
    /// Whether nothing has happened yet.
    empty: bool,
}

impl Recorder {
    /// A record in this file, which is begun or gone on with.
    ///
    /// # Errors
    /// When it cannot be written, is no record, is cut or damaged, or is of another device.
    pub fn open(path: &Path, greeting: &Greeting) -> Result<Self, RecordError> {
        let failed = |action, reason| RecordError::File { path: path.into(), action, reason };
        let mut bytes = Vec::new();
        match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Err(reason) if reason.kind() != ErrorKind::NotFound => return Err(failed("read", reason)),
            _ => {}
        }
        let lines = if bytes.is_empty() { Vec::new() } else { parse(path, &bytes)? };
        let begin = Entry::begin(greeting);
        if let Some(Line { what: found @ Entry::Begin { firmware, .. }, .. }) = lines.first()
            && *found != begin
        {
            return Err(RecordError::OtherDevice { path: path.into(), firmware: firmware.clone() });
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|reason| failed("written", reason))?;
        let mut recorder = Self { file, path: path.into(), next: 0, samples: 0, options_known: false, empty: true };
        if lines.is_empty() {
            recorder.write(begin)?;
        } else {
            recorder.next = lines.len() as u32;
            lines.iter().for_each(|line| recorder.count(&line.what));
        }
        Ok(recorder)
    }

    /// Whether a record may go on with a device that is found like this; `resets` says that it is reset next.
    ///
    /// # Errors
    /// [`RecordError::NotNew`], [`RecordError::Changed`].
    pub fn check(&self, status: &Status, resets: bool) -> Result<(), RecordError> {
        let Status { step, samples, .. } = *status;
        if self.empty && !resets && (step, samples) != (0, 0) {
            return Err(RecordError::NotNew { step, samples });
        }
        if !resets && samples != self.samples {
            return Err(RecordError::Changed { path: self.path.clone(), found: samples, recorded: self.samples });
        }
        Ok(())
    }

    /// Whether the device may be told to tune as the last time.
    ///
    /// # Errors
    /// [`RecordError::UnknownOptions`].
    pub fn check_options(&self) -> Result<(), RecordError> {
        if self.options_known { Ok(()) } else { Err(RecordError::UnknownOptions) }
    }

    /// Adds a line, and brings it to the disk.
    ///
    /// # Errors
    /// [`RecordError::File`].
    pub fn write(&mut self, what: Entry) -> Result<(), RecordError> {
        let line = Line { n: self.next, what };
        let failed = |reason| RecordError::File { path: self.path.clone(), action: "written", reason };
        let text = serde_json::to_string(&line).map_err(|reason| failed(reason.into()))? + "\n";
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).map_err(failed)?;
        self.next += 1;
        self.count(&line.what);
        Ok(())
    }

    fn count(&mut self, what: &Entry) {
        match what {
            Entry::Begin { .. } | Entry::Found { .. } => return,
            Entry::Label { .. } => self.samples += 1,
            Entry::Forget { samples, .. } => self.samples = self.samples.saturating_sub(*samples),
            Entry::Tune { options: Some(_), .. } => self.options_known = true,
            Entry::Reset { .. } => (self.samples, self.options_known) = (0, false),
            _ => {}
        }
        self.empty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entries: Vec<Entry>) -> String {
        let line = |(n, what)| serde_json::to_string(&Line { n, what }).unwrap() + "\n";
        (0..).zip(entries).map(line).collect()
    }

    fn begin() -> Entry {
        let (firmware, form) = ("test 1".into(), "f32".into());
        Entry::Begin { pg_device: 1, firmware, fingerprint: "00000000000000ab".into(), model_crc: "00000001".into(), form, samples: 9 }
    }

    fn error(text: &str) -> String {
        parse(Path::new("a.jsonl"), text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn every_number_is_read_back_to_the_same_bits() {
        assert_eq!(Options::try_from(&TuneOptions::from(&Options::DEFAULT)), Ok(Options::DEFAULT));
        let values = vec![0.0, -0.0, 1.0, 0.1, 1e-40, f32::MAX, -16_777_216.0, f32::MIN_POSITIVE];
        let entries = vec![
            begin(),
            Entry::Label { step: 0, class: 2, values: Exacts(values.clone()) },
            Entry::Tune { step: 0, steps: 3, options: Some((&Options::DEFAULT).into()) },
            Entry::Found {
                step: 3,
                samples: 1,
                tuning: false,
                loss_nats: Exact(f32::NAN),
                best_loss_nats: Exact(f32::INFINITY),
                parameters_crc: None,
            },
        ];
        let lines = parse(Path::new("a.jsonl"), text(entries.clone()).as_bytes()).unwrap();
        assert!(lines.iter().map(|line| &line.what).eq(&entries));
        let Entry::Label { values: Exacts(found), .. } = &lines[1].what else { panic!() };
        assert!(found.iter().map(|value| value.to_bits()).eq(values.iter().map(|value| value.to_bits())));
    }

    #[test]
    fn what_is_no_record_or_a_damaged_one_is_one_sentence() {
        let whole = text(vec![begin(), Entry::Stop { step: 1 }, Entry::Reset { step: 0 }]);
        assert_eq!(error(""), "a.jsonl is no record of a session with a device: `pg-host device --record` writes one");
        assert_eq!(error("{\"n\":0}\n"), error(""));
        assert_eq!(error(&text(vec![Entry::Stop { step: 1 }])), error(""));
        let cut = "a.jsonl ends in the middle of line 3: without that line, what is before it can be replayed";
        assert_eq!(error(&whole[..whole.len() - 1]), cut);
        assert_eq!(error(&whole[..whole.len() - 9]), cut);
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let swapped = [lines[0], lines[2], lines[1]].concat();
        assert_eq!(error(&swapped), "line 2 of a.jsonl has the number 2 where 1 belongs: lines are missing or out of order");
        assert_eq!(error(&[lines[0], lines[2]].concat()), error(&swapped));
        let damaged = [lines[0], "{\"n\":1,\"do\":\"dance\"}\n"].concat();
        assert!(error(&damaged).starts_with("line 2 of a.jsonl is damaged: unknown variant `dance`"), "{}", error(&damaged));
        let newer = whole.replace("\"pg_device\":1", "\"pg_device\":2");
        assert_eq!(error(&newer), "a.jsonl is a record of format 2, and this program reads format 1: use the pg-host that wrote it");
    }
}
