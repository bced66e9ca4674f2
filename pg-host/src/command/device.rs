//! `device`: one request or transfer after another, with a bar on a terminal.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pg_core::floats::Floats;
use pg_core::link::{Activity, CRC, Form, Reply, Request, Retry, Sample, Status};
use pg_core::model_file::{Model, Provenance};
use serde_json::{Value, json};

use super::{columns, json_text, load, say, with_classes};
use crate::choose;
use crate::data::{Dataset, Samples};
use crate::device::record::{Entry, Exacts, RecordError, Recorder};
use crate::device::{Action, Buffers, Connection, DeviceError, DeviceOptions, Greeting, Picked, open, session, transfer};
use crate::failure::Failure;
use crate::interrupt;
use crate::model::{ModelFile, write};
use crate::parts::select;

/// Between two looks at what a device does.
const LOOK: Duration = Duration::from_millis(200);

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Failure::Run(error.into())
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::UnknownOptions => Failure::Usage(error.to_string()),
            _ => Failure::Run(error.into()),
        }
    }
}

/// The record, if one is wanted.
struct Record(Option<Recorder>);

impl Record {
    /// Adds a line for what the device has just done.
    fn add(&mut self, entry: impl FnOnce() -> Entry) -> Result<(), Failure> {
        Ok(self.0.as_mut().map_or(Ok(()), |recorder| recorder.write(entry()))?)
    }

    /// Adds how the device is, and returns it.
    fn found(&mut self, device: &mut Connection) -> Result<Option<Status>, Failure> {
        let Some(recorder) = &mut self.0 else { return Ok(None) };
        let status = device.status()?;
        let parameters = device.ask(&Request::Parameters, |reply| match reply {
            Reply::Parameters { generation, crc, .. } => Some((generation, crc)),
            _ => None,
        })?;
        // A device that tunes may have taken a step in between.
        let crc = (parameters.0 == status.generation).then_some(parameters.1);
        recorder.write(Entry::found(&status, crc))?;
        Ok(Some(status))
    }
}

pub(super) fn run(options: &DeviceOptions) -> Result<String, Failure> {
    options.check()?;
    let mut line = open(&options.port, options.baud)?;
    let mut buffers = Buffers::new();
    let mut connection = Connection::new(&mut *line, session(), Retry::DEFAULT, &mut buffers);
    let greeting = connection.hello()?;
    let device = &mut connection;
    let recorder = options.record.as_ref().map(|path| Recorder::open(path, &greeting)).transpose()?;
    let mut record = Record(recorder);
    if let Some(recorder) = &record.0 {
        recorder.check(&device.status()?, options.action == Action::Reset)?;
        if let Action::Tune { options: None, .. } = options.action {
            recorder.check_options()?;
        }
    }
    // What it was like before a reset is nobody's business, and may have come about without a record.
    if options.action != Action::Reset {
        record.found(device)?;
    }
    let outcome = act(options, &greeting, device, &mut record);
    // What was done before something went wrong is in the record, too; how the device is then, no more than can be asked.
    match (outcome, record.found(device)) {
        (Ok(text), found) => found.map(|_| text),
        (failure, _) => failure,
    }
}

