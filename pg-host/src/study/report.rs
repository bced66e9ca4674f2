//! What came out of a study, as numbers: groups of runs and their paired differences. Text, tables and plots are made from this.

use indexmap::IndexMap;
use serde::Serialize;

use super::file::Method;
use super::plan::{Choice, Place, Plan};
use super::records::{Header, Record, Records};
use super::statistics::{Paired, deviation, holm, mean};
use crate::failure::Failure;

/// Everything that is reported.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The study's name.
    pub name: String,
    /// The report's headline.
    pub title: String,
    /// What the study says of itself.
    pub about: String,
    /// How settings were chosen; `None` when there was nothing to choose.
    pub tuning: Option<Method>,
    /// The seeds of the final runs.
    pub seeds: Vec<u64>,
    /// What is varied.
    pub axes: Vec<AxisReport>,
    /// The arms, the reference first.
    pub arms: Vec<String>,
    /// The runs of each place.
    pub groups: Vec<Group>,
    /// Differences of arms, and of levels.
    pub differences: Vec<Difference>,
    /// The arms from the best mean rank on; empty when nothing was tuned.
    pub ranks: Vec<Rank>,
    /// The gaps: places without all their runs.
    pub missing: Vec<String>,
    /// Runs in the file that the study does not ask for.
    pub strays: Vec<String>,
    /// Runs that are used.
    pub runs: usize,
    /// Their time, one core.
    pub core_hours: f64,
}

/// An axis.
#[derive(Clone, Debug, Serialize)]
pub struct AxisReport {
    /// Its name.
    pub name: String,
    /// What plots call it.
    pub label: String,
    /// The names of its levels.
    pub levels: Vec<String>,
    /// Their numbers, when they are numbers.
    pub values: Option<Vec<f64>>,
}

/// Where something was measured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct At {
    /// Data set and network.
    pub cell: String,
    /// The axis that is varied, and its level.
    pub level: Option<(String, String)>,
}

/// The final runs of an arm at a place.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Where.
    pub at: At,
    /// The arm.
    pub arm: String,
    /// The setting that was chosen.
    pub setting: String,
    /// The seeds of the runs.
    pub seeds: Vec<u64>,
    /// Mean macro F1 of the chosen setting on the validation samples; `None` when nothing was tuned.
    pub validation: Option<f64>,
    /// Test macro F1 of each seed.
    pub macro_f1: Vec<f64>,
    /// Its mean.
    pub macro_f1_mean: f64,
    /// Its standard deviation.
    pub macro_f1_deviation: f64,
    /// Mean accuracy.
    pub accuracy: f64,
    /// Mean NLL in nats.
    pub nll: f64,
    /// Mean calibration error.
    pub ece: f64,
    /// Mean training loss of the last epoch, in nats.
    pub train_loss_nats: f64,
    /// Mean epochs.
    pub epochs: f64,
    /// Mean passes of a member over a sample.
    pub passes: f64,
    /// Mean time of the training.
    pub seconds: f64,
    /// Runs that diverged.
    pub diverged: usize,
    /// Macro F1 on the validation samples along the tuning runs of the chosen setting: epoch, then one number for each tuning seed.
    pub curve: Vec<(u32, Vec<f64>)>,
    #[serde(skip)]
    pub(super) place: PlaceKey,
    /// The rows of a table for those who plot themselves.
    #[serde(skip)]
    pub(super) runs: Vec<Record>,
}

/// A [`Place`] without its arm and with it.
pub(super) type PlaceKey = (usize, String, Option<[usize; 2]>, usize);

/// A difference of mean macro F1, paired by seed.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Where: cell and level.
    pub at: At,
    /// The first.
    pub what: String,
    /// What is subtracted.
    pub against: String,
    /// Whether two arms are compared at one level, else two levels of one arm.
    pub between_arms: bool,
    /// Of macro F1, as a share of 1.
    pub paired: Paired,
    /// p with Holm's correction over the cells.
    pub holm_p: f64,
}

/// How an arm fares among the others, over the cells where all of them were tuned.
#[derive(Clone, Debug, Serialize)]
pub struct Rank {
    /// The arm.
    pub arm: String,
    /// Its mean rank by macro F1 on validation samples, 1 the best; equals share theirs.
    pub mean_rank: f64,
    /// Mean macro F1 on validation samples.
    pub validation: f64,
    /// Mean macro F1 on test samples.
    pub test: f64,
    /// Over so many cells.
    pub cells: usize,
}

fn key(place: &Place) -> PlaceKey {
    (place.cell, place.net.clone(), place.level, place.arm)
}

