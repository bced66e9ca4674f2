//! The options of the population gradient beyond its size, its scale and its noise: how they are checked, and how they are written down. Those
//! that have their usual value are not written, so that what was written before they were there stays as it was.

use std::fmt;

use pg_core::layers::{Segment, SegmentKind};
use pg_core::perturbation::{Distribution, Noise, NoiseTargets, ScaleRule};
use pg_core::population::{BatchMode, Combine, Population, RhoCourse, RhoSchedule};
use serde::{Serialize, Serializer};

use crate::failure::Failure;

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MethodOptions {
    /// What noise is proportional to.
    #[serde(serialize_with = "text", skip_serializing_if = "usual_scale")]
    pub scale_rule: ScaleRule,
    /// Which samples a member sees.
    #[serde(serialize_with = "text", skip_serializing_if = "usual_batch")]
    pub batch_mode: BatchMode,
    /// What gets noise: kinds of parameters, in which layers.
    #[serde(serialize_with = "text", skip_serializing_if = "usual_targets")]
    pub targets: NoiseTargets,
    /// How ρ changes.
    #[serde(serialize_with = "text", skip_serializing_if = "usual_schedule")]
    pub rho_schedule: RhoSchedule,
    /// How gradients become one.
    #[serde(serialize_with = "text", skip_serializing_if = "usual_combine")]
    pub combine: Combine,
}

impl Default for MethodOptions {
    fn default() -> Self {
        let Population { noise, batch, schedule, combine, .. } = Population::NONE;
        Self { scale_rule: noise.scale, batch_mode: batch, targets: noise.targets, rho_schedule: schedule, combine }
    }
}

impl MethodOptions {
    /// The population that they and these make.
    pub fn population(&self, members: u32, rho: f32, distribution: Distribution, antithetic: bool) -> Population {
        Population {
            members,
            noise: Noise { rho, distribution, scale: self.scale_rule, targets: self.targets },
            antithetic,
            batch: self.batch_mode,
            schedule: self.rho_schedule,
            combine: self.combine,
        }
    }

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// [`Failure::Usage`], which names the option.
    pub fn check(&self, members: u32) -> Result<(), Failure> {
        let usual = Self::default();
        let refuse = |sentence: String| Err(Failure::Usage(sentence));
        let given = [
            ("scale-rule", self.scale_rule != usual.scale_rule),
            ("batch-mode", self.batch_mode != usual.batch_mode),
            ("targets", self.targets != usual.targets),
            ("rho-schedule", self.rho_schedule != usual.rho_schedule),
            ("combine", self.combine != usual.combine),
        ];
        if let (0, Some((option, _))) = (members, given.iter().find(|(_, given)| *given)) {
            return refuse(format!("--{option} needs a population, and --population is 0: leave one of them out"));
        }
        let RhoSchedule { start, stop, .. } = self.rho_schedule;
        if !(0.0 <= start && start < stop && stop <= 1.0) {
            return refuse(format!(
                "--rho-start and --rho-stop must be fractions of the run with 0 <= start < stop <= 1, and are {start} and {stop}"
            ));
        }
        match self.combine {
            Combine::Clean { lambda } if !(0.0..1.0).contains(&lambda) => {
                refuse(format!("--combine clean=LAMBDA must be at least 0 and below 1 (0.5 is usual), and is {lambda}"))
            }
            Combine::Softmax { tau } if tau == 0.0 || !tau.is_finite() => {
                refuse(format!("--combine softmax=TAU must be a finite number other than 0 (0.1 is usual), and is {tau}"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses targets that the network does not have.
    ///
    /// # Errors
    /// [`Failure::Usage`], which names the option and the network's layers.
    pub fn check_network(&self, net: &str, segments: &[Segment]) -> Result<(), Failure> {
        let targets = self.targets;
        let layers = segments.iter().filter(|segment| segment.kind.begins_layer()).count();
        let last = usize::from(targets.last_layer);
        if targets != (NoiseTargets { last_layer: u16::MAX, ..targets }) && last > layers || usize::from(targets.first_layer) > layers {
            return Err(Failure::Usage(format!(
                "--noise-layers must be within 1-{layers}, the layers of {net} as `nets --json` and `inspect` number them, and is {}",
                Layers(targets)
            )));
        }
        let mut layer = 0;
        let taken = segments.iter().any(|segment| {
            layer += u16::from(segment.kind.begins_layer());
            targets.take(segment.kind, layer)
        });
        let what = Targets(targets);
        if taken {
            Ok(())
        } else {
            Err(Failure::Usage(format!("--targets {what} must be parameters that {net} has there: nothing would get noise")))
        }
    }
}

/// The names of a network's layers in order, one for each number: what they are made of.
pub fn layers(segments: &[Segment]) -> Vec<String> {
    let mut layers: Vec<String> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.kind.is_trained()) {
        let name = match segment.kind {
            SegmentKind::Weight => format!("weights {}x{}", segment.filters, segment.fan_in),
            SegmentKind::Gain => format!("gains {}", segment.filters),
            _ => format!("biases {}", segment.filters),
        };
        match layers.last_mut() {
            Some(layer) if !segment.kind.begins_layer() => *layer += &format!(", {name}"),
            _ => layers.push(name),
        }
    }
    layers
}

/// Which layers: `2-4`, `2-`.
struct Layers(NoiseTargets);

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NoiseTargets { first_layer, last_layer: u16::MAX, .. } => write!(f, "{first_layer}-"),
            NoiseTargets { first_layer, last_layer, .. } if first_layer == last_layer => write!(f, "{first_layer}"),
            NoiseTargets { first_layer, last_layer, .. } => write!(f, "{first_layer}-{last_layer}"),
        }
    }
}

/// Which parameters: `weights,biases`, `weights@2-4`.
struct Targets(NoiseTargets);

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoiseTargets { weights, biases, gains, first_layer, last_layer } = self.0;
        let kinds = [(weights, "weights"), (biases, "biases"), (gains, "gains")];
        let kinds: Vec<_> = kinds.into_iter().filter(|(taken, _)| *taken).map(|(_, name)| name).collect();
        f.write_str(&kinds.join(","))?;
        if (first_layer, last_layer) == (0, u16::MAX) { Ok(()) } else { write!(f, "@{}", Layers(self.0)) }
    }
}

