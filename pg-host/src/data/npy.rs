//! The NPY format of NumPy: one array a file.
//!
//! Booleans, integers and floats are read, in either byte order and in C order only. [`parse_npy`] copies nothing, allocates by what is
//! there and never by what a header announces, and does not panic or recurse on any bytes, which the crates for this format do not promise.

use super::csv::clip;

/// An array in NPY form, borrowed from its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Npy<'a> {
    /// The sizes, the outermost first; one to four, none of them 0.
    pub dims: Vec<usize>,
    /// What the elements are.
    pub number: Number,
    /// The elements as they stand in the file.
    pub bytes: &'a [u8],
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    kind: Kind,
    /// Bytes of an element: 1, 2, 4 or 8.
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned,
    Signed,
    Float,
}

/// Why bytes are not an array in NPY form; the text goes on from the file's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// No magic string.
    #[error("is not an NPY file: it must begin with \\x93NUMPY and a version from 1 to 3")]
    Magic,
    /// A header that ends before it should or lacks an entry.
    #[error("has a damaged header: {0} cannot be read; save the array again")]
    Header(&'static str),
    /// An element type that is not read.
    #[error("holds elements of type `{0}`; booleans, integers and floats of 32 or 64 bits are read: convert it with .astype('float32')")]
    Type(String),
    /// The first index fastest.
    #[error("is in Fortran order; save numpy.ascontiguousarray(array) instead")]
    Fortran,
    /// Too many dimensions, or none.
    #[error("announces {0} dimensions; 1 to 4 are read")]
    Rank(usize),
    /// A dimension of size 0.
    #[error("announces no elements: one of its dimensions is 0")]
    Empty,
    /// Another number of bytes than the header announces.
    #[error("should have {announced} bytes of elements by its header, and has {has}; save the array again")]
    Size {
        /// Bytes by the header.
        announced: u64,
        /// Bytes of the file.
        has: u64,
    },
    /// A product of dimensions that no file can have.
    #[error("announces more elements than any file can hold: its header is damaged")]
    TooLarge,
    /// A value that no f32 holds.
    #[error("holds NaN, infinity or a number beyond those of an f32 as element {0} (from 0)")]
    NotFinite(usize),
}

/// Reads an array: the magic and the version, the length of the header, the header, which is a Python dictionary, and the elements.
pub fn parse_npy(bytes: &[u8]) -> Result<Npy<'_>, NpyError> {
    let (&version, rest) = bytes.strip_prefix(b"\x93NUMPY").and_then(<[u8]>::split_first_chunk).ok_or(NpyError::Magic)?;
    let cut = NpyError::Header("its length");
    let (length, rest) = match version {
        [1, _] => rest.split_first_chunk().map(|(&length, rest)| (u16::from_le_bytes(length).into(), rest)).ok_or(cut)?,
        [2 | 3, _] => rest.split_first_chunk().map(|(&length, rest)| (u32::from_le_bytes(length), rest)).ok_or(cut)?,
        _ => return Err(NpyError::Magic),
    };
    let (header, bytes) = rest.split_at_checked(length as usize).ok_or(NpyError::Header("its end"))?;
    let header = str::from_utf8(header).map_err(|_| NpyError::Header("its text"))?;
    let number = Number::parse(value(header, "descr")?)?;
    match value(header, "fortran_order")? {
        order if order.starts_with("False") => {}
        order if order.starts_with("True") => return Err(NpyError::Fortran),
        _ => return Err(NpyError::Header("fortran_order")),
    }
    let dims = dims(value(header, "shape")?)?;
    let announced =
        dims.iter().try_fold(number.size as u64, |product, &size| product.checked_mul(size as u64)).ok_or(NpyError::TooLarge)?;
    if announced != bytes.len() as u64 {
        return Err(NpyError::Size { announced, has: bytes.len() as u64 });
    }
    let npy = Npy { dims, number, bytes };
    if let Some(at) = npy.values().position(|value| !value.is_finite()) {
        return Err(NpyError::NotFinite(at));
    }
    Ok(npy)
}

/// What follows `'key':` in the header.
fn value<'a>(header: &'a str, key: &'static str) -> Result<&'a str, NpyError> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let after = quoted.iter().find_map(|quoted| header.split_once(&quoted[..])).and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    after.map(str::trim_start).ok_or(NpyError::Header(key))
}

