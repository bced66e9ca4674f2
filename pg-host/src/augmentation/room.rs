//! The memory of a batch, and parts of it for one thread each. What lies in it is nothing to it.

use crate::memory::Memory;

/// Room for a batch.
pub(super) struct Room {
    /// Values of a sample.
    len: usize,
    pub(super) inputs: Memory,
    pub(super) labels: Vec<u16>,
    /// The classes of the second samples of mixes.
    pub(super) seconds: Vec<u16>,
    /// The shares of the first samples of mixes.
    pub(super) shares: Vec<f32>,
}

/// Room for some samples that follow each other.
pub(super) struct Part<'a> {
    len: usize,
    pub(super) inputs: &'a mut [f32],
    pub(super) labels: &'a mut [u16],
    pub(super) seconds: &'a mut [u16],
    pub(super) shares: &'a mut [f32],
}

impl Room {
    /// For up to `size` samples of `len` values.
    pub(super) fn new(size: usize, len: usize) -> Self {
        let classes = || Vec::with_capacity(size);
        Self { len, inputs: Memory::zeros(size * len), labels: classes(), seconds: classes(), shares: Vec::with_capacity(size) }
    }

    /// Has so many samples from now on.
    ///
    /// # Panics
    /// When it has no room for them.
    pub(super) fn resize(&mut self, count: usize) {
        assert!(count * self.len <= self.inputs.len(), "a batch fits");
        self.labels.resize(count, 0);
        self.seconds.resize(count, 0);
        self.shares.resize(count, 0.0);
    }

    /// The samples from number `first` on.
    pub(super) fn part(&mut self, first: usize) -> Part<'_> {
        let inputs = &mut self.inputs[first * self.len..self.labels.len() * self.len];
        let (labels, seconds, shares) = (&mut self.labels[first..], &mut self.seconds[first..], &mut self.shares[first..]);
        Part { len: self.len, inputs, labels, seconds, shares }
    }
}

impl<'a> Part<'a> {
    /// Takes `count` samples off the front.
    pub(super) fn cut(&mut self, count: usize) -> Part<'a> {
        Part {
            len: self.len,
            inputs: front(&mut self.inputs, count * self.len),
            labels: front(&mut self.labels, count),
            seconds: front(&mut self.seconds, count),
            shares: front(&mut self.shares, count),
        }
    }
}

/// Takes `count` off the front.
fn front<'a, T>(slice: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    slice.split_off_mut(..count).expect("as many as samples")
}
