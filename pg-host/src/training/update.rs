//! What a step does to the parameters once it has a gradient. Element by element, so in pieces: all threads take their share, and each does all
//! that there is to do to some numbers while the cache holds them.
//!
//! Nothing here knows where the gradient is from.

use std::ops::Range;

use pg_core::Widest;
use pg_core::optimiser::Optimiser;

use crate::engine::{Crew, LINE};

/// Numbers of a piece: so few that those of all its slices fit into the first cache.
const PIECE: usize = 1024;

/// How parameters follow from a gradient.
#[derive(Clone, Debug)]
pub struct Update {
    /// The ranges of the parameters that are trained, each with its optimiser.
    pub parts: Vec<(Range<usize>, Optimiser)>,
}

/// What an update changes: all of the parameters, or a piece of them.
pub struct Values<'a> {
    /// The parameters.
    pub parameters: &'a mut [f32],
    /// Is to take the parameters as they are before the update.
    pub snapshot: &'a mut [f32],
    /// The optimiser's state, as many as it has; the others are empty.
    pub slots: [&'a mut [f32]; 2],
}

impl Update {
    /// Updates `values` in the step `number`, from 0, and tells whether all parameters are finite numbers.
    ///
    /// # Panics
    /// When the slices are not of one length, but for those that are empty.
    pub fn apply(&self, crew: &Crew, rate: f32, number: u32, gradient: &[f32], values: Values) -> bool {
        let length = gradient.len();
        assert!(values.parameters.len() == length && values.snapshot.len() == length, "a gradient of these parameters");
        assert!(values.slots.iter().all(|slot| slot.is_empty() || slot.len() == length), "a state of these parameters");
        let mut rest = values;
        let cut = |range: Range<usize>| (range.start, rest.cut(range.len()));
        crew.every(length, LINE, cut, |(first, mut values)| {
            let mut finite = true;
            for first in (first..first + values.parameters.len()).step_by(PIECE) {
                // Without a short circuit: all are updated.
                finite &= self.piece(rate, number, gradient, first, values.cut(PIECE));
            }
            finite
        })
    }

    /// The same for the values from `first` on.
    fn piece(&self, rate: f32, number: u32, gradient: &[f32], first: usize, values: Values) -> bool {
        let Values { parameters, snapshot, mut slots } = values;
        snapshot.copy_from_slice(parameters);
        let piece = first..first + parameters.len();
        for (range, optimiser) in &self.parts {
            let range = range.start.max(piece.start)..range.end.min(piece.end);
            if range.is_empty() {
                continue;
            }
            let here = range.start - first..range.end - first;
            let slots = slots.each_mut().map(|slot| slot.get_mut(here.clone()).unwrap_or_default());
            optimiser.update::<Widest>(rate, number, &gradient[range], slots, &mut parameters[here]);
        }
        // Without a short circuit, for the sake of the lanes.
        parameters.iter().fold(true, |finite, p| finite & p.is_finite())
    }
}

impl<'a> Values<'a> {
    /// Takes those of up to `size` parameters off the front.
    fn cut(&mut self, size: usize) -> Values<'a> {
        let Self { parameters, snapshot, slots: [first, second] } = self;
        Values { parameters: cut(parameters, size), snapshot: cut(snapshot, size), slots: [cut(first, size), cut(second, size)] }
    }
}

/// Takes up to `size` numbers off the front.
fn cut<'a>(slice: &mut &'a mut [f32], size: usize) -> &'a mut [f32] {
    slice.split_off_mut(..size.min(slice.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pg_core::optimiser::{Adam, Sgd};

    use super::*;

    const LENGTH: usize = 5000;

    /// The bits of parameters, snapshot and state after three updates.
    fn updated(update: &Update, threads: usize, poison: Option<usize>) -> (Vec<u32>, bool) {
        let crew = Crew::new(threads).unwrap();
        let mut parameters: Vec<f32> = (0..LENGTH).map(|i| (i % 89) as f32 / 50.0 - 0.8).collect();
        let slots = update.parts[0].1.slots();
        let (mut state, mut snapshot) = (vec![0.0; slots * LENGTH], vec![0.0; LENGTH]);
        let mut finite = true;
        for number in 0..3 {
            let mut gradient: Vec<f32> = (0..LENGTH).map(|i| (i as u32 * 7 % (97 + number)) as f32 / 40.0 - 1.1).collect();
            if let Some(index) = poison {
                gradient[index] = f32::MAX;
            }
            let slots = update.parts[0].1.cut(&mut state);
            let values = Values { parameters: &mut parameters, snapshot: &mut snapshot, slots };
            finite &= update.apply(&crew, 7.0, number, &gradient, values);
        }
        ([parameters, snapshot, state].concat().iter().map(|x| x.to_bits()).collect(), finite)
    }

    #[test]
    fn pieces_and_threads_change_no_bit_of_an_update() {
        let sgd = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.01 });
        for optimiser in [Optimiser::Adam(Adam::ADAM), sgd, Optimiser::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.01 })] {
            // Some are not trained, some not decayed; the edges are those of no piece.
            let parts = vec![(0..1030, optimiser), (1041..3000, optimiser.without_decay()), (3000..4999, optimiser)];
            let update = Update { parts };
            let (bits, finite) = updated(&update, 1, None);
            assert!(finite);
            for threads in [2, 3, 7] {
                assert!(updated(&update, threads, None) == (bits.clone(), true), "{threads}");
            }
            // As a whole, one thing after the other.
            let mut expected: Vec<f32> = (0..LENGTH).map(|i| (i % 89) as f32 / 50.0 - 0.8).collect();
            let (mut before, mut state) = (Vec::new(), vec![0.0; optimiser.slots() * LENGTH]);
            for number in 0..3 {
                before.clone_from(&expected);
                let gradient: Vec<f32> = (0..LENGTH).map(|i| (i as u32 * 7 % (97 + number)) as f32 / 40.0 - 1.1).collect();
                for (range, optimiser) in &update.parts {
                    optimiser.step::<f32>(7.0, number, range.clone(), &gradient, &mut state, &mut expected);
                }
            }
            assert!([expected, before, state].concat().iter().zip(&bits).all(|(x, bits)| x.to_bits() == *bits));
        }
    }

    #[test]
    fn one_parameter_that_is_not_finite_is_found_whoever_has_it() {
        let update = Update { parts: vec![(0..LENGTH, Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 }))] };
        for threads in [1, 2, 3] {
            for index in [0, 1023, 2500, LENGTH - 1] {
                assert!(!updated(&update, threads, Some(index)).1);
            }
        }
    }
}