/// A tuple of one to four sizes.
fn dims(text: &str) -> Result<Vec<usize>, NpyError> {
    const DAMAGED: NpyError = NpyError::Header("shape");
    let inside = text.strip_prefix('(').and_then(|text| text.split_once(')')).ok_or(DAMAGED)?.0.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Err(NpyError::Rank(0));
    }
    let rank = inside.split(',').count();
    if rank > 4 {
        return Err(NpyError::Rank(rank));
    }
    let dims: Vec<usize> = inside.split(',').map(|size| size.trim().parse().map_err(|_| DAMAGED)).collect::<Result<_, _>>()?;
    if dims.contains(&0) { Err(NpyError::Empty) } else { Ok(dims) }
}

impl Number {
    /// From `'<f4'` and what follows.
    fn parse(text: &str) -> Result<Self, NpyError> {
        let unknown = || NpyError::Type(clip(text.split([',', '}']).next().unwrap_or(text).trim_matches(['\'', '"', ' '])));
        let quote = text.chars().next().filter(|quote| ['\'', '"'].contains(quote)).ok_or_else(unknown)?;
        let (name, _) = text[1..].split_once(quote).ok_or_else(unknown)?;
        let (order, name) = match name.strip_prefix(['<', '|', '=']) {
            Some(name) => (false, name),
            None => (name.starts_with('>'), name.strip_prefix('>').unwrap_or(name)),
        };
        let (kind, size) = match name {
            "b1" | "?" | "u1" => (Kind::Unsigned, 1),
            "u2" => (Kind::Unsigned, 2),
            "u4" => (Kind::Unsigned, 4),
            "u8" => (Kind::Unsigned, 8),
            "i1" => (Kind::Signed, 1),
            "i2" => (Kind::Signed, 2),
            "i4" => (Kind::Signed, 4),
            "i8" => (Kind::Signed, 8),
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            _ => return Err(unknown()),
        };
        Ok(Self { kind, size, big_endian: order })
    }

    /// The bits of an element, the sign bit of a signed one filling what is above it.
    fn bits(self, element: &[u8]) -> u64 {
        let fold = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        let bits = if self.big_endian { element.iter().fold(0, fold) } else { element.iter().rev().fold(0, fold) };
        let above = 64 - 8 * self.size;
        if self.kind == Kind::Signed { (((bits << above) as i64) >> above) as u64 } else { bits }
    }

    fn value(self, element: &[u8]) -> f32 {
        let bits = self.bits(element);
        match (self.kind, self.size) {
            (Kind::Unsigned, _) => bits as f32,
            (Kind::Signed, _) => bits as i64 as f32,
            (Kind::Float, 4) => f32::from_bits(bits as u32),
            (Kind::Float, _) => f64::from_bits(bits) as f32,
        }
    }

    /// The label that an element says, if it is one: a whole number from 0 to 65535.
    fn label(self, element: &[u8]) -> Option<u16> {
        let bits = self.bits(element);
        match self.kind {
            Kind::Unsigned | Kind::Signed => bits.try_into().ok(),
            Kind::Float => Some(self.value(element)).filter(|&value| f32::from(value as u16) == value).map(|value| value as u16),
        }
    }
}

