//! Blocks of `f32`s that start at a cache line, as vectors like it. Nothing here knows what lies in them.

use pg_core::f32x16;

/// Zeros to begin with; as long as asked for, aligned to 64 bytes.
#[derive(Clone, Debug)]
pub struct Memory {
    vectors: Vec<f32x16>,
    len: usize,
}

impl Memory {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self { vectors: vec![f32x16::ZERO; len.div_ceil(16)], len }
    }
}

impl std::ops::Deref for Memory {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.vectors)[..self.len]
    }
}

impl std::ops::DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.vectors)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_aligned_and_of_its_length() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let mut memory = Memory::zeros(len);
            memory.fill(1.0);
            assert_eq!((memory.len(), memory.as_ptr().addr() % 64), (len, 0));
        }
    }
}
