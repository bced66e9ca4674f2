//! The IDX format of MNIST: one array a file.
//!
//! Only the element types u8 and f32 are read, and only arrays of one to four dimensions. [`parse_idx`] copies nothing, allocates by what
//! is there and never by what a header announces, and does not panic on any bytes.

/// An array in IDX form, borrowed from its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Idx<'a> {
    /// The sizes, the outermost first; one to four, none of them 0.
    pub dims: Vec<usize>,
    /// What the elements are.
    pub element: Element,
    /// The elements as they stand in the file: the product of `dims` times the element's size.
    pub bytes: &'a [u8],
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A byte, 0 to 255.
    U8,
    /// A big-endian IEEE float.
    F32,
}

impl core::fmt::Display for Element {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Element::U8 => "u8",
            Element::F32 => "f32",
        })
    }
}

/// Why bytes are not an array in IDX form; the text goes on from the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// No magic number.
    #[error("is not an IDX file: it must begin with two zero bytes, a type and a number of dimensions")]
    Magic,
    /// An element type that is not read.
    #[error("holds elements of type {0:#04x}{name}; only u8 (0x08) and f32 (0x0d) are read: convert it", name = type_name(*.0))]
    Type(u8),
    /// Too many dimensions, or none.
    #[error("announces {0} dimensions; 1 to 4 are read")]
    Rank(u8),
    /// A dimension of size 0.
    #[error("announces no elements: one of its dimensions is 0")]
    Empty,
    /// A product of dimensions that no file can have.
    #[error("announces more elements than any file can hold: its header is damaged")]
    TooLarge,
    /// Fewer bytes than the header announces.
    #[error("is cut short: its header announces {announced} bytes and it has {has}; fetch the file again")]
    Truncated {
        /// Bytes of the file by its header.
        announced: u64,
        /// Bytes of the file.
        has: u64,
    },
    /// More bytes than the header announces.
    #[error("does not end where it should: its header announces {announced} bytes and it has {has}")]
    Trailing {
        /// Bytes of the file by its header.
        announced: u64,
        /// Bytes of the file.
        has: u64,
    },
    /// An f32 that is NaN or infinite.
    #[error("holds NaN or infinity as element {0} (from 0)")]
    NotFinite(usize),
}

/// The known types that are not read.
fn type_name(element: u8) -> &'static str {
    match element {
        0x09 => " (i8)",
        0x0b => " (i16)",
        0x0c => " (i32)",
        0x0e => " (f64)",
        _ => "",
    }
}

/// Reads an array: the magic 0, 0, type, rank; `rank` sizes as big-endian u32; the elements, the last dimension fastest.
pub fn parse_idx(bytes: &[u8]) -> Result<Idx<'_>, IdxError> {
    let has = bytes.len() as u64;
    let Some((&[0, 0, element, rank], rest)) = bytes.split_first_chunk() else { return Err(IdxError::Magic) };
    let (element, size) = match element {
        0x08 => (Element::U8, 1),
        0x0d => (Element::F32, 4),
        other => return Err(IdxError::Type(other)),
    };
    if !(1..=4).contains(&rank) {
        return Err(IdxError::Rank(rank));
    }
    let header = 4 + 4 * u64::from(rank);
    let Some((sizes, elements)) = rest.split_at_checked(4 * usize::from(rank)) else {
        return Err(IdxError::Truncated { announced: header, has });
    };
    let sizes = sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size));
    if sizes.clone().any(|size| size == 0) {
        return Err(IdxError::Empty);
    }
    let announced = sizes.clone().try_fold(size, |product: u64, size| product.checked_mul(u64::from(size)));
    let announced = announced.and_then(|bytes| bytes.checked_add(header)).ok_or(IdxError::TooLarge)?;
    if has < announced {
        return Err(IdxError::Truncated { announced, has });
    }
    if has > announced {
        return Err(IdxError::Trailing { announced, has });
    }
    let idx = Idx { dims: sizes.map(|size| size as usize).collect(), element, bytes: elements };
    if let Some(at) = idx.values().position(|value| !value.is_finite()) {
        return Err(IdxError::NotFinite(at));
    }
    Ok(idx)
}