impl Npy<'_> {
    /// The elements as f32, in the order of the file, each rounded to the nearest.
    pub fn values(&self) -> impl Iterator<Item = f32> + '_ {
        self.bytes.chunks_exact(self.number.size).map(|element| self.number.value(element))
    }

    /// The elements as labels; `Err` is the first, from 0, that is none.
    pub fn labels(&self) -> Result<Vec<u16>, usize> {
        let elements = self.bytes.chunks_exact(self.number.size).enumerate();
        elements.map(|(i, element)| self.number.label(element).ok_or(i)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file as NumPy writes it.
    pub(crate) fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), elements].concat()
    }

    #[test]
    fn numbers_of_every_type_and_byte_order_are_read() {
        let cases: [(&str, Vec<u8>, [f32; 2]); 11] = [
            ("|u1", vec![0, 255], [0.0, 255.0]),
            ("|b1", vec![0, 1], [0.0, 1.0]),
            ("|i1", vec![127, 0xff], [127.0, -1.0]),
            ("<u2", vec![1, 2, 0xff, 0xff], [513.0, 65535.0]),
            (">i2", vec![1, 2, 0xff, 0xfe], [258.0, -2.0]),
            ("<i4", [7i32, -70_000].map(i32::to_le_bytes).concat(), [7.0, -70_000.0]),
            (">u4", [7u32, 1 << 31].map(u32::to_be_bytes).concat(), [7.0, 2147483648.0]),
            ("<i8", [-3i64, 1 << 40].map(i64::to_le_bytes).concat(), [-3.0, 1099511627776.0]),
            ("<f4", [0.1f32, -2.0].map(f32::to_le_bytes).concat(), [0.1, -2.0]),
            (">f4", [0.1f32, -2.0].map(f32::to_be_bytes).concat(), [0.1, -2.0]),
            ("<f8", [0.1f64, 1e-50].map(f64::to_le_bytes).concat(), [0.1, 0.0]),
        ];
        for (descr, bytes, values) in cases {
            let file = npy(descr, "(2,)", &bytes);
            assert_eq!(parse_npy(&file).unwrap().values().collect::<Vec<_>>(), values, "{descr}");
        }
        let labels = |descr, bytes: &[u8]| parse_npy(&npy(descr, "(2, 1)", bytes)).unwrap().labels();
        assert_eq!(labels("<i8", &[3i64, 65535].map(i64::to_le_bytes).concat()), Ok(vec![3, 65535]));
        assert_eq!(labels("<i8", &[3i64, -1].map(i64::to_le_bytes).concat()), Err(1));
        assert_eq!(labels("<f4", &[2.0f32, 2.5].map(f32::to_le_bytes).concat()), Err(1));
        assert_eq!(labels("<f8", &[2.0f64, 65536.0].map(f64::to_le_bytes).concat()), Err(1));
    }

    #[test]
    fn sizes_come_from_the_tuple() {
        let dims = |shape, count| parse_npy(&npy("|u1", shape, &vec![1; count])).map(|npy| npy.dims);
        assert_eq!(dims("(3,)", 3).unwrap(), [3]);
        assert_eq!(dims("(2, 3, 1, 2)", 12).unwrap(), [2, 3, 1, 2]);
        assert_eq!(dims("()", 1), Err(NpyError::Rank(0)));
        assert_eq!(dims("(1, 1, 1, 1, 1)", 1), Err(NpyError::Rank(5)));
        assert_eq!(dims("(2, 0)", 0), Err(NpyError::Empty));
        assert_eq!(dims("(2, x)", 2), Err(NpyError::Header("shape")));
        assert_eq!(dims("(4294967296, 4294967296, 4)", 9), Err(NpyError::TooLarge));
        assert_eq!(dims("(4294967296, 4)", 9), Err(NpyError::Size { announced: 1 << 34, has: 9 }));
    }

    #[test]
    fn refuses_what_it_does_not_read_and_says_so() {
        for descr in ["<U5", "|O", "<f2", "<c8"] {
            let text = parse_npy(&npy(descr, "(1,)", &[0; 8])).unwrap_err().to_string();
            assert!(text.starts_with(&format!("holds elements of type `{descr}`;")), "{text}");
        }
        let fortran = String::from_utf8_lossy(&npy("|u1", "(2, 2)", b"1234")[8..]).replace("False", "True ");
        let fortran = [b"\x93NUMPY\x01\0", fortran.as_bytes()].concat();
        assert_eq!(parse_npy(&fortran), Err(NpyError::Fortran));
        assert_eq!(parse_npy(&npy("<f4", "(1,)", &f32::NAN.to_le_bytes())), Err(NpyError::NotFinite(0)));
        assert_eq!(parse_npy(&npy("<f8", "(1,)", &1e39f64.to_le_bytes())), Err(NpyError::NotFinite(0)));
    }

    #[test]
    fn refuses_a_file_cut_anywhere() {
        let whole = npy("<f4", "(2, 3)", &[0; 24]);
        assert!(parse_npy(&whole).is_ok());
        for end in 0..whole.len() {
            assert!(parse_npy(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}
