//! SVHN's cropped digits (Netzer et al., 2011): MATLAB files of level 5 with an array `X` of bytes, 32x32x3xN, and one `y`, Nx1.
//!
//! No more of the format is read than these arrays need: numbers of one or eight bytes, little endian, each array packed by zlib or not.
//! The label 10 means the digit 0. [`parse_svhn`] does not panic on any bytes, and unpacks no more than it may need.

use std::io::Read;
use std::path::Path;

use pg_core::shape::Shape;

use super::assemble::{Labelled, assemble};
use super::{DataError, Dataset, Samples, file_of, last_part, read};

const SHAPE: Shape = Shape::new(3, 32, 32);
const TRAIN: &str = "train_32x32.mat";
const TEST: &str = "test_32x32.mat";
/// Bytes before the first array: a text, a version and the byte order.
const HEADER: usize = 128;

/// Why bytes are not SVHN's; the text goes on from the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvhnError {
    /// Another format.
    #[error("is not a little-endian MATLAB file of level 5; fetch the cropped digits of SVHN again")]
    Magic,
    /// An element that ends behind the file.
    #[error("is cut short or damaged: {0} cannot be read; fetch the file again")]
    Damaged(&'static str),
    /// Without one of the arrays.
    #[error("has no array {0}; SVHN's cropped digits have X and y")]
    Missing(&'static str),
    /// An array of another size or type.
    #[error("has an array {0} of another size or type than SVHN's: X is 32x32x3xN of bytes and y Nx1")]
    Sizes(&'static str),
    /// A label that is no digit.
    #[error("gives sample {0} (from 0) a label that is not from 1 to 10")]
    Label(usize),
}

/// An array: its sizes and its elements.
struct Array {
    dims: Vec<usize>,
    elements: Vec<u8>,
    /// Bytes of an element: 1, or 8 for an f64.
    size: usize,
}

/// Reads both arrays; MATLAB's first index runs fastest: row, column, channel, sample.
pub fn parse_svhn(bytes: &[u8]) -> Result<Samples, SvhnError> {
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER) else { return Err(SvhnError::Magic) };
    if header[124..] != [0, 1, b'I', b'M'] {
        return Err(SvhnError::Magic);
    }
    let (mut images, mut labels) = (None, None);
    while !rest.is_empty() {
        let (kind, element, next) = element(rest, false).ok_or(SvhnError::Damaged("an array"))?;
        rest = next;
        let unpacked;
        let matrix = match kind {
            14 => element,
            15 => {
                unpacked = unpack(element)?;
                let Some((14, matrix, _)) = self::element(&unpacked, true) else { return Err(SvhnError::Damaged("a packed array")) };
                matrix
            }
            _ => continue,
        };
        let (name, array) = matrix_of(matrix).ok_or(SvhnError::Damaged("an array"))?;
        match name {
            b"X" => images = Some(array),
            b"y" => labels = Some(array),
            _ => {}
        }
    }
    samples(&images.ok_or(SvhnError::Missing("X"))?, &labels.ok_or(SvhnError::Missing("y"))?)
}

fn samples(images: &Array, labels: &Array) -> Result<Samples, SvhnError> {
    let [32, 32, 3, count] = images.dims[..] else { return Err(SvhnError::Sizes("X")) };
    if count == 0 || images.size != 1 || Some(images.elements.len()) != SHAPE.len().checked_mul(count) {
        return Err(SvhnError::Sizes("X"));
    }
    if labels.dims != [count, 1] || Some(labels.elements.len()) != labels.size.checked_mul(count) {
        return Err(SvhnError::Sizes("y"));
    }
    let mut samples = Samples::default();
    for (i, bytes) in labels.elements.chunks_exact(labels.size).enumerate() {
        let label = match bytes {
            &[byte] => f64::from(byte),
            bytes => f64::from_le_bytes(bytes.try_into().map_err(|_| SvhnError::Sizes("y"))?),
        };
        let digit = (1..=10u16).find(|&digit| f64::from(digit) == label).ok_or(SvhnError::Label(i))?;
        samples.labels.push(digit % 10);
    }
    for image in images.elements.chunks_exact(SHAPE.len()) {
        let channels = image.chunks_exact(32 * 32);
        let pixel = |channel: &[u8], place: usize| f32::from(channel[place % 32 * 32 + place / 32]);
        channels.for_each(|channel| samples.inputs.extend((0..32 * 32).map(|place| pixel(channel, place))));
    }
    Ok(samples)
}

/// The first element of `bytes`, its type, and what follows: a tag of two u32, or of one with up to four bytes of data in the other.
/// Elements are filled up to eight bytes, but packed ones and what is in them (`tight`) need not be.
fn element(bytes: &[u8], tight: bool) -> Option<(u32, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first_chunk::<8>()?;
    let kind = u32::from_le_bytes([tag[0], tag[1], tag[2], tag[3]]);
    if kind >> 16 != 0 {
        return Some((kind & 0xffff, bytes.get(4..4 + (kind >> 16) as usize).filter(|data| data.len() <= 4)?, rest));
    }
    let length = u32::from_le_bytes([tag[4], tag[5], tag[6], tag[7]]) as usize;
    let data = rest.get(..length)?;
    let filled = if tight || kind == 15 { length } else { length.checked_next_multiple_of(8)? };
    Some((kind, data, rest.get(filled.min(rest.len())..)?))
}

/// Name and array of a matrix: flags, sizes, name, elements.
fn matrix_of(bytes: &[u8]) -> Option<(&[u8], Array)> {
    let (_, _flags, rest) = element(bytes, false)?;
    let (5, dims, rest) = element(rest, false)? else { return None };
    let (1, name, rest) = element(rest, false)? else { return None };
    let dims = dims.as_chunks().0.iter().map(|&size| usize::try_from(i32::from_le_bytes(size)).ok());
    let (kind, elements, _) = element(rest, false)?;
    // Types 2 and 9 are u8 and f64; others only make the array none of SVHN's.
    let size = if kind == 9 { 8 } else { 1 };
    let elements = if kind == 2 || kind == 9 { elements.to_vec() } else { Vec::new() };
    Some((name, Array { dims: dims.collect::<Option<_>>()?, elements, size }))
}

/// Unpacks an array, up to a size that none of the true ones comes near.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, SvhnError> {
    const MOST_BYTES: u64 = 1 << 31;
    let mut unpacked = Vec::new();
    let read = flate2::read::ZlibDecoder::new(bytes).take(MOST_BYTES).read_to_end(&mut unpacked);
    read.map(|_| unpacked).map_err(|_| SvhnError::Damaged("a packed array"))
}

