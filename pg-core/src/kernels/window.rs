//! Where a sliding window lies: which inputs an output sees, and which outputs see an input. Index arithmetic, no data.

use core::ops::Range;

use crate::shape::Shape;

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Places of the input.
    pub input: usize,
    /// Places of the output.
    pub output: usize,
    /// Places that the window covers.
    pub kernel: usize,
    /// Places from one window to the next.
    pub stride: usize,
    /// Places before and behind the input that count as zero.
    pub padding: usize,
}

impl Axis {
    /// The axis of a window over `input` places.
    ///
    /// # Panics
    /// In a constant: when the window does not fit.
    pub const fn new(input: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        assert!(kernel > 0 && stride > 0, "a window has at least one place and moves by at least one");
        assert!(padding < kernel, "a window of this padding would see nothing but padding");
        assert!(kernel <= input + 2 * padding, "the window does not fit its input");
        Self { input, output: (input + 2 * padding - kernel) / stride + 1, kernel, stride, padding }
    }

    /// The taps of the window that output `place` sees.
    pub(crate) const fn taps(&self, place: usize) -> Range<usize> {
        let start = place * self.stride;
        let end = self.input + self.padding - start;
        self.padding.saturating_sub(start)..if end < self.kernel { end } else { self.kernel }
    }

    /// The input that output `place` sees through `tap`, which must be one of its [`Axis::taps`].
    pub(crate) const fn seen(&self, place: usize, tap: usize) -> usize {
        place * self.stride + tap - self.padding
    }

    /// The outputs that see an input through `tap`.
    pub(crate) const fn seeing(&self, tap: usize) -> Range<usize> {
        let start = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let reach = self.input + self.padding;
        let end = if reach > tap { (reach - tap).div_ceil(self.stride) } else { 0 };
        let end = if end < self.output { end } else { self.output };
        start..if end > start { end } else { start }
    }

    /// The outputs that see through all taps.
    pub(crate) const fn inside(&self) -> Range<usize> {
        let start = self.padding.div_ceil(self.stride);
        let reach = self.input + self.padding;
        let end = if reach >= self.kernel { (reach - self.kernel) / self.stride + 1 } else { 0 };
        let end = if end < self.output { end } else { self.output };
        let start = if start < end { start } else { end };
        start..end
    }

    /// Input `place` and its window mates: the phase (its tap modulo the stride) and the output that sees it through that tap, if any does.
    pub(crate) const fn phase(&self, place: usize) -> (usize, usize) {
        ((place + self.padding) % self.stride, (place + self.padding) / self.stride)
    }

    /// How many taps there are in `phase`.
    pub(crate) const fn taps_in(&self, phase: usize) -> usize {
        self.kernel.saturating_sub(phase).div_ceil(self.stride)
    }

    /// Which taps of its phase, of `taps`, see an input whose first tap belongs to output `first`: tap m belongs to output `first - m`.
    pub(crate) const fn taps_back(&self, first: usize, taps: usize) -> Range<usize> {
        let start = (first + 1).saturating_sub(self.output);
        let end = if first + 1 < taps { first + 1 } else { taps };
        start..if end > start { end } else { start }
    }
}

/// A window over images: rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Along the rows.
    pub y: Axis,
    /// Along the columns.
    pub x: Axis,
}

impl Plane {
    /// Places of the input.
    pub const fn inputs(&self) -> usize {
        self.y.input * self.x.input
    }

    /// Places of the output.
    pub const fn outputs(&self) -> usize {
        self.y.output * self.x.output
    }

    /// Taps of the window.
    pub const fn taps(&self) -> usize {
        self.y.kernel * self.x.kernel
    }

    /// The shape of `channels` outputs.
    pub const fn shape(&self, channels: usize) -> Shape {
        Shape::new(channels, self.y.output, self.x.output)
    }

    /// A window of one place that sees every place can run over one long row.
    pub(crate) const fn flattened(self) -> Self {
        let Self { y, x } = self;
        if self.taps() == 1 && y.stride == 1 && x.stride == 1 {
            return Self { y: Axis::new(1, 1, 1, 0), x: Axis::new(y.input * x.input, 1, 1, 0) };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn every_pair_of_output_and_tap_is_found_from_all_sides() {
        for (input, kernel, stride, padding) in
            (1..9).flat_map(|i| (1..6).flat_map(move |k| (1..4).flat_map(move |s| (0..k).map(move |p| (i, k, s, p)))))
        {
            if kernel > input + 2 * padding {
                continue;
            }
            let axis = Axis::new(input, kernel, stride, padding);
            // By the definition: output o sees input o·s + t - p through tap t.
            let all: Vec<(usize, usize, usize)> = (0..axis.output)
                .flat_map(|o| (0..kernel).map(move |t| (o, t)))
                .filter_map(|(o, t)| (o * stride + t).checked_sub(padding).filter(|&i| i < input).map(|i| (o, t, i)))
                .collect();
            let by_output: Vec<_> = (0..axis.output).flat_map(|o| axis.taps(o).map(move |t| (o, t, axis.seen(o, t)))).collect();
            assert_eq!(by_output, all, "{axis:?}");
            let sorted = |mut pairs: Vec<(usize, usize, usize)>| {
                pairs.sort_unstable();
                pairs
            };
            let by_tap = (0..kernel).flat_map(|t| axis.seeing(t).map(move |o| (o, t, axis.seen(o, t)))).collect();
            assert_eq!(sorted(by_tap), all, "{axis:?}");
            let by_input = (0..input).flat_map(|i| {
                let (phase, first) = axis.phase(i);
                axis.taps_back(first, axis.taps_in(phase)).map(move |m| (first - m, phase + m * stride, i))
            });
            assert_eq!(sorted(by_input.collect()), all, "{axis:?}");
            let full = |o: &usize| axis.taps(*o) == (0..kernel);
            assert_eq!(axis.inside().collect::<Vec<_>>(), (0..axis.output).filter(full).collect::<Vec<_>>(), "{axis:?}");
        }
    }
}
