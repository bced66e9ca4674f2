//! `replay --session`: what a device computed in a recorded session, computed here, and held against what the record says of it.
//!
//! Between two resets the session is a list of events for [`Session`]; whatever the record says of the device becomes a mark among them. Where
//! power was cut the device went on from its last save with the same bits: what it had said of later steps is compared all the same, if it came
//! that far again.

use std::time::Instant;

use anyhow::anyhow;
use pg_core::floats::Floats;
use pg_core::learner;
use pg_core::link::Options;
use pg_core::model_file::{Model, Provenance};
use pg_core::tuner::Settings;
use serde_json::json;

use super::json_text;
use super::replay::log;
use crate::device::record::{self, Entry, Exact, Line};
use crate::failure::Failure;
use crate::model::{Known, ModelFile, write};
use crate::options::SessionOptions;
use crate::session::{BATCHES, Event, MOST_SAMPLES, Mark, Session, Tuned};

/// What the record says of a moment.
struct Said<'a> {
    /// Of the line, from 1.
    line: u32,
    step: u32,
    /// All but the step, where the line has more.
    found: Option<&'a Entry>,
}

/// What happens between two resets.
#[derive(Default)]
struct Stretch<'a> {
    events: Vec<Event<'a>>,
    said: Vec<Said<'a>>,
    /// Steps at the last event, as the record says.
    step: u32,
    /// Steps that were asked for, and are not among the events yet.
    left: u32,
    /// What was said meanwhile.
    meanwhile: Vec<Said<'a>>,
    batch: Option<u16>,
}

impl<'a> Stretch<'a> {
    fn mark(&mut self, said: Said<'a>) {
        self.events.push(Event::Mark { checksum: matches!(said.found, Some(Entry::Found { parameters_crc: Some(_), .. })) });
        self.said.push(said);
    }

    fn steps(&mut self, until: u32) {
        let count = until.saturating_sub(self.step).min(self.left);
        if count > 0 {
            self.events.push(Event::Steps(count));
        }
        (self.step, self.left) = (self.step + count, self.left - count);
    }

    /// Tuning ends at this step by a command, or, with `None`, as far as was asked for or by itself.
    fn end(&mut self, at: Option<u32>) {
        let mut meanwhile = std::mem::take(&mut self.meanwhile);
        // After a power cut steps come again.
        meanwhile.sort_by_key(|said| said.step);
        for said in meanwhile.into_iter().filter(|said| at.is_none_or(|at| said.step <= at)) {
            self.steps(said.step);
            self.mark(said);
        }
        self.steps(at.unwrap_or(u32::MAX));
        self.left = 0;
    }

    /// How the device was found.
    fn found(&mut self, said: Said<'a>) {
        if self.left > 0 { self.meanwhile.push(said) } else { self.mark(said) }
    }

    /// A command that took effect at this step, which a device that tunes refuses.
    fn command(&mut self, line: u32, step: u32, event: Option<Event<'a>>) {
        self.end(None);
        self.mark(Said { line, step, found: None });
        self.step = step;
        self.events.extend(event);
    }
}

pub(super) fn run(networks: &[crate::entry::Entry], options: &SessionOptions) -> Result<String, Failure> {
    let started = Instant::now();
    let lines = record::read(&options.session)?;
    let file = ModelFile::read(&options.model)?;
    let known = file.of(networks)?;
    let (name, model) = (options.session.display(), options.model.display());
    let Some(Line { what: Entry::Begin { fingerprint, model_crc, samples: room, .. }, .. }) = lines.first() else {
        return Err(anyhow!("{name} has no beginning").into());
    };
    if *fingerprint != format!("{:016x}", known.model.fingerprint()) {
        return Err(anyhow!("{name} is of a device with another network ({fingerprint}) than that of {model}: give its model").into());
    }
    if *model_crc != format!("{:08x}", file.crc()) {
        let found = file.crc();
        return Err(anyhow!("the device of {name} was built with another model (check sum {model_crc}) than {model} ({found:08x})").into());
    }
    if *room as usize > MOST_SAMPLES {
        return Err(anyhow!("the device of {name} has room for {room} samples, and a replay for {MOST_SAMPLES}").into());
    }
    let mut counts = Counts::default();
    let mut stretches = vec![Stretch::default()];
    for line in &lines[1..] {
        add(&mut stretches, &mut counts, line).map_err(|reason| anyhow!("line {} of {name}: {reason}", line.n + 1))?;
    }
    let mut last = None;
    for stretch in &mut stretches {
        stretch.end(None);
        let tuned = replay(&known, stretch, *room as usize)?;
        for (said, mark) in stretch.said.iter().zip(&tuned.marks) {
            counts.compared += u32::from(said.found.is_some());
            compare(said, mark).map_err(|difference| {
                anyhow!(
                    "line {} of {name}: {difference}; a command is missing in the record, power went before it was saved, or the device \
                     computes other bits",
                    said.line
                )
            })?;
        }
        counts.steps += tuned.losses.len();
        last = Some(tuned);
    }
    let tuned = last.ok_or_else(|| anyhow!("{name} has no commands"))?;
    if let Some(out) = &options.out {
        let written = format!("{} device_step={}", known.model.provenance.options, tuned.losses.len());
        let provenance = Provenance { options: written.trim_start(), scores: "", ..known.model.provenance };
        write(out, &Model { parameters: Floats::new(&tuned.parameters), provenance, ..known.model })?;
    }
    let Counts { commands, labels, steps, compared } = counts;
    let (crc, seconds) = (format!("{:08x}", tuned.checksum), started.elapsed().as_secs_f64());
    if options.log {
        return Ok(log(&tuned));
    }
    if options.json {
        return Ok(json_text(&json!({
            "session": options.session, "model": options.model, "net": known.entry.name(), "commands": commands, "labelled": labels,
            "steps": steps, "compared": compared, "parameters_crc": crc, "seconds": seconds,
        })));
    }
    Ok(format!(
        "{commands} commands, {labels} of them samples, {steps} steps: the same bits at all {compared} moments of the record ({seconds:.2} s)\n\
         parameters crc {crc}\n"
    ))
}