/// Whether a directory has one of the files.
pub(super) fn is_here(directory: &Path) -> bool {
    [TRAIN, TEST].iter().any(|name| file_of(directory, name).is_some())
}

/// A directory with the files as they are distributed; that to test on may be absent.
pub(super) fn load(directory: &Path) -> Result<Dataset, DataError> {
    let labelled = |file: &Path| {
        let name = file.display().to_string();
        let samples = parse_svhn(&read(file)?).map_err(|reason| DataError::Svhn { file: name.clone(), reason })?;
        Ok::<_, DataError>(Labelled { inputs: name.clone(), labels: name, shape: SHAPE, samples })
    };
    let missing = DataError::MissingFile { directory: directory.into(), file: TRAIN, form: "SVHN" };
    let train = labelled(&file_of(directory, TRAIN).ok_or(missing)?)?;
    let test = file_of(directory, TEST).map(|file| labelled(&file)).transpose()?;
    assemble(last_part(directory), train, test, Some((0..10).map(|digit| digit.to_string()).collect()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An element filled up to eight bytes.
    fn tagged(kind: u32, data: &[u8]) -> Vec<u8> {
        let fill = data.len().next_multiple_of(8) - data.len();
        [&kind.to_le_bytes()[..], &(data.len() as u32).to_le_bytes(), data, &vec![0; fill]].concat()
    }

    fn matrix(name: &str, dims: &[i32], kind: u32, data: &[u8]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|size| size.to_le_bytes()).collect();
        // The name is so short that it stands in its tag.
        let name = [&[1, 0, name.len() as u8, 0][..], name.as_bytes(), &vec![0; 4 - name.len()]].concat();
        tagged(14, &[tagged(6, &[0; 8]), tagged(5, &dims), name, tagged(kind, data)].concat())
    }

    fn packed(matrix: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(matrix).unwrap();
        let bytes = packer.finish().unwrap();
        [&15u32.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), &bytes].concat()
    }

    fn file(arrays: &[Vec<u8>]) -> Vec<u8> {
        [[vec![b' '; 124], vec![0, 1, b'I', b'M']].concat(), arrays.concat()].concat()
    }

    /// Two images whose pixels tell row, column, channel and sample.
    fn images() -> Vec<u8> {
        let places = (0..2 * 3072).map(|i| (i % 32, i / 32 % 32, i / 1024 % 3, i / 3072));
        places.map(|(row, column, channel, sample)| (row + 2 * column + 50 * channel + 7 * sample) as u8).collect()
    }

    #[test]
    fn both_arrays_are_read_packed_or_not_and_ten_is_the_digit_zero() {
        let (x, y) = (matrix("X", &[32, 32, 3, 2], 2, &images()), matrix("y", &[2, 1], 2, &[10, 7]));
        let doubles = matrix("y", &[2, 1], 9, &[10f64, 7.0].map(f64::to_le_bytes).concat());
        for bytes in [file(&[x.clone(), y.clone()]), file(&[packed(&x), packed(&y)]), file(&[packed(&doubles), packed(&x)])] {
            let samples = parse_svhn(&bytes).unwrap();
            assert_eq!(samples.labels, [0, 7]);
            let pixel =
                |sample: usize, channel: usize, row: usize, column: usize| samples.input(sample, 3072)[(channel * 32 + row) * 32 + column];
            assert_eq!((pixel(0, 0, 3, 0), pixel(0, 0, 0, 3), pixel(1, 2, 1, 1)), (3.0, 6.0, 110.0));
        }
    }

    #[test]
    fn refuses_other_files_other_arrays_and_other_labels() {
        let (x, y) = (matrix("X", &[32, 32, 3, 2], 2, &images()), |labels: &[u8]| matrix("y", &[labels.len() as i32, 1], 2, labels));
        for (bytes, refusal) in [
            (b"no MATLAB file".to_vec(), SvhnError::Magic),
            (file(std::slice::from_ref(&x)), SvhnError::Missing("y")),
            (file(&[y(&[1, 2])]), SvhnError::Missing("X")),
            (file(&[x.clone(), y(&[1])]), SvhnError::Sizes("y")),
            (file(&[matrix("X", &[32, 32, 3, 3], 2, &images()), y(&[1; 3])]), SvhnError::Sizes("X")),
            (file(&[matrix("X", &[32, 32, 3, 2], 7, &images()), y(&[1; 2])]), SvhnError::Sizes("X")),
            (file(&[x.clone(), y(&[1, 11])]), SvhnError::Label(1)),
        ] {
            assert_eq!(parse_svhn(&bytes), Err(refusal));
        }
    }

    #[test]
    fn refuses_a_file_cut_anywhere() {
        let whole = file(&[packed(&matrix("X", &[32, 32, 3, 2], 2, &images())), packed(&matrix("y", &[2, 1], 2, &[1, 2]))]);
        assert!(parse_svhn(&whole).is_ok());
        for end in 0..whole.len() {
            assert!(parse_svhn(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}
