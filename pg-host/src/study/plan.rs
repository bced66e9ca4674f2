//! From a study to its runs: which there are, and which can be started now. It runs nothing and measures nothing.
//!
//! A **point** is a place in the study: a cell, a network, a level of an axis or none, an arm. Its settings are chosen in a **unit** of
//! trials; points that only differ in what is varied after the choice share one. The words of a run are, in this order: those of the study,
//! the cell, the network, the arm, the level where settings are chosen anew, the setting, the level where they are not, and the seed. A
//! later word counts.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::file::{Grid, Method, Study, word};
use super::records::Records;
use crate::cli::train_options;
use crate::failure::Failure;
use crate::options::TrainOptions;

/// A training run of a study.
#[derive(Clone, Debug)]
pub struct Run {
    /// The words for `train`.
    pub words: String,
    /// What they mean.
    pub options: TrainOptions,
    /// What makes it what it is: [`identity`] as text.
    pub key: String,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A trial: judged on samples put aside from the training part; the test part is not looked at.
    Tuning,
    /// Learns from the whole training part, and is tested at its end.
    Final,
}

/// A place in the study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the cell.
    pub cell: usize,
    /// The network.
    pub net: String,
    /// The numbers of the axis and of its level.
    pub level: Option<[usize; 2]>,
    /// The number of the arm.
    pub arm: usize,
}

/// A place, and what leads to its runs.
#[derive(Clone, Debug)]
pub struct Point {
    /// Where.
    pub place: Place,
    /// The number of the unit in which its setting is chosen.
    pub unit: usize,
    /// Words after the setting.
    after: String,
}

/// Trials of which one is chosen.
#[derive(Clone, Debug)]
pub struct Unit {
    /// For people: the first place that asks for it.
    pub name: String,
    /// Words before the setting.
    before: String,
    /// The settings.
    pub trials: Vec<String>,
    epochs: u32,
}

/// All that a study runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The study.
    pub study: Study,
    /// Where settings are chosen.
    pub units: Vec<Unit>,
    /// Where something is measured.
    pub points: Vec<Point>,
}

/// What is known of a unit's choice.
pub enum Choice {
    /// These runs are missing before anything can be chosen or tried further.
    Waiting(Vec<Run>),
    /// The number of the trial.
    Chosen(usize),
}

/// One part of so many, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Everything.
    pub const ALL: Self = Self { part: 1, of: 1 };

    /// Whether a unit, with all its points, belongs to it.
    pub fn has(self, unit: usize) -> bool {
        unit % self.of == self.part - 1
    }
}

/// All options of a run that its result follows from, and the data they are for: neither threads nor the model file.
pub fn identity(options: &TrainOptions) -> Value {
    let mut identity = serde_json::json!(options);
    if let Value::Object(map) = &mut identity {
        map.retain(|name, _| name != "threads" && name != "out");
        let csv = &options.data.csv;
        let more = [
            ("label", csv.label.clone()),
            ("test", csv.test.as_ref().map(|path| path.display().to_string())),
            ("as", options.data.shape.map(|shape| shape.to_string())),
        ];
        map.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?.into()))));
    }
    without_idle(&mut identity);
    identity
}

/// Takes away what says how members would be made from a run without members, which does not follow from it.
pub fn without_idle(identity: &mut Value) {
    if let Value::Object(map) = identity
        && map.get("population").is_some_and(|members| members == 0)
    {
        map.retain(|name, _| !["rho", "noise", "antithetic"].contains(&name.as_str()));
    }
}

/// Options that a study gives itself, or that have no meaning in it.
const OWN: [&str; 8] = ["--seed", "--validation", "--threads", "--out", "--json", "--checkpoint", "--every", "--resume"];

impl Run {
    /// The run with these words.
    pub fn new(words: String, purpose: Purpose) -> Result<Self, String> {
        let list = shlex::split(&words).ok_or_else(|| format!("a quotation in `{words}` has no end"))?;
        let mut options = train_options(&list)?;
        options.check().map_err(|failure| failure.to_string())?;
        options.threads = 1;
        let key = identity(&options).to_string();
        Ok(Self { words, options, key, purpose })
    }
}

