//! The study file: what is compared, where, how often. TOML in, a checked [`Study`] out; nothing here runs or plans.
//!
//! Everything that says how to train is written in the words of `train`'s command line.
//!
//! ```toml
//! name = "quick"
//! options = "--epochs 10 --batch 32"          # of every run
//! seeds = 6                                   # 1 to 6
//!
//! [tuning]
//! grid = { rate = [0.03, 0.1], weight-decay = [1e-5, 1e-3] }
//!
//! [cells.digits]
//! options = "--data digits"
//! nets = ["mlp-64-32-10"]
//!
//! [arms]                                      # the first is what the others are compared with
//! sgd = "--population 0"
//! population = { options = "--population 8", grid = { rho = [0.3, 0.6] } }
//!
//! [axes.members]
//! options = "--population {}"
//! values = [2, 4, 8]
//! arms = ["population"]
//! ```

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::failure::Failure;

/// The values to try for some options, each by its name without dashes.
pub type Grid = IndexMap<String, Vec<Value>>;

/// A study as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Study {
    /// Names files and the report.
    pub name: String,
    /// The report's headline; without it the name.
    #[serde(default)]
    pub title: String,
    /// A few sentences for the report.
    #[serde(default)]
    pub about: String,
    /// Words of every run.
    #[serde(default)]
    pub options: String,
    /// The seeds of the final runs.
    pub seeds: Seeds,
    /// How settings are chosen; without it all runs are as they are written.
    pub tuning: Option<Tuning>,
    /// The data sets, each with its networks.
    pub cells: IndexMap<String, Cell>,
    /// What is compared; the first is what the others are compared with.
    pub arms: IndexMap<String, Arm>,
    /// Pairs of arms to compare; without it every arm with the first.
    #[serde(default)]
    pub compare: Vec<[String; 2]>,
    /// What is varied besides, one at a time.
    #[serde(default)]
    pub axes: IndexMap<String, Axis>,
}

/// Seeds of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    /// From 1 on.
    Count(u32),
    /// These.
    List(Vec<u64>),
}

impl Seeds {
    /// Each of them.
    pub fn list(&self) -> Vec<u64> {
        match self {
            Seeds::Count(count) => (1..=u64::from(*count)).collect(),
            Seeds::List(list) => list.clone(),
        }
    }
}

/// How settings are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tuning {
    /// The values to try, of every arm.
    pub grid: Grid,
    /// Trials of each arm, the same for all; without it as many as the arm with the fewest settings has.
    pub trials: Option<usize>,
    /// Seeds of each trial: 1001 and so on, each with a division of its own.
    #[serde(default = "two")]
    pub seeds: u32,
    /// Share of the training samples that the choice is made on.
    #[serde(default = "a_fifth")]
    pub validation: f64,
    /// All trials in full, or most of them in short.
    #[serde(default)]
    pub method: Method,
}

fn two() -> u32 {
    2
}

fn a_fifth() -> f64 {
    0.2
}

/// How the trials are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every trial in full.
    #[default]
    Grid,
    /// Successive halving (Jamieson and Talwalkar, 2016), by thirds: all trials at a ninth of the epochs, the best third at a third of them,
    /// the best ninth, but at least two, in full.
    Halving,
}

/// A data set and its networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cell {
    /// Words that name the data, and others for them.
    pub options: String,
    /// The networks.
    pub nets: Vec<String>,
    /// Words for arms and levels that differ from cell to cell: `{long}` in them is what is called `long` here.
    #[serde(default)]
    pub words: IndexMap<String, String>,
    /// Values to try here instead.
    #[serde(default)]
    pub grid: Grid,
    /// Left out, with a word of it, where the data are not on the machine.
    #[serde(default)]
    pub optional: bool,
}

/// Words, with or without more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Arm {
    /// Words only.
    Words(String),
    /// Words, and values to try.
    Table(ArmTable),
}

/// An arm, or a level of an axis, with values to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArmTable {
    /// Its words; `{net}` stands for the network, `{NAME}` for the cell's words of that name.
    pub options: String,
    /// Values to try here, instead of or besides the study's.
    #[serde(default)]
    pub grid: Grid,
}

impl Arm {
    /// Its words.
    pub fn options(&self) -> &str {
        match self {
            Arm::Words(options) | Arm::Table(ArmTable { options, .. }) => options,
        }
    }

    /// Its values to try.
    pub fn grid(&self) -> Option<&Grid> {
        match self {
            Arm::Words(_) => None,
            Arm::Table(table) => Some(&table.grid),
        }
    }
}

/// Something that is varied: by numbers in a pattern of words, or by levels with words of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Axis {
    /// What plots call it, with its unit; without it its name.
    #[serde(default)]
    pub label: String,
    /// Words in which `{}` stands for the value.
    #[serde(default)]
    pub options: String,
    /// The values.
    #[serde(default)]
    pub values: Vec<Value>,
    /// Named words.
    #[serde(default)]
    pub levels: IndexMap<String, Arm>,
    /// What the study without this axis is called on it, when it is to be a level; with `levels` only.
    #[serde(default)]
    pub base: String,
    /// The arms that it changes; without it all.
    #[serde(default)]
    pub arms: Vec<String>,
    /// The cells in which it is varied; without it all.
    #[serde(default)]
    pub cells: Vec<String>,
    /// Whether settings are chosen anew at each level; else they are those chosen without it.
    #[serde(default)]
    pub retune: bool,
}

