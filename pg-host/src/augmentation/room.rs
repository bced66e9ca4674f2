//! The memory of a batch, and parts of it for one thread each. What lies in it is nothing to it.

use crate::memory::Memory;

/// Room for a batch.
pub(super) struct Room {
    pub(super) inputs: Memory,
    pub(super) labels: Vec<u16>,
    /// The classes of the second samples of mixes.
    pub(super) seconds: Vec<u16>,
    /// The shares of the first samples of mixes.
    pub(super) shares: Vec<f32>,
}

/// Room for some samples that follow each other.
pub(super) struct Part<'a> {
    pub(super) inputs: &'a mut [f32],
    pub(super) labels: &'a mut [u16],
    pub(super) seconds: &'a mut [u16],
    pub(super) shares: &'a mut [f32],
}

impl Room {
    /// For up to `size` samples of `len` values.
    pub(super) fn new(size: usize, len: usize) -> Self {
        let classes = || Vec::with_capacity(size);
        Self { inputs: Memory::zeros(size * len), labels: classes(), seconds: classes(), shares: Vec::with_capacity(size) }
    }

    /// Has so many samples from now on.
    pub(super) fn resize(&mut self, count: usize) {
        self.labels.resize(count, 0);
        self.seconds.resize(count, 0);
        self.shares.resize(count, 0.0);
    }

    /// The samples from number `first` on, of `len` values each.
    pub(super) fn part(&mut self, first: usize, len: usize) -> Part<'_> {
        let Self { inputs, labels, seconds, shares } = self;
        let inputs = inputs.get_mut(first * len..labels.len() * len).expect("a batch fits");
        Part { inputs, labels: &mut labels[first..], seconds: &mut seconds[first..], shares: &mut shares[first..] }
    }
}

impl<'a> Part<'a> {
    /// Takes `count` samples of `len` values off the front.
    pub(super) fn cut(&mut self, count: usize, len: usize) -> Part<'a> {
        let Self { inputs, labels, seconds, shares } = self;
        Part {
            inputs: front(inputs, count * len),
            labels: front(labels, count),
            seconds: front(seconds, count),
            shares: front(shares, count),
        }
    }
}

/// Takes `count` off the front.
fn front<'a, T>(slice: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    slice.split_off_mut(..count).expect("as many as samples")
}
