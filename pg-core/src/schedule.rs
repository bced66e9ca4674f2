//! Learning-rate schedules: a factor for each optimiser step. They count steps, never members.

/// How the learning rate changes over a training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// The same rate throughout.
    Constant,
    /// Half a cosine, from the full rate down to almost none (Loshchilov and Hutter, *SGDR*, 2017, without restarts).
    Cosine,
}

impl Schedule {
    /// The factor of the rate at `step` of `steps`, in [0, 1].
    pub fn factor(self, step: u32, steps: u32) -> f32 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => 0.5 + 0.5 * libm::cosf(core::f32::consts::PI * (step as f32 / steps as f32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_starts_full_is_half_way_at_half_time_and_ends_near_zero() {
        assert_eq!(Schedule::Cosine.factor(0, 100), 1.0);
        assert!((Schedule::Cosine.factor(50, 100) - 0.5).abs() < 1e-6);
        assert!(Schedule::Cosine.factor(99, 100) < 1e-3);
        assert_eq!(Schedule::Constant.factor(99, 100), 1.0);
    }
}
