//! How options are written: into JSON, and into the provenance of a model file. What can be written shorter is left out.

use pg_core::initialise::Rule;
use pg_core::perturbation::Distribution;
use pg_core::schedule::Course;
use serde::Serializer;

use super::DataOptions;
use crate::augmentation::Augmentation;

/// The shortest decimal that is this `f32`: 0.1, not the digits of its nearest `f64`.
pub(super) fn as_written<S: Serializer>(number: &f32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(number.to_string().parse().unwrap_or(f64::NAN))
}

pub(super) fn data_name<S: Serializer>(data: &DataOptions, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&data.name)
}

pub(super) fn as_written_if<S: Serializer>(number: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => as_written(number, to),
        None => to.serialize_none(),
    }
}

pub(super) fn is_off(option: &bool) -> bool {
    !option
}

pub(super) fn is_zero(number: &f32) -> bool {
    *number == 0.0
}

pub(super) fn course_name<S: Serializer>(course: &Course, to: S) -> Result<S::Ok, S::Error> {
    match course {
        Course::Constant => to.serialize_str("constant"),
        Course::Step { factor, every } => to.collect_str(&format_args!("step({factor},{every})")),
        Course::Exponential { end } => to.collect_str(&format_args!("exponential({end})")),
        Course::Cosine => to.serialize_str("cosine"),
        Course::OneCycle => to.serialize_str("one-cycle"),
    }
}

pub(super) fn noise_name<S: Serializer>(noise: &Distribution, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match noise {
        Distribution::Gaussian => "gaussian",
        Distribution::Uniform => "uniform",
        Distribution::Rademacher => "rademacher",
        Distribution::RankOne => "rank1",
    })
}

pub(super) fn rule_name<S: Serializer>(rule: &Rule, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match rule {
        Rule::Auto => "auto",
        Rule::He => "he",
        Rule::Xavier => "xavier",
        Rule::XavierUniform => "xavier-uniform",
        Rule::Orthogonal => "orthogonal",
        Rule::Uniform => "uniform",
    })
}

pub(super) fn augmentation_text<S: Serializer>(augmentation: &Augmentation, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(augmentation)
}