/// Words one after the other.
fn joined(parts: &[&str]) -> String {
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Refuses words that a study gives itself.
fn without_own(words: &str) -> Result<(), String> {
    let list = shlex::split(words).ok_or_else(|| format!("a quotation in `{words}` has no end"))?;
    match list.iter().find(|word| OWN.contains(&word.split('=').next().unwrap_or(word))) {
        Some(own) => Err(format!("`{own}` is not for a study, which gives seeds, validation and files itself")),
        None => Ok(()),
    }
}

/// Every combination of the values, as words; the last option changes fastest.
fn combinations(grid: &Grid) -> Vec<String> {
    grid.iter().fold(vec![String::new()], |settings, (option, values)| {
        let with = |setting: &String, value| joined(&[setting, &format!("--{option} {}", word(value))]);
        settings.iter().flat_map(|setting| values.iter().map(move |value| with(setting, value))).collect()
    })
}

/// `count` of the settings, the same on every machine: every so many-th of them round and round, by a step near the golden section that shares
/// no divisor with their number, so that no value of an option is passed over in turn with another's.
fn spread(settings: Vec<String>, count: usize) -> Vec<String> {
    let all = settings.len();
    let divides_both = |step: usize| (2..=step).any(|divisor| step.is_multiple_of(divisor) && all.is_multiple_of(divisor));
    let away = |step: usize| (step as f64 - 0.618_034 * all as f64).abs();
    let step = (1..all).filter(|&step| !divides_both(step)).min_by(|&a, &b| away(a).total_cmp(&away(b))).unwrap_or(1);
    let mut chosen: Vec<usize> = (0..count).map(|i| i * step % all).collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|i| settings[i].clone()).collect()
}

impl Plan {
    /// The plan of a study; `from` names it in errors.
    ///
    /// # Errors
    /// When words are no options of `train`, or an arm has fewer settings than trials are asked for.
    pub fn new(study: Study, from: &str) -> Result<Self, Failure> {
        let mut plan = Plan { study, units: Vec::new(), points: Vec::new() };
        let mut known = HashMap::new();
        let study = plan.study.clone();
        for (cell, (_, cell_file)) in study.cells.iter().enumerate() {
            for net in &cell_file.nets {
                let mut levels: Vec<Option<[usize; 2]>> = vec![None];
                for (axis, (_, file)) in study.axes.iter().enumerate() {
                    if file.cells.is_empty() || file.cells.contains(study.cells.get_index(cell).expect("it is one of them").0) {
                        levels.extend((0..file.levels().len()).map(|level| Some([axis, level])));
                    }
                }
                for level in levels {
                    let at = Place { cell, net: net.clone(), level, arm: 0 };
                    plan.add(at, &mut known).map_err(|sentence| Failure::Usage(format!("{from}: {sentence}")))?;
                }
            }
        }
        Ok(plan)
    }