/// How an option is written down.
trait Text {
    fn text(&self) -> String;
}

impl Text for ScaleRule {
    fn text(&self) -> String {
        match self {
            ScaleRule::Filter => "filter",
            ScaleRule::FilterExact => "filter-exact",
            ScaleRule::Weight => "weight",
            ScaleRule::Absolute => "absolute",
        }
        .into()
    }
}

impl Text for BatchMode {
    fn text(&self) -> String {
        match self {
            BatchMode::Shared => "shared",
            BatchMode::Split => "split",
            BatchMode::Fresh => "fresh",
        }
        .into()
    }
}

impl Text for NoiseTargets {
    fn text(&self) -> String {
        Targets(*self).to_string()
    }
}

impl Text for RhoSchedule {
    fn text(&self) -> String {
        let course = match self.course {
            RhoCourse::Constant => "constant",
            RhoCourse::CosineUp => "cosine-up",
            RhoCourse::CosineDown => "cosine-down",
        };
        if (self.start, self.stop) == (0.0, 1.0) { course.into() } else { format!("{course}({}-{})", self.start, self.stop) }
    }
}

impl Text for Combine {
    fn text(&self) -> String {
        match self {
            Combine::Mean => "mean".into(),
            Combine::Clean { lambda } => format!("clean={lambda}"),
            Combine::Softmax { tau } => format!("softmax={tau}"),
        }
    }
}

fn text<S: Serializer>(option: &impl Text, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&option.text())
}

fn usual_scale(scale: &ScaleRule) -> bool {
    *scale == MethodOptions::default().scale_rule
}

fn usual_batch(batch: &BatchMode) -> bool {
    *batch == MethodOptions::default().batch_mode
}

fn usual_targets(targets: &NoiseTargets) -> bool {
    *targets == MethodOptions::default().targets
}

fn usual_schedule(schedule: &RhoSchedule) -> bool {
    *schedule == MethodOptions::default().rho_schedule
}

fn usual_combine(combine: &Combine) -> bool {
    *combine == MethodOptions::default().combine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo;

    #[test]
    fn usual_options_are_not_written_and_others_as_they_can_be_read() {
        assert_eq!(serde_json::json!(MethodOptions::default()).to_string(), "{}");
        let options = MethodOptions {
            scale_rule: ScaleRule::FilterExact,
            batch_mode: BatchMode::Split,
            targets: NoiseTargets { biases: true, first_layer: 2, last_layer: 3, ..NoiseTargets::WEIGHTS },
            rho_schedule: RhoSchedule { course: RhoCourse::CosineDown, start: 0.1, stop: 1.0 },
            combine: Combine::Softmax { tau: 0.1 },
        };
        assert_eq!(
            serde_json::json!(options).to_string(),
            r#"{"scale_rule":"filter-exact","batch_mode":"split","targets":"weights,biases@2-3","rho_schedule":"cosine-down(0.1-1)","combine":"softmax=0.1"}"#
        );
    }

    #[test]
    fn targets_must_be_in_the_network() {
        let zoo = zoo();
        let entry = zoo.iter().find(|entry| entry.name() == "mlp-64-64-32-10").unwrap();
        let segments = entry.network().segments();
        assert_eq!(layers(&segments), ["weights 64x64, biases 64", "weights 32x64, biases 32", "weights 10x32, biases 10"]);
        let check =
            |targets| MethodOptions { targets, ..Default::default() }.check_network("net", &segments).map_err(|error| error.to_string());
        let all = NoiseTargets::WEIGHTS;
        assert!(check(all).is_ok() && check(NoiseTargets { first_layer: 3, ..all }).is_ok());
        let outside = check(NoiseTargets { first_layer: 2, last_layer: 4, ..all }).unwrap_err();
        assert!(outside.contains("--noise-layers must be within 1-3") && outside.ends_with("is 2-4"), "{outside}");
        assert!(check(NoiseTargets { first_layer: 4, ..all }).is_err());
        let nothing = check(NoiseTargets { weights: false, gains: true, ..all }).unwrap_err();
        assert!(nothing.starts_with("--targets gains must be parameters that net has"), "{nothing}");
    }
}