impl Report {
    /// Of the runs of a file.
    pub fn of(header: &Header, records: &Records) -> Result<Self, Failure> {
        let plan = Plan::new(header.study.clone(), "the study in the file")?;
        let method = header.tuning;
        let mut used: IndexMap<String, ()> = IndexMap::new();
        let (mut groups, mut missing) = (Vec::new(), Vec::new());
        for unit in 0..plan.units.len() {
            for (_, epochs) in Plan::rungs(&plan.units[unit], method) {
                for trial in 0..plan.units[unit].trials.len() {
                    used.extend(plan.trial(unit, trial, epochs).into_iter().map(|run| (run.key, ())));
                }
            }
            if let Choice::Waiting(runs) = plan.choice(unit, records, method) {
                missing.push(format!("{}: {} tuning runs, the first `{}`", plan.units[unit].name, runs.len(), runs[0].words));
            }
        }
        for point in &plan.points {
            let Choice::Chosen(trial) = plan.choice(point.unit, records, method) else { continue };
            let runs = plan.finals(point, trial);
            let found: Vec<&Record> = runs.iter().filter_map(|run| records.get(&run.key)).collect();
            used.extend(runs.iter().map(|run| (run.key.clone(), ())));
            if let Some(first) = runs.iter().find(|run| records.get(&run.key).is_none()) {
                missing.push(format!(
                    "{}: {} of {} final runs, the first `{}`",
                    plan.name(&point.place),
                    runs.len() - found.len(),
                    runs.len(),
                    first.words
                ));
            }
            if !found.is_empty() {
                groups.push(group(&plan, point, trial, &found, records));
            }
        }
        let strays = records.iter().filter(|(key, _)| !used.contains_key(*key));
        let differences = differences(&plan, &groups);
        let ranks = ranks(&plan, &groups);
        let of_study = || records.iter().filter(|(key, _)| used.contains_key(*key));
        let study = &plan.study;
        Ok(Self {
            name: study.name.clone(),
            title: if study.title.is_empty() { study.name.clone() } else { study.title.clone() },
            about: study.about.clone(),
            tuning: study.tuning.as_ref().map(|_| method),
            seeds: study.seeds.list(),
            axes: study.axes.iter().map(|(name, axis)| axis_report(name, axis)).collect(),
            arms: study.arms.keys().cloned().collect(),
            groups,
            differences,
            ranks,
            missing,
            strays: strays.map(|(_, record)| record.words.clone()).collect(),
            runs: of_study().count(),
            core_hours: of_study().map(|(_, record)| record.seconds).sum::<f64>() / 3600.0,
        })
    }

    /// Whether every run is there.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The cells, in order.
    pub fn cells(&self) -> Vec<String> {
        let cells: IndexMap<&String, ()> = self.groups.iter().map(|group| (&group.at.cell, ())).collect();
        cells.into_keys().cloned().collect()
    }
}

fn axis_report(name: &str, axis: &super::file::Axis) -> AxisReport {
    let levels: Vec<String> = axis.levels().into_iter().map(|level| level.name).collect();
    let values = axis.is_numeric().then(|| levels.iter().map(|level| level.parse().unwrap_or(f64::NAN)).collect());
    AxisReport { name: name.into(), label: if axis.label.is_empty() { name.into() } else { axis.label.clone() }, levels, values }
}

fn group(plan: &Plan, point: &super::plan::Point, trial: usize, found: &[&Record], records: &Records) -> Group {
    let tested = |of: fn(&super::records::Judgement) -> f64| -> Vec<f64> { found.iter().filter_map(|r| r.test.as_ref().map(of)).collect() };
    let average = |of: &dyn Fn(&Record) -> f64| mean(&found.iter().map(|record| of(record)).collect::<Vec<_>>());
    let macro_f1 = tested(|test| test.macro_f1);
    let unit = &plan.units[point.unit];
    let epochs = Plan::rungs(unit, Method::Grid)[0].1;
    let tuning = plan.trial(point.unit, trial, epochs);
    let mut curve: IndexMap<u32, Vec<f64>> = IndexMap::new();
    for moment in tuning.iter().filter_map(|run| records.get(&run.key)).flat_map(|record| &record.curve) {
        curve.entry(moment.epoch).or_default().extend(moment.macro_f1);
    }
    Group {
        at: At { cell: plan.cell_name(&point.place), level: plan.level_name(&point.place) },
        arm: plan.study.arms.get_index(point.place.arm).map(|(name, _)| name.clone()).unwrap_or_default(),
        setting: unit.trials[trial].clone(),
        seeds: found.iter().map(|record| record.seed()).collect(),
        validation: plan.study.tuning.is_some().then(|| {
            let scores: Vec<f64> = tuning.iter().filter_map(|run| records.get(&run.key)).map(Record::selection_score).collect();
            mean(&scores)
        }),
        macro_f1_mean: mean(&macro_f1),
        macro_f1_deviation: deviation(&macro_f1),
        macro_f1,
        accuracy: mean(&tested(|test| test.accuracy)),
        nll: mean(&tested(|test| test.nll)),
        ece: mean(&tested(|test| test.ece)),
        train_loss_nats: average(&|record| record.train_loss_nats),
        epochs: average(&|record| f64::from(record.epochs)),
        passes: average(&|record| record.passes as f64),
        seconds: average(&|record| record.seconds),
        diverged: found.iter().filter(|record| record.diverged).count(),
        curve: curve.into_iter().collect(),
        place: key(&point.place),
        runs: found.iter().map(|&record| record.clone()).collect(),
    }
}