fn act(options: &DeviceOptions, greeting: &Greeting, device: &mut Connection, record: &mut Record) -> Result<String, Failure> {
    let done = |what: &str, name: &str, value: u32| match options.json {
        true => json_text(&json!({ name: value })),
        false => format!("{what} {value}\n"),
    };
    match &options.action {
        Action::Info => info(device, greeting, options.json),
        Action::Infer(picked) => infer(device, greeting, picked, options.json),
        Action::Label(picked) => {
            let (samples, classes) = pick(picked, greeting)?;
            let bar = bar(samples.len() as u64, "samples");
            let mut step = 0;
            for i in 0..samples.len() {
                let label = samples.labels[i];
                let give = |sample: Sample<'_>| {
                    step = device.act(&Request::Label { label, sample })?;
                    record.add(|| Entry::label(step, label, &sample))
                };
                with_sample(&samples, i, greeting, give).map_err(|failure| told(failure, i, samples.len()))?;
                bar.inc(1);
            }
            bar.finish_and_clear();
            let count = samples.len();
            Ok(match options.json {
                true => json_text(&json!({ "samples": count, "classes": classes.len(), "step": step })),
                false => format!("{count} samples given, at step {step}\n"),
            })
        }
        Action::Tune { steps, options: how } => {
            interrupt::listen();
            let step = device.act(&Request::Tune { steps: *steps, options: *how })?;
            record.add(|| Entry::Tune { step, steps: *steps, options: how.as_ref().map(Into::into) })?;
            let bar = bar(u64::from(*steps), "steps");
            let status = loop {
                let status = record.found(device)?.map_or_else(|| device.status(), Ok)?;
                bar.set_position(u64::from(steps.saturating_sub(status.steps_left)));
                if status.activity != Activity::Tuning {
                    break status;
                }
                if interrupt::asked() {
                    stop(device, record)?;
                    break device.status()?;
                }
                device.pause(LOOK);
            };
            bar.finish_and_clear();
            Ok(if options.json { json_text(&status_json(&status)) } else { format!("{}\n", status_line(&status)) })
        }
        Action::Stop => Ok(done("stopped at step", "step", stop(device, record)?)),
        Action::Eval(part) => {
            let (samples, right, loss) = device.ask(&Request::Evaluate { part: *part }, |reply| match reply {
                Reply::Evaluated { samples, right, loss_nats } => Some((samples, right, loss_nats)),
                _ => None,
            })?;
            let accuracy = f64::from(right) / f64::from(samples.max(1));
            Ok(match options.json {
                true => json_text(&json!({ "samples": samples, "right": right, "accuracy": accuracy, "loss_nats": loss })),
                false => format!("{right} of {samples} right ({:.1} %), loss {loss:.4} nats\n", 100.0 * accuracy),
            })
        }
        Action::Pull { model, out } => pull(device, greeting, model, out, options.json),
        Action::Push(model) => push(device, greeting, model, record, options.json),
        Action::Save => {
            let sequence = device.ask(&Request::Save, |reply| match reply {
                Reply::Saved { sequence } => Some(sequence),
                _ => None,
            })?;
            record.add(|| Entry::Save { state: sequence })?;
            Ok(done("saved as state", "saved", sequence))
        }
        Action::RollBack => {
            let step = device.act(&Request::RollBack)?;
            record.add(|| Entry::RollBack { step })?;
            Ok(done("back at the best parameters, at step", "step", step))
        }
        Action::Forget(samples) => {
            let step = device.act(&Request::Forget { samples: *samples })?;
            record.add(|| Entry::Forget { step, samples: *samples })?;
            Ok(done("forgotten, at step", "step", step))
        }
        Action::Reset => {
            let step = device.act(&Request::Reset)?;
            record.add(|| Entry::Reset { step })?;
            Ok(done("back at the factory's state, at step", "step", step))
        }
        Action::SelfTest => {
            let (passed, of) = device.ask(&Request::SelfTest, |reply| match reply {
                Reply::Tested { passed, of } => Some((passed, of)),
                _ => None,
            })?;
            if passed != of {
                return Err(anyhow!("only {passed} of {of} known samples gave the right bits: flash the firmware anew").into());
            }
            Ok(if options.json {
                json_text(&json!({ "passed": passed, "of": of }))
            } else {
                format!("{passed} of {of} known samples passed\n")
            })
        }
        Action::Monitor => monitor(device, options.json),
    }
}

fn info(device: &mut Connection, greeting: &Greeting, json: bool) -> Result<String, Failure> {
    let plan = (0..greeting.plan_rows).map(|row| {
        device.ask(&Request::Plan { row }, |reply| match reply {
            Reply::Plan { name, bytes } => Some((name.to_owned(), bytes)),
            _ => None,
        })
    });
    let plan = plan.collect::<Result<Vec<_>, _>>()?;
    let status = device.status()?;
    if json {
        let memory: serde_json::Map<String, Value> = plan.into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        let Greeting { firmware, fingerprint, model_crc, input, classes, params, samples, largest_request, largest_reply, .. } = greeting;
        return Ok(json_text(&json!({
            "firmware": firmware, "protocol": pg_core::link::VERSION, "fingerprint": format!("{fingerprint:016x}"),
            "model_crc": format!("{model_crc:08x}"), "input": [input.channels, input.height, input.width], "classes": classes,
            "parameters": params, "form": greeting.form.to_string(), "samples": samples, "largest_request_bytes": largest_request,
            "largest_reply_bytes": largest_reply, "memory_bytes": memory, "status": status_json(&status),
        })));
    }
    let Greeting { firmware, fingerprint, input, classes, params, samples, form, .. } = greeting;
    let mut text = format!(
        "{firmware}\nnetwork {fingerprint:016x}: {input} inputs, {classes} classes, {params} parameters\nkeeps up to {samples} samples as {form}\n\n"
    );
    let total: u32 = plan.iter().map(|(_, bytes)| bytes).sum();
    let mut rows: Vec<Vec<String>> = plan.into_iter().map(|(name, bytes)| vec![name, bytes.to_string()]).collect();
    rows.push(vec!["together, bytes".into(), total.to_string()]);
    text += &columns(&rows);
    text += &format!("\n{}\n", status_line(&status));
    Ok(text)
}

