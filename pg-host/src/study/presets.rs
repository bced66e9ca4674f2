//! The studies inside the program. Each is a study file that can be printed, changed and run.

use crate::failure::Failure;

/// A study inside the program.
pub struct Preset {
    /// What to ask for.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The study file.
    pub text: &'static str,
}

/// All of them, the quickest first.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "quick",
        summary: "a first look in some seconds: SGD, a population and SAM on the digits",
        text: include_str!("../../presets/quick.toml"),
    },
    Preset {
        name: "ablation",
        summary: "what each standard method brings, with and without the population, on digits and fashion-tiny",
        text: include_str!("../../presets/ablation.toml"),
    },
    Preset {
        name: "axes",
        summary: "the gain against training length, model size, learning rate, data size, ρ and K, on two sets of digits",
        text: include_str!("../../presets/axes.toml"),
    },
    Preset {
        name: "defaults",
        summary: "members, noise, batch modes and schedules side by side, ranked over five data sets: how the defaults were chosen",
        text: include_str!("../../presets/defaults.toml"),
    },
    Preset {
        name: "headline",
        summary: "all arms on five data sets and seven networks, as far as the data are there: hours",
        text: include_str!("../../presets/headline.toml"),
    },
];

/// The text of a study and its name for errors: a preset, else a file.
pub fn find(name: &str) -> Result<(String, String), Failure> {
    if let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) {
        return Ok((preset.text.into(), format!("the preset {name}")));
    }
    match std::fs::read_to_string(name) {
        Ok(text) => Ok((text, name.into())),
        Err(reason) => {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            Err(Failure::Usage(format!("there is no study {name}: no preset ({}), and as a file: {reason}", names.join(", "))))
        }
    }
}