    /// Adds the points of all arms at a place.
    fn add(&mut self, at: Place, known: &mut HashMap<String, usize>) -> Result<(), String> {
        let study = &self.study;
        let cell = &study.cells[at.cell];
        let axis = at.level.map(|[axis, level]| (&study.axes[axis], study.axes[axis].levels().swap_remove(level)));
        let arms: Vec<Place> = (0..study.arms.len()).map(|arm| Place { arm, ..at.clone() }).collect();
        let mut found = Vec::new();
        for place in arms {
            let name = self.name(&place);
            let (arm_name, arm) = study.arms.get_index(place.arm).expect("it is one of them");
            let level = axis.as_ref().filter(|(axis, _)| axis.arms.is_empty() || axis.arms.contains(arm_name));
            let fill = |words| cell.fill(words, &at.net).map_err(|reason| format!("{name}: {reason}"));
            let words = fill(level.map_or("", |(_, level)| &level.options))?;
            let retune = level.is_some_and(|(axis, _)| axis.retune);
            let [again, after] = if retune { [words, String::new()] } else { [String::new(), words] };
            let arm_words = fill(arm.options())?;
            for words in [&study.options, &cell.options, &arm_words, &again, &after] {
                without_own(words).map_err(|reason| format!("{name}: {reason}"))?;
            }
            let net = format!("--net {}", at.net);
            let before = joined(&[&study.options, &cell.options, &net, &arm_words, &again]);
            let settings = study.tuning.as_ref().map(|tuning| {
                let level_grid = level.filter(|_| retune).and_then(|(_, level)| level.grid.as_ref());
                let mut grid = tuning.grid.clone();
                for more in [Some(&cell.grid), arm.grid(), level_grid].into_iter().flatten() {
                    grid.extend(more.iter().map(|(option, values)| (option.clone(), values.clone())));
                }
                combinations(&grid)
            });
            let settings = settings.unwrap_or_else(|| vec![String::new()]);
            found.push((place, name, before, after, settings));
        }
        // Equal trials for all arms that meet at this place.
        let fewest = found.iter().map(|(.., settings)| settings.len()).min().unwrap_or(1);
        let trials = study.tuning.as_ref().and_then(|tuning| tuning.trials).unwrap_or(fewest);
        for (place, name, before, after, settings) in found {
            if settings.len() < trials {
                return Err(format!(
                    "{name}: its grid has {} settings, and {trials} trials are asked for of every arm: add values or lower `tuning.trials`",
                    settings.len()
                ));
            }
            let trials = spread(settings, trials);
            let named = |reason| format!("{name}: {reason}");
            let run = Run::new(joined(&[&before, &trials[0], &after]), Purpose::Final).map_err(named)?;
            for trial in &trials {
                Run::new(joined(&[&before, trial, &after]), Purpose::Final).map_err(named)?;
            }
            let key = format!("{} {}", Run::new(before.clone(), Purpose::Final).map_err(named)?.key, trials.join("|"));
            let unit = *known.entry(key).or_insert_with(|| {
                self.units.push(Unit { name, before, trials, epochs: run.options.epochs });
                self.units.len() - 1
            });
            self.points.push(Point { place, unit, after });
        }
        Ok(())
    }

    /// Keeps what is measured in the cells with these numbers, and what that needs; the study itself stays whole.
    pub fn only(&mut self, cells: &[usize]) {
        self.points.retain(|point| cells.contains(&point.place.cell));
    }

    /// The units of a shard that something is measured for.
    fn units_of(&self, shard: Shard) -> impl Iterator<Item = usize> {
        (0..self.units.len()).filter(move |&unit| shard.has(unit) && self.points.iter().any(|point| point.unit == unit))
    }