#[derive(Default)]
struct Counts {
    commands: u32,
    labels: u32,
    steps: usize,
    compared: u32,
}

/// Adds a line to the stretches, or says what is wrong with it.
fn add<'a>(stretches: &mut Vec<Stretch<'a>>, counts: &mut Counts, line: &'a Line) -> Result<(), String> {
    let number = line.n + 1;
    counts.commands += u32::from(!matches!(line.what, Entry::Found { .. }));
    let Some(stretch) = stretches.last_mut() else { return Ok(()) };
    match &line.what {
        Entry::Begin { .. } | Entry::Save { .. } => {}
        found @ &Entry::Found { step, .. } => stretch.found(Said { line: number, step, found: Some(found) }),
        &Entry::Label { step, class, ref values } => {
            counts.labels += 1;
            stretch.command(number, step, Some(Event::Label { values: &values.0, label: class }));
        }
        &Entry::Tune { step, steps, ref options } => {
            let begin = match options {
                Some(options) => {
                    let options = Options::try_from(options)?;
                    let batch = *stretch.batch.get_or_insert(options.batch);
                    if batch != options.batch || !BATCHES.contains(&batch.into()) {
                        return Err(format!("a batch of {}, where a replay has one of {BATCHES:?}, always the same", options.batch));
                    }
                    let settings = learner::settings(&options);
                    Some(Event::Begin { settings, seed: options.seed })
                }
                None if stretch.batch.is_none() => return Err(record::RecordError::UnknownOptions.to_string()),
                None => None,
            };
            stretch.command(number, step, begin);
            stretch.left = steps;
        }
        &Entry::Stop { step } => {
            stretch.end(Some(step));
            stretch.mark(Said { line: number, step, found: None });
        }
        &Entry::Push { step, ref parameters } => stretch.command(number, step, Some(Event::Adopt(&parameters.0))),
        &Entry::RollBack { step } => stretch.command(number, step, Some(Event::RollBack)),
        &Entry::Forget { step, samples } => stretch.command(number, step, Some(Event::Forget(samples))),
        Entry::Reset { .. } => {
            let untouched = stretch.events.iter().all(|event| matches!(event, Event::Mark { .. }));
            if untouched {
                // Nothing had happened in this record: what the device was like is nobody's business.
                stretches.pop();
            }
            stretches.push(Stretch::default());
        }
    }
    Ok(())
}

fn replay(known: &Known, stretch: &Stretch, room: usize) -> Result<Tuned, Failure> {
    let session = Session {
        parameters: &known.parameters,
        normalisation: known.model.normalisation,
        settings: Settings::DEFAULT,
        seed: 1,
        batch: stretch.batch.map_or(BATCHES[0], usize::from),
        room,
        events: &stretch.events,
    };
    Ok(known.entry.network().tune(&session).map_err(|reason| anyhow!("the device did what the replay refuses: {reason}"))?)
}

/// Whether the record says of a moment what the replay does.
fn compare(said: &Said, mark: &Mark) -> Result<(), String> {
    let differs = |what: &str, device: &dyn std::fmt::Display, here: &dyn std::fmt::Display| {
        Err(format!("the device was at step {} with {what} {device}, and the replay has {here}", said.step))
    };
    if said.step != mark.step {
        return Err(format!("the device was at step {}, and the replay is at step {}", said.step, mark.step));
    }
    let Some(Entry::Found { samples, loss_nats, best_loss_nats, parameters_crc, .. }) = said.found else { return Ok(()) };
    if *samples != mark.samples {
        return differs("samples", samples, &mark.samples);
    }
    if *loss_nats != Exact(mark.loss) {
        return differs("the loss", &loss_nats.0, &mark.loss);
    }
    if *best_loss_nats != Exact(mark.best_loss) {
        return differs("the best loss", &best_loss_nats.0, &mark.best_loss);
    }
    match (parameters_crc, mark.checksum.map(|crc| format!("{crc:08x}"))) {
        (Some(device), Some(here)) if *device != here => differs("parameters of check sum", device, &here),
        _ => Ok(()),
    }
}