/// A level of an axis: its name, its words, its values to try.
pub struct Level {
    /// The value or the name.
    pub name: String,
    /// The words that make it.
    pub options: String,
    /// Values to try.
    pub grid: Option<Grid>,
}

impl Cell {
    /// Words of an arm or a level with what stands for `{net}` and for the cell's words.
    ///
    /// # Errors
    /// When a name in braces is not known here.
    pub fn fill(&self, words: &str, net: &str) -> Result<String, String> {
        let filled =
            self.words.iter().fold(words.replace("{net}", net), |filled, (name, words)| filled.replace(&format!("{{{name}}}"), words));
        match filled.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            Some((name, _)) => Err(format!("`{{{name}}}` stands for nothing: there are {{net}} and the names in the cell's `words`")),
            None => Ok(filled),
        }
    }
}

impl Axis {
    /// Its levels in order, the base first if it is one.
    pub fn levels(&self) -> Vec<Level> {
        let base = (!self.base.is_empty()).then(|| Level { name: self.base.clone(), options: String::new(), grid: None });
        let value = |value: &Value| {
            let name = word(value);
            Level { options: self.options.replace("{}", &name), name, grid: None }
        };
        let level = |(name, arm): (&String, &Arm)| Level { name: name.clone(), options: arm.options().into(), grid: arm.grid().cloned() };
        base.into_iter().chain(self.values.iter().map(value)).chain(self.levels.iter().map(level)).collect()
    }

    /// Whether all its levels are numbers.
    pub fn is_numeric(&self) -> bool {
        self.levels.is_empty() && self.values.iter().all(|value| value.is_float() || value.is_integer())
    }
}

/// A value as a word of the command line.
pub fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Study {
    /// Reads a study; `from` names it in errors.
    pub fn parse(text: &str, from: &str) -> Result<Self, Failure> {
        let study: Study = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| format!(", line {}", text[..span.start].matches('\n').count() + 1));
            let message = error.message().replace('\n', " ");
            Failure::Usage(format!("{from}{}: {message}", line.unwrap_or_default()))
        })?;
        study.check().map_err(|sentence| Failure::Usage(format!("{from}: {sentence}")))?;
        Ok(study)
    }

    /// Takes a cell out.
    pub fn without(&mut self, cell: &str) {
        self.cells.shift_remove(cell);
        // An axis of such cells alone has nowhere to be varied; without a name it would be varied everywhere.
        self.axes.retain(|_, axis| axis.cells.iter().any(|name| name != cell) || axis.cells.is_empty());
        self.axes.values_mut().for_each(|axis| axis.cells.retain(|name| name != cell));
    }

    /// The numbers of the cells with these names.
    ///
    /// # Errors
    /// When there is none of such a name.
    pub fn numbers(&self, cells: &[String]) -> Result<Vec<usize>, Failure> {
        let number = |name: &String| {
            let unknown = || Failure::Usage(format!("--cells names `{name}`, and there are {}", names(&self.cells)));
            self.cells.get_index_of(name).ok_or_else(unknown)
        };
        cells.iter().map(number).collect()
    }

    /// The seeds of the tuning runs.
    pub fn tuning_seeds(&self) -> Vec<u64> {
        self.tuning.iter().flat_map(|tuning| (1..=u64::from(tuning.seeds)).map(|seed| 1000 + seed)).collect()
    }

    /// The pairs of arms that are compared, by their numbers: the first minus the second.
    pub fn pairs(&self) -> Vec<[usize; 2]> {
        if self.compare.is_empty() {
            return (1..self.arms.len()).map(|arm| [arm, 0]).collect();
        }
        let number = |name: &String| self.arms.get_index_of(name).expect("names are checked");
        self.compare.iter().map(|[arm, against]| [number(arm), number(against)]).collect()
    }

    /// What can be said of it without reading data or parsing options.
    fn check(&self) -> Result<(), String> {
        need(!self.name.is_empty() && self.name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)), || {
            "`name` must be of letters, digits, - and _: files are called after it".into()
        })?;
        let seeds = self.seeds.list();
        need((1..=1000).contains(&seeds.len()), || "`seeds` must be a number from 1 to 1000 or a list of seeds".into())?;
        need((1..seeds.len()).all(|i| !seeds[..i].contains(&seeds[i])), || "`seeds` has a seed twice".into())?;
        need(!self.cells.is_empty(), || "it has no cell: [cells.NAME] with options and nets says on which data".into())?;
        need(!self.arms.is_empty(), || "it has no arm: [arms] says what is compared".into())?;
        for (name, cell) in &self.cells {
            need(!cell.nets.is_empty(), || format!("cell `{name}` has no network: give it nets = [\"...\"]"))?;
        }
        for (name, arm) in &self.arms {
            need(!arm.options().trim().is_empty(), || {
                format!("arm `{name}` is empty: give it options of `train`, for example --population 0")
            })?;
        }
        for name in self.compare.iter().flatten() {
            need(self.arms.contains_key(name), || format!("`compare` names the arm `{name}`, and there are {}", names(&self.arms)))?;
        }
        for (name, axis) in &self.axes {
            self.check_axis(axis).map_err(|reason| format!("axis `{name}` {reason}"))?;
        }
        let Some(tuning) = &self.tuning else { return Ok(()) };
        need((1..=100).contains(&tuning.seeds), || "`tuning.seeds` must be between 1 and 100".into())?;
        need(tuning.validation > 0.0 && tuning.validation <= 0.9, || "`tuning.validation` must be above 0 and at most 0.9".into())?;
        need(tuning.trials != Some(0), || "`tuning.trials` must be at least 1".into())?;
        need(!tuning.grid.is_empty(), || "`tuning.grid` is empty: give it values to try, for example rate = [0.03, 0.1]".into())?;
        let levels = self.axes.values().flat_map(|axis| axis.levels.values());
        let grids = self.cells.values().map(|cell| &cell.grid).chain(self.arms.values().chain(levels).filter_map(Arm::grid));
        for (option, values) in grids.chain([&tuning.grid]).flatten() {
            need(!values.is_empty(), || format!("the grid has no value for `{option}`"))?;
        }
        Ok(())
    }

    fn check_axis(&self, axis: &Axis) -> Result<(), String> {
        need(axis.values.is_empty() != axis.levels.is_empty(), || "needs either `values` or `levels`".into())?;
        need(axis.values.is_empty() || axis.options.contains("{}"), || {
            "needs `options` in which {} stands for the value, for example --rho {}".into()
        })?;
        need(axis.levels.is_empty() || axis.options.is_empty(), || "has `options`, which belong to `values`".into())?;
        need(axis.base.is_empty() || axis.values.is_empty(), || "has a `base`, which belongs to `levels`".into())?;
        for (name, level) in &axis.levels {
            need(!level.options().trim().is_empty(), || format!("has an empty level `{name}`; what is not varied is called by `base`"))?;
        }
        for name in &axis.arms {
            need(self.arms.contains_key(name), || format!("names the arm `{name}`, and there are {}", names(&self.arms)))?;
        }
        for name in &axis.cells {
            need(self.cells.contains_key(name), || format!("names the cell `{name}`, and there are {}", names(&self.cells)))?;
        }
        Ok(())
    }
}