    /// A place for people: "digits, mlp-64-32-10, ρ = 0.3, population".
    pub fn name(&self, place: &Place) -> String {
        let level = self.level_name(place).map(|(axis, level)| format!("{axis} {level}"));
        let arm = self.study.arms.get_index(place.arm).map(|(name, _)| name.clone());
        [Some(self.cell_name(place)), level, arm].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The data set and the network of a place.
    pub fn cell_name(&self, place: &Place) -> String {
        let name = self.study.cells.get_index(place.cell).map_or("", |(name, _)| name);
        format!("{name}, {}", place.net)
    }

    /// The axis and the level of a place.
    pub fn level_name(&self, place: &Place) -> Option<(String, String)> {
        let [axis, level] = place.level?;
        let (name, axis) = self.study.axes.get_index(axis)?;
        Some((name.clone(), axis.levels().swap_remove(level).name))
    }

    /// The parts of successive halving: how many trials, for how many epochs; of a grid all trials in full.
    pub fn rungs(unit: &Unit, method: Method) -> Vec<(usize, u32)> {
        let (trials, epochs) = (unit.trials.len(), unit.epochs);
        match method {
            Method::Halving if epochs >= 9 && trials > 2 => {
                let kept = [trials, trials.div_ceil(3).max(2), trials.div_ceil(9).max(2)];
                vec![(kept[0], epochs.div_ceil(9)), (kept[1], epochs.div_ceil(3)), (kept[2], epochs)]
            }
            _ => vec![(trials, epochs)],
        }
    }

    /// The runs of one trial, a run for each tuning seed.
    pub fn trial(&self, unit: usize, trial: usize, epochs: u32) -> Vec<Run> {
        let Some(tuning) = &self.study.tuning else { return Vec::new() };
        let unit = &self.units[unit];
        let short = if epochs == unit.epochs { String::new() } else { format!("--epochs {epochs}") };
        let run = |seed| {
            let own = format!("--validation {} --seed {seed}", tuning.validation);
            Run::new(joined(&[&unit.before, &unit.trials[trial], &short, &own]), Purpose::Tuning).expect("the words were parsed before")
        };
        self.study.tuning_seeds().into_iter().map(run).collect()
    }

    /// What is chosen in a unit, or what is missing for it. The best has the highest mean macro F1 on the validation samples at the end of
    /// its runs; a run that diverged counts 0, of equals the first wins.
    pub fn choice(&self, unit: usize, records: &Records, method: Method) -> Choice {
        if self.study.tuning.is_none() {
            return Choice::Chosen(0);
        }
        let mut candidates: Vec<usize> = (0..self.units[unit].trials.len()).collect();
        let rungs = Self::rungs(&self.units[unit], method);
        for (i, &(_, epochs)) in rungs.iter().enumerate() {
            let mut missing = Vec::new();
            let mut scores = Vec::new();
            for &trial in &candidates {
                let runs = self.trial(unit, trial, epochs);
                let count = runs.len() as f64;
                let mut sum = 0.0;
                for run in runs {
                    match records.get(&run.key) {
                        Some(record) => sum += record.selection_score(),
                        None => missing.push(run),
                    }
                }
                scores.push((sum / count, trial));
            }
            if !missing.is_empty() {
                return Choice::Waiting(missing);
            }
            // Stable: of equals the first stays first.
            scores.sort_by(|a, b| b.0.total_cmp(&a.0));
            let keep = rungs.get(i + 1).map_or(1, |&(kept, _)| kept);
            candidates = scores[..keep].iter().map(|&(_, trial)| trial).collect();
        }
        Choice::Chosen(candidates[0])
    }

    /// The final runs of a point with a setting, in the order of the seeds.
    pub fn finals(&self, point: &Point, trial: usize) -> Vec<Run> {
        let unit = &self.units[point.unit];
        let run = |seed| {
            let words = joined(&[&unit.before, &unit.trials[trial], &point.after, &format!("--seed {seed}")]);
            Run::new(words, Purpose::Final).expect("the words were parsed before")
        };
        self.study.seeds.list().into_iter().map(run).collect()
    }

    /// What is missing and can be started now, each run once; empty when the shard is complete.
    pub fn next(&self, records: &Records, method: Method, shard: Shard) -> Vec<Run> {
        let mut wave: IndexMap<String, Run> = IndexMap::new();
        let mut add = |runs: Vec<Run>| {
            for run in runs.into_iter().filter(|run| records.get(&run.key).is_none()) {
                wave.entry(run.key.clone()).or_insert(run);
            }
        };
        for unit in self.units_of(shard) {
            match self.choice(unit, records, method) {
                Choice::Waiting(runs) => add(runs),
                Choice::Chosen(trial) => {
                    self.points.iter().filter(|point| point.unit == unit).for_each(|point| add(self.finals(point, trial)));
                }
            }
        }
        wave.into_values().collect()
    }

    /// Every run that is missing, each once, with its unit: for counts and costs. Where nothing is chosen yet the first trials stand for those
    /// that will be.
    pub fn outline(&self, records: &Records, method: Method, shard: Shard) -> Vec<(usize, Run)> {
        let mut runs: IndexMap<String, (usize, Run)> = IndexMap::new();
        for unit in self.units_of(shard) {
            let (tried, chosen) = match self.choice(unit, records, method) {
                Choice::Chosen(trial) => (Vec::new(), trial),
                Choice::Waiting(_) => (Self::rungs(&self.units[unit], method), 0),
            };
            let trials = tried.iter().flat_map(|&(trials, epochs)| (0..trials).flat_map(move |trial| self.trial(unit, trial, epochs)));
            let finals = self.points.iter().filter(|point| point.unit == unit).flat_map(|point| self.finals(point, chosen));
            for run in trials.chain(finals).filter(|run| records.get(&run.key).is_none()) {
                runs.entry(run.key.clone()).or_insert((unit, run));
            }
        }
        runs.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan::new(Study::parse(text, "t").unwrap(), "t").unwrap()
    }

    const STUDY: &str = r#"
        name = "t"
        seeds = 2
        options = "--epochs 9"
        [tuning]
        grid = { rate = [0.1, 0.2, 0.4], weight-decay = [0, 1] }
        seeds = 1
        [cells.d]
        options = "--data digits"
        nets = ["mlp-64-32-10"]
        [arms]
        sgd = "--population 0"
        pop = { options = "--population 2", grid = { rho = [0.1, 0.2] } }
        [axes.rho]
        options = "--rho {}"
        values = [0.5, 0.6]
        arms = ["pop"]
        [axes.method]
        base = "plain"
        levels = { adam = { options = "--optimiser adam", grid = { rate = [0.01, 0.02, 0.03] } } }
        retune = true
    "#;

    #[test]
    fn every_arm_has_as_many_trials_as_the_others_and_places_share_runs() {
        let plan = plan(STUDY);
        // Without an axis and at adam: two arms each. ρ and `plain` choose nothing anew.
        assert_eq!(plan.units.len(), 4);
        assert!(plan.units.iter().all(|unit| unit.trials.len() == 6));
        assert_eq!(plan.units[1].trials[0], "--rate 0.1 --weight-decay 0 --rho 0.1", "the first is always tried");
        let with = |rho| plan.units[1].trials.iter().filter(|trial| trial.ends_with(rho)).count();
        assert_eq!((with("--rho 0.1"), with("--rho 0.2")), (3, 3), "a thinner grid keeps every value");
        assert_eq!(plan.points.len(), 2 * (1 + 2 + 2));
        let outline = plan.outline(&Records::default(), Method::Grid, Shard::ALL);
        let finals = outline.iter().filter(|(_, run)| run.purpose == Purpose::Final).count();
        // sgd, pop, pop at two ρ, adam's sgd and pop: two seeds each. sgd does not change with ρ.
        assert_eq!((outline.len() - finals, finals), (4 * 6, 6 * 2));
        let of = |part| plan.outline(&Records::default(), Method::Grid, Shard { part, of: 3 }).len();
        assert_eq!(of(1) + of(2) + of(3), outline.len());
        let words = &plan.finals(plan.points.last().unwrap(), 5)[1].words;
        assert_eq!(
            words,
            "--epochs 9 --data digits --net mlp-64-32-10 --population 2 --optimiser adam --rate 0.03 --weight-decay 1 --rho 0.2 --seed 2"
        );
    }

    #[test]
    fn halving_tries_all_in_short_and_few_in_full() {
        let plan = plan(STUDY);
        assert_eq!(Plan::rungs(&plan.units[0], Method::Halving), [(6, 1), (2, 3), (2, 9)]);
        assert_eq!(Plan::rungs(&plan.units[0], Method::Grid), [(6, 9)]);
    }

    #[test]
    fn a_plain_run_is_the_same_whatever_is_said_of_noise() {
        let key = |words: &str| Run::new(words.into(), Purpose::Final).unwrap().key;
        assert_eq!(key("--population 0"), key("--population 0 --rho 0.7 --noise rademacher"));
        assert_ne!(key("--population 2"), key("--population 2 --rho 0.7"));
    }

    #[test]
    fn mistakes_name_the_place() {
        let refusal = |from: &str, to: &str| {
            assert!(STUDY.contains(from));
            Plan::new(Study::parse(&STUDY.replace(from, to), "t").unwrap(), "t").unwrap_err().to_string()
        };
        assert_eq!(
            refusal("\"--population 0\"", "\"--poulation 0\""),
            "t: d, mlp-64-32-10, sgd: unexpected argument '--poulation' found; tip: a similar argument exists: '--population'"
        );
        assert!(refusal("--population 2", "--population 2 --seed 7").contains("pop: `--seed` is not for a study"));
        assert!(refusal("seeds = 1", "seeds = 1\ntrials = 7").contains("sgd: its grid has 6 settings, and 7 trials are asked for"));
        assert!(refusal("[0.1, 0.2, 0.4]", "[0.1, -1]").contains("--rate must be a finite number above 0"));
    }
}
