//! Learning-rate schedules: a factor for each optimiser step. They count steps, never members.

/// How the learning rate changes over a training run: a course, and perhaps a warm-up before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The course after the warm-up.
    pub course: Course,
    /// The part of all steps, in [0, 1), in which the rate rises in a line from almost nothing to its full size.
    pub warmup: f32,
}

/// The course of a learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Course {
    /// The same rate throughout.
    Constant,
    /// Times `factor` after each part `every` of the steps.
    Step {
        /// 0.1 is usual.
        factor: f32,
        /// The part of the steps between two drops, in (0, 1].
        every: f32,
    },
    /// By the same factor in each step, down to `end` of the full rate.
    Exponential {
        /// What is left of the rate at the end, above 0.
        end: f32,
    },
    /// Half a cosine, from the full rate down to almost none (Loshchilov and Hutter, *SGDR*, 2017, without restarts).
    Cosine,
    /// One cycle (Smith, 2018): by half a cosine up from 1/25 of the rate in the first 30 % of the steps, and down to 1/250,000 of it in
    /// the others, as PyTorch's `OneCycleLR`; the momentum stays as it is.
    OneCycle,
}

impl Schedule {
    /// A course without warm-up.
    pub const fn new(course: Course) -> Self {
        Self { course, warmup: 0.0 }
    }

    /// The factor of the rate at `step` of `steps`, in [0, 1].
    pub fn factor(self, step: u32, steps: u32) -> f32 {
        let warm = self.warmup * steps as f32;
        let rise = (step as f32 + 1.0) / (warm + 1.0);
        if rise < 1.0 {
            return rise;
        }
        self.course.factor((step as f32 - warm).max(0.0), steps as f32 - warm)
    }
}

/// Half a cosine: 1 at 0, 0 at 1.
fn half_cosine(done: f32) -> f32 {
    0.5 + 0.5 * libm::cosf(core::f32::consts::PI * done)
}

impl Course {
    /// The factor at `step` of the `steps` of the course.
    fn factor(self, step: f32, steps: f32) -> f32 {
        let done = step / steps;
        match self {
            Course::Constant => 1.0,
            // A little more than done, for parts that no f32 is: a third three times is one.
            Course::Step { factor, every } => libm::powf(factor, libm::floorf((done + 1e-6) / every)),
            Course::Exponential { end } => libm::powf(end, done),
            Course::Cosine => half_cosine(done),
            Course::OneCycle => {
                // The steps of the highest and of the lowest rate, as PyTorch counts them.
                let (top, end) = (0.3 * steps - 1.0, steps - 1.0);
                let between = |from: f32, to: f32, done: f32| to + (from - to) * half_cosine(done);
                if step < top {
                    between(1.0 / 25.0, 1.0, step / top)
                } else {
                    between(1.0, 1.0 / 25e4, ((step - top) / (end - top)).min(1.0))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(course: Course, step: u32) -> f32 {
        Schedule::new(course).factor(step, 100)
    }

    #[test]
    fn the_cosine_starts_full_is_half_way_at_half_time_and_ends_near_zero() {
        assert_eq!(factor(Course::Cosine, 0), 1.0);
        assert!((factor(Course::Cosine, 50) - 0.5).abs() < 1e-6);
        assert!(factor(Course::Cosine, 99) < 1e-3);
        assert_eq!(factor(Course::Constant, 99), 1.0);
    }

    #[test]
    fn steps_fall_at_their_places_and_exponentials_evenly() {
        let steps = Course::Step { factor: 0.1, every: 0.25 };
        for (step, expected) in [(0, 1.0), (24, 1.0), (25, 0.1), (49, 0.1), (50, 0.01), (99, 0.001)] {
            assert!((factor(steps, step) - expected).abs() < 1e-6 * expected, "{step}");
        }
        let exponential = Course::Exponential { end: 0.01 };
        assert_eq!(factor(exponential, 0), 1.0);
        assert!((factor(exponential, 50) - 0.1).abs() < 1e-6);
    }

    #[test]
    fn one_cycle_rises_to_the_full_rate_and_falls_to_nothing() {
        assert!((factor(Course::OneCycle, 0) - 0.04).abs() < 1e-6);
        assert!((factor(Course::OneCycle, 29) - 1.0).abs() < 1e-5);
        assert!(factor(Course::OneCycle, 99) < 2e-3);
    }

    #[test]
    fn a_warm_up_rises_in_a_line_and_hands_over_at_the_full_rate() {
        let schedule = Schedule { course: Course::Cosine, warmup: 0.1 };
        for step in 0..10 {
            assert!((schedule.factor(step, 100) - (step + 1) as f32 / 11.0).abs() < 1e-6, "{step}");
        }
        assert!(schedule.factor(10, 100) > 0.999 && schedule.factor(99, 100) < 2e-3);
    }
}