fn need(holds: bool, sentence: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(sentence()) }
}

fn names<T>(of: &IndexMap<String, T>) -> String {
    of.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "test"
        seeds = 3
        [tuning]
        grid = { rate = [0.1, 1e-5] }
        [cells.digits]
        options = "--data digits"
        nets = ["mlp-64-32-10"]
        [arms]
        sgd = "--population 0"
        population = { options = "--population 8", grid = { rho = [0.3, 0.6] } }
        [axes.rho]
        options = "--rho {}"
        values = [0.1, 1]
        arms = ["population"]
    "#;

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        Study::parse(&GOOD.replace(from, to), "mine.toml").unwrap_err().to_string()
    }

    #[test]
    fn a_study_is_read_and_keeps_the_order_of_its_parts() {
        let study = Study::parse(GOOD, "mine.toml").unwrap();
        assert_eq!((study.seeds.list(), study.tuning_seeds(), study.pairs()), (vec![1, 2, 3], vec![1001, 1002], vec![[1, 0]]));
        assert_eq!(study.arms.keys().collect::<Vec<_>>(), ["sgd", "population"]);
        let levels = study.axes["rho"].levels();
        assert_eq!(levels.iter().map(|level| &level.options[..]).collect::<Vec<_>>(), ["--rho 0.1", "--rho 1"]);
        assert!(study.axes["rho"].is_numeric());
        assert_eq!(study.tuning.unwrap().grid["rate"].iter().map(word).collect::<Vec<_>>(), ["0.1", "0.00001"].map(|x| x.to_string()));
    }

    #[test]
    fn every_mistake_is_named() {
        assert!(refusal("seeds = 3", "sedes = 3").starts_with("mine.toml, line 3: unknown field `sedes`, expected one of `name`"));
        assert!(refusal("rate =", "rat e =").starts_with("mine.toml, line 5: "));
        assert_eq!(refusal("--population 0", " "), "mine.toml: arm `sgd` is empty: give it options of `train`, for example --population 0");
        assert!(refusal("[\"mlp-64-32-10\"]", "[]").contains("cell `digits` has no network"));
        assert!(refusal("[\"population\"]", "[\"pop\"]").contains("axis `rho` names the arm `pop`, and there are sgd, population"));
        assert!(refusal("--rho {}", "--rho 3").contains("axis `rho` needs `options` in which {} stands for the value"));
        assert!(refusal("[0.1, 1e-5]", "[]").contains("the grid has no value for `rate`"));
        assert!(refusal("\"test\"", "\"a/b\"").contains("`name` must be"));
        assert!(refusal("seeds = 3", "seeds = [1, 2, 1]").contains("`seeds` has a seed twice"));
    }
}
