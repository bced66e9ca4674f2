//! The fair experiment: data sets × networks × arms × seeds from one file, equal tuning for every arm, paired seeds, intervals.
//!
//! What is fair about it:
//! * **Equal tuning.** Every arm has as many trials as the others, on a validation split of the training part; the best mean macro F1 over the
//!   tuning seeds wins. The test part is not looked at.
//! * **Paired seeds.** A final run learns from the whole training part; runs of one seed start with the same weights, see the samples in the
//!   same order, and change them alike. The test part is used once, after the last epoch.
//! * **Learning curves** are those of the tuning runs of the chosen setting, on samples that they did not learn from. The setting was chosen by
//!   their ends, so these are a little too good; the final runs have no held-out samples but the test part, and so no such curve.
//!
//! The modules, in the order in which to read them: [`mod@file`] is what is asked for, [`plan`] which runs that makes, [`records`] the file of
//! the runs, [`run`] makes them, [`cost`] knows what they cost, [`merge`] joins files of shards, [`statistics`] and [`report`] say what came
//! out, [`table`] and [`page`] show it.

pub mod cost;
pub mod file;
pub mod merge;
pub mod page;
pub mod plan;
pub mod presets;
pub mod progress;
pub mod records;
pub mod report;
pub mod run;
pub mod statistics;
pub mod table;

pub use plan::Shard;