fn infer(device: &mut Connection, greeting: &Greeting, picked: &Picked, json: bool) -> Result<String, Failure> {
    let (samples, classes) = pick(picked, greeting)?;
    let bar = bar(samples.len() as u64, "samples");
    let mut predicted = Vec::with_capacity(samples.len());
    for i in 0..samples.len() {
        predicted.push(with_sample(&samples, i, greeting, |sample| {
            Ok(device.ask(&Request::Infer { sample }, |reply| match reply {
                Reply::Inferred { class, logits } => Some((class, logits.iter().map(f32::to_bits).collect::<Vec<_>>())),
                _ => None,
            })?)
        })?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let right = predicted.iter().zip(&samples.labels).filter(|((class, _), label)| class == *label).count();
    let name = |class: u16| classes.get(usize::from(class)).cloned().unwrap_or_else(|| class.to_string());
    if json {
        let rows: Vec<Value> = (predicted.iter().zip(&samples.labels))
            .map(|((class, bits), &label)| {
                let bits: Vec<String> = bits.iter().map(|bits| format!("{bits:08x}")).collect();
                json!({ "class": name(*class), "label": name(label), "bits": bits })
            })
            .collect();
        return Ok(json_text(&json!({ "samples": samples.len(), "right": right, "predictions": rows })));
    }
    let mut text = String::from("sample,class,label\n");
    for (i, ((class, _), &label)) in predicted.iter().zip(&samples.labels).enumerate() {
        text += &format!("{i},{},{}\n", name(*class), name(label));
    }
    say(&format!("{right} of {} right ({:.1} %)", samples.len(), 100.0 * right as f64 / samples.len() as f64));
    Ok(text)
}

/// The samples that were picked, of the device's shape, and the names of their classes.
fn pick(picked: &Picked, greeting: &Greeting) -> Result<(Samples, Vec<String>), Failure> {
    let mut data = load(&picked.data)?;
    let turned = picked.data.shape.is_none() && choose::turned(data.shape) == Some(greeting.input);
    if turned {
        data = data.read_as(greeting.input)?;
    }
    if let Some(model) = &picked.model {
        let file = ModelFile::read(model)?;
        let classes = file.decode()?.classes.iter().map(String::from).collect();
        let (read, names) = with_classes(data, classes, usize::from(greeting.classes))?;
        data = Dataset { classes: names, ..read };
    }
    let (name, shape, classes) = (data.name.clone(), data.shape, data.classes.clone());
    if shape != greeting.input {
        return Err(anyhow!("{name} has {shape} inputs, and the device's network takes {}", greeting.input).into());
    }
    if classes.len() > usize::from(greeting.classes) {
        return Err(anyhow!("{name} has {} classes, and the device's network {}", classes.len(), greeting.classes).into());
    }
    let (mut samples, _) = select(data, picked.part)?;
    let first = picked.skip.min(samples.len());
    let count = picked.limit.unwrap_or(usize::MAX).min(samples.len() - first);
    if count == 0 {
        return Err(Failure::Usage(format!("{name} has no samples there: lower --skip, or choose another --part")));
    }
    samples.labels = samples.labels[first..][..count].to_vec();
    samples.inputs = samples.inputs[first * shape.len()..][..count * shape.len()].to_vec();
    Ok((samples, classes))
}

/// Lends sample `i` in the form that the device keeps.
fn with_sample<T>(
    samples: &Samples,
    i: usize,
    greeting: &Greeting,
    f: impl FnOnce(Sample<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let length = greeting.input.len();
    let values = &samples.inputs[i * length..][..length];
    let range = match greeting.form {
        Form::U8 => 0.0..=255.0,
        Form::I8 => -128.0..=127.0,
        Form::F32 => return f(Sample::F32(Floats::new(values))),
    };
    if let Some(value) = values.iter().find(|value| value.fract() != 0.0 || !range.contains(*value)) {
        let form = greeting.form;
        return Err(anyhow!(
            "sample {i} has the value {value}, and the device keeps {form}: use firmware that keeps floating-point numbers"
        )
        .into());
    }
    let bytes: Vec<u8> = values.iter().map(|&value| value as i16 as u8).collect();
    f(if greeting.form == Form::U8 { Sample::U8(&bytes) } else { Sample::I8(&bytes) })
}

/// Says how many samples were given before one was refused.
fn told(failure: Failure, given: usize, of: usize) -> Failure {
    match failure {
        Failure::Run(error) => Failure::Run(error.context(format!("after {given} of {of} samples"))),
        usage => usage,
    }
}

fn pull(device: &mut Connection, greeting: &Greeting, model: &Path, out: &Path, json: bool) -> Result<String, Failure> {
    let file = ModelFile::read(model)?;
    let like = file.decode()?;
    if like.fingerprint() != greeting.fingerprint {
        let name = model.display();
        return Err(anyhow!("{name} is of another network than the device's ({:016x}): give one of that", greeting.fingerprint).into());
    }
    let step = device.status()?.step;
    let bar = bar(u64::from(4 * greeting.params), "bytes");
    let parameters = transfer::pull(device, transfer::piece_bytes(greeting.largest_reply), |now, _| bar.set_position(now.into()))?;
    bar.finish_and_clear();
    let options = format!("{} device_step={step}", like.provenance.options);
    let provenance = Provenance { options: options.trim_start(), scores: "", ..like.provenance };
    let pulled = Model { parameters: Floats::new(&parameters), provenance, ..like };
    write(out, &pulled)?;
    Ok(match json {
        true => {
            let crc = CRC.checksum(&parameters.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>());
            let (model, crc) = (out.display().to_string(), format!("{crc:08x}"));
            json_text(&json!({ "model": model, "parameters": parameters.len(), "parameters_crc": crc, "step": step }))
        }
        false => format!("{} parameters of step {step} written to {}\n", parameters.len(), out.display()),
    })
}

/// Ends tuning: the step after which it does.
fn stop(device: &mut Connection, record: &mut Record) -> Result<u32, Failure> {
    let step = device.act(&Request::Stop)?;
    record.add(|| Entry::Stop { step })?;
    Ok(step)
}

fn push(device: &mut Connection, greeting: &Greeting, model: &Path, record: &mut Record, json: bool) -> Result<String, Failure> {
    let file = ModelFile::read(model)?;
    let model = file.decode()?;
    let parameters: Vec<f32> = model.parameters.iter().collect();
    let bar = bar(4 * parameters.len() as u64, "bytes");
    let piece = transfer::piece_bytes(greeting.largest_request);
    let step = transfer::push(device, model.fingerprint(), &parameters, piece, |now, _| bar.set_position(now.into()))?;
    record.add(|| Entry::Push { step, parameters: Exacts(parameters.clone()) })?;
    bar.finish_and_clear();
    Ok(match json {
        true => json_text(&json!({ "parameters": parameters.len(), "step": step })),
        false => format!("{} parameters given, at step {step}; `save` keeps them beyond a power cut\n", parameters.len()),
    })
}

fn monitor(device: &mut Connection, json: bool) -> Result<String, Failure> {
    interrupt::listen();
    loop {
        let status = device.status()?;
        let last = status.activity != Activity::Tuning || interrupt::asked();
        let text = if json { status_json(&status).to_string() } else { status_line(&status) };
        if last {
            return Ok(text + "\n");
        }
        // Whoever reads this may have read enough.
        if writeln!(std::io::stdout(), "{text}").is_err() {
            return Ok(String::new());
        }
        device.pause(Duration::from_secs(1));
    }
}

fn status_line(status: &Status) -> String {
    let activity = match status.activity {
        Activity::Idle => "idle",
        Activity::Tuning => "tuning",
        Activity::Stopped => "stopped: the loss on the held-out samples falls no more",
        Activity::Diverged => "diverged: back at the best parameters",
    };
    let Status { step, samples, held_out, saved, .. } = status;
    let loss = |nats: f32| if nats.is_finite() { format!("{nats:.4}") } else { "-".into() };
    let (now, best) = (loss(status.loss_nats), loss(status.best_loss_nats));
    format!("{activity}; step {step}, loss {now}, best held-out {best}; {samples} samples, {held_out} held out; saved state {saved}")
}

fn status_json(status: &Status) -> Value {
    let activity = match status.activity {
        Activity::Idle => "idle",
        Activity::Tuning => "tuning",
        Activity::Stopped => "stopped",
        Activity::Diverged => "diverged",
    };
    // What is no number is null in JSON.
    json!({
        "activity": activity, "step": status.step, "steps_left": status.steps_left, "samples": status.samples, "held_out": status.held_out,
        "loss_nats": status.loss_nats, "best_loss_nats": status.best_loss_nats, "best_step": status.best_step, "saved": status.saved,
        "dropped_frames": status.dropped,
    })
}

/// A bar on a terminal; nothing elsewhere.
fn bar(length: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:24.cyan/dim} {pos}/{len} {msg}  {eta} left").expect("a constant template");
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_message(unit.to_owned());
    bar
}
