//! How the noise scale changes over a training run. It counts optimiser steps, never members.

/// A course of ρ within a part of the run; outside of it there is no noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RhoSchedule {
    /// The course.
    pub course: RhoCourse,
    /// Where it begins, as a fraction of all steps.
    pub start: f32,
    /// Where it ends, as a fraction of all steps.
    pub stop: f32,
}

/// A course of ρ, as a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RhoCourse {
    /// The same throughout.
    Constant,
    /// Half a cosine, from nothing up to the full scale.
    CosineUp,
    /// Half a cosine, from the full scale down to nothing.
    CosineDown,
}

impl RhoSchedule {
    /// The same scale in every step.
    pub const CONSTANT: Self = Self { course: RhoCourse::Constant, start: 0.0, stop: 1.0 };

    /// The factor of ρ at `step` of `steps`, in [0, 1].
    pub fn factor(&self, step: u32, steps: u32) -> f32 {
        if *self == Self::CONSTANT {
            return 1.0;
        }
        let done = step as f32 / steps as f32;
        // A run asks once more after its last step, which is like the last.
        if done < self.start || (done >= self.stop && self.stop < 1.0) {
            return 0.0;
        }
        let done = ((done - self.start) / (self.stop - self.start)).min(1.0);
        let cosine = libm::cosf(core::f32::consts::PI * done);
        match self.course {
            RhoCourse::Constant => 1.0,
            RhoCourse::CosineUp => 0.5 - 0.5 * cosine,
            RhoCourse::CosineDown => 0.5 + 0.5 * cosine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_follows_its_formula_within_its_part_and_is_nothing_outside() {
        for course in [RhoCourse::Constant, RhoCourse::CosineUp, RhoCourse::CosineDown] {
            for (start, stop) in [(0.0, 1.0), (0.25, 0.75), (0.5, 1.0), (0.0, 0.125)] {
                let schedule = RhoSchedule { course, start, stop };
                for step in 0..=200 {
                    let done = f64::from(step) / 200.0;
                    let inside = (done - f64::from(start)) / f64::from(stop - start);
                    let rise = 0.5 * (1.0 - libm::cos(core::f64::consts::PI * inside));
                    let expected = match course {
                        _ if done < f64::from(start) || (done >= f64::from(stop) && stop < 1.0) => 0.0,
                        RhoCourse::Constant => 1.0,
                        RhoCourse::CosineUp => rise,
                        RhoCourse::CosineDown => 1.0 - rise,
                    };
                    let found = f64::from(schedule.factor(step, 200));
                    assert!((found - expected).abs() < 1e-6, "{schedule:?} at {step}: {found} for {expected}");
                }
            }
        }
    }
}