/// The mean rank of each arm on validation samples, over the places without an axis that have all arms.
fn ranks(plan: &Plan, groups: &[Group]) -> Vec<Rank> {
    let mut places: IndexMap<(usize, &str), Vec<&Group>> = IndexMap::new();
    for group in groups.iter().filter(|group| group.at.level.is_none() && group.validation.is_some()) {
        places.entry((group.place.0, &group.place.1)).or_default().push(group);
    }
    places.retain(|_, groups| groups.len() == plan.study.arms.len());
    let of_arm = |name: &String| {
        let mine: Vec<&Group> = places.values().flatten().copied().filter(|group| group.arm == *name).collect();
        let rank = |(mine, all): (&&Group, &Vec<&Group>)| {
            let better = all.iter().filter(|other| other.validation > mine.validation).count();
            let equal = all.iter().filter(|other| other.validation == mine.validation).count();
            better as f64 + 0.5 * (equal as f64 + 1.0)
        };
        Rank {
            arm: name.clone(),
            mean_rank: mean(&mine.iter().zip(places.values()).map(rank).collect::<Vec<_>>()),
            validation: mean(&mine.iter().filter_map(|group| group.validation).collect::<Vec<_>>()),
            test: mean(&mine.iter().map(|group| group.macro_f1_mean).collect::<Vec<_>>()),
            cells: mine.len(),
        }
    };
    let mut ranks: Vec<Rank> = if places.is_empty() { Vec::new() } else { plan.study.arms.keys().map(of_arm).collect() };
    ranks.sort_by(|a, b| a.mean_rank.total_cmp(&b.mean_rank));
    ranks
}

/// The differences of macro F1, by the seeds that both have.
fn paired(a: &Group, b: &Group) -> Option<Paired> {
    let of = |seed| b.seeds.iter().position(|other| other == seed).map(|i| b.macro_f1[i]);
    let differences: Vec<f64> = a.seeds.iter().zip(&a.macro_f1).filter_map(|(seed, f1)| Some(f1 - of(seed)?)).collect();
    (!differences.is_empty()).then(|| Paired::of(&differences))
}

/// Differences of one kind, of which each cell has one: the level, the arms, and whether arms or levels are compared.
type Family = (Option<[usize; 2]>, usize, usize, bool);

/// Pairs of arms at every place, and every named level against the base for every arm; Holm over the cells.
fn differences(plan: &Plan, groups: &[Group]) -> Vec<Difference> {
    let study = &plan.study;
    let by_place: IndexMap<&PlaceKey, &Group> = groups.iter().map(|group| (&group.place, group)).collect();
    let mut families: IndexMap<Family, Vec<Difference>> = IndexMap::new();
    for group in groups {
        let (cell, net, level, arm) = &group.place;
        // Two arms that an axis does not change differ on it as they do without it.
        let changes = |arm: usize| {
            let arms = level.map(|[axis, _]| &study.axes[axis].arms);
            arms.is_none_or(|arms| arms.is_empty() || arms.iter().any(|name| study.arms.get_index_of(name) == Some(arm)))
        };
        for [first, second] in study.pairs().into_iter().filter(|pair| pair[0] == *arm && (changes(pair[0]) || changes(pair[1]))) {
            let Some(other) = by_place.get(&(*cell, net.clone(), *level, second)) else { continue };
            let Some(paired) = paired(group, other) else { continue };
            let difference = Difference {
                at: group.at.clone(),
                what: group.arm.clone(),
                against: other.arm.clone(),
                between_arms: true,
                paired,
                holm_p: 1.0,
            };
            families.entry((*level, first, second, true)).or_default().push(difference);
        }
        let Some([axis, _]) = level else { continue };
        let base = by_place.get(&(*cell, net.clone(), None, *arm)).filter(|_| !study.axes[*axis].is_numeric());
        // A level that is the base itself has no difference.
        let base = base.filter(|base| base.runs.first().map(Record::key) != group.runs.first().map(Record::key));
        let (Some(base), Some((_, name))) = (base, &group.at.level) else { continue };
        let Some(paired) = paired(group, base) else { continue };
        let against = if study.axes[*axis].base.is_empty() { "without".into() } else { study.axes[*axis].base.clone() };
        let what = format!("{name}, {}", group.arm);
        let difference = Difference { at: group.at.clone(), what, against, between_arms: false, paired, holm_p: 1.0 };
        families.entry((*level, *arm, *arm, false)).or_default().push(difference);
    }
    for family in families.values_mut() {
        let corrected = holm(&family.iter().map(|difference| difference.paired.p).collect::<Vec<_>>());
        family.iter_mut().zip(corrected).for_each(|(difference, p)| difference.holm_p = p);
    }
    families.into_values().flatten().collect()
}