impl Idx<'_> {
    /// The elements as f32, in the order of the file; u8 is exact.
    pub fn values(&self) -> impl Iterator<Item = f32> + '_ {
        let (small, large) = match self.element {
            Element::U8 => (self.bytes, &[][..]),
            Element::F32 => (&[][..], self.bytes.as_chunks().0),
        };
        small.iter().map(|&byte| f32::from(byte)).chain(large.iter().map(|&bytes| f32::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::carve::below;
    use super::*;

    /// A file: magic, sizes, elements.
    pub(crate) fn idx(element: u8, dims: &[u32], elements: &[u8]) -> Vec<u8> {
        let sizes = dims.iter().flat_map(|size| size.to_be_bytes());
        [0, 0, element, dims.len() as u8].into_iter().chain(sizes).chain(elements.iter().copied()).collect()
    }

    #[test]
    fn reads_bytes_and_floats() {
        let file = idx(8, &[2, 3], &[1, 2, 3, 4, 5, 255]);
        let read = parse_idx(&file).unwrap();
        assert_eq!((&read.dims[..], read.element), (&[2, 3][..], Element::U8));
        assert_eq!(read.values().collect::<Vec<_>>(), [1., 2., 3., 4., 5., 255.]);
        let file = idx(0x0d, &[2], &[1.5f32.to_be_bytes(), (-2f32).to_be_bytes()].concat());
        assert_eq!(parse_idx(&file).unwrap().values().collect::<Vec<_>>(), [1.5, -2.0]);
    }

    #[test]
    fn refuses_an_idx_file_shorter_than_its_header_announces() {
        let file = idx(8, &[2, 3], &[0; 6]);
        for end in 4..file.len() {
            let announced = if end < 12 { 12 } else { 18 };
            assert_eq!(parse_idx(&file[..end]), Err(IdxError::Truncated { announced, has: end as u64 }));
        }
        for end in 0..4 {
            assert_eq!(parse_idx(&file[..end]), Err(IdxError::Magic));
        }
    }

    #[test]
    fn refuses_an_idx_file_with_bytes_behind_its_end() {
        assert_eq!(parse_idx(&idx(8, &[2], &[0; 3])), Err(IdxError::Trailing { announced: 10, has: 11 }));
    }

    #[test]
    fn refuses_a_wrong_magic_a_strange_type_and_a_strange_rank() {
        assert_eq!(parse_idx(b"\x89PNG\r\n\x1a\n"), Err(IdxError::Magic));
        assert_eq!(parse_idx(&idx(0x0b, &[1], &[0; 2])), Err(IdxError::Type(0x0b)));
        assert_eq!(
            IdxError::Type(0x0b).to_string(),
            "holds elements of type 0x0b (i16); only u8 (0x08) and f32 (0x0d) are read: convert it"
        );
        assert_eq!(parse_idx(&idx(8, &[], &[])), Err(IdxError::Rank(0)));
        assert_eq!(parse_idx(&idx(8, &[1; 5], &[0])), Err(IdxError::Rank(5)));
    }

    #[test]
    fn refuses_absurd_sizes_without_allocating_them() {
        assert_eq!(parse_idx(&idx(8, &[u32::MAX; 4], &[0; 9])), Err(IdxError::TooLarge));
        assert_eq!(parse_idx(&idx(0x0d, &[1 << 31, 1 << 31, 1], &[])), Err(IdxError::TooLarge));
        assert!(matches!(parse_idx(&idx(8, &[u32::MAX, 28, 28], &[0; 784])), Err(IdxError::Truncated { .. })));
        assert_eq!(parse_idx(&idx(8, &[u32::MAX, 0, 28], &[])), Err(IdxError::Empty));
    }

    #[test]
    fn refuses_floats_that_are_not_finite() {
        let file = idx(0x0d, &[2], &[1f32.to_be_bytes(), f32::NAN.to_be_bytes()].concat());
        assert_eq!(parse_idx(&file), Err(IdxError::NotFinite(1)));
    }

    #[test]
    fn no_mutation_makes_the_parser_panic_or_lie() {
        let seeds = [idx(8, &[4, 2, 3], &[9; 24]), idx(0x0d, &[2, 2], &[1; 16]), idx(8, &[6], &[0, 1, 2, 3, 4, 5])];
        let (mut random, mut read) = (1, 0);
        for round in 0..20_000 {
            let mut bytes = seeds[round % seeds.len()].clone();
            for _ in 0..below(4, &mut random) {
                let at = below(bytes.len().min(24), &mut random);
                bytes[at] = [0, 1, 2, 8, 0x0d, 0x7f, 0xff, below(256, &mut random) as u8][below(8, &mut random)];
            }
            bytes.truncate(if below(3, &mut random) == 0 { below(bytes.len() + 1, &mut random) } else { bytes.len() });
            if let Ok(idx) = parse_idx(&bytes) {
                assert_eq!(idx.values().count(), idx.dims.iter().product::<usize>());
                read += 1;
            }
        }
        assert!(read > 1000, "the mutations must leave some files readable");
    }
}
