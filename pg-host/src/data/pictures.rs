//! A folder of pictures: PNG and JPEG files in one folder for each class, the name of the folder being that of the class.
//!
//! `root/class/file.png`, or `root/train/class/…` with a test part in `root/test`, `root/val` or `root/validation`. Folders and files are
//! taken in the order of their names. Values are 8 bits, 0 to 255: one channel if all pictures are grey, else three; transparency is not
//! looked at. Other files are passed over.

use std::path::{Path, PathBuf};

use image::{ColorType, ImageDecoder, ImageReader, Limits};
use pg_core::shape::Shape;

use super::assemble::{Labelled, assemble};
use super::{DataError, Dataset, Samples, last_part};

/// The longest side of a picture: larger ones are no input of a small network, and may be made to fill the memory.
const MOST_PIXELS: u32 = 4096;

/// Why a folder of pictures is no data set. Each text is a whole sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// A file that cannot be decoded.
    #[error("{file} cannot be read as a PNG or JPEG picture ({reason}); replace it or take it away")]
    Damaged {
        /// The file.
        file: String,
        /// The decoder's reason.
        reason: image::ImageError,
    },
    /// Pictures of different sizes.
    #[error(
        "{first} has {} pixels and {other} has {}: all pictures must have one size; bring them to it with an image tool, for example \
         `mogrify -resize {}! FILES`", by(*.size), by(*.other_size), by(*.size)
    )]
    Sizes {
        /// The first file.
        first: String,
        /// Its width and height.
        size: (u32, u32),
        /// A file of another size.
        other: String,
        /// Its width and height.
        other_size: (u32, u32),
    },
    /// A class that only the test part has.
    #[error("{folder} is a class that has no folder among those to train on; add one or take this one away")]
    UnknownClass {
        /// The folder.
        folder: String,
    },
    /// More classes than a label can say.
    #[error("{folder} has {count} folders, and there can be 65536 classes at most")]
    TooManyClasses {
        /// The folder of the classes.
        folder: String,
        /// How many it has.
        count: usize,
    },
    /// No picture at all.
    #[error("{folder} has no PNG or JPEG picture in its folders; put those of each class into a folder of its name")]
    Empty {
        /// The folder of the classes.
        folder: String,
    },
}

fn by((width, height): (u32, u32)) -> String {
    format!("{width}x{height}")
}

/// The files of one part and their labels, before any is decoded.
struct Part {
    folder: String,
    files: Vec<PathBuf>,
    labels: Vec<u16>,
}

/// Whether a directory has pictures in folders, or such a directory called train.
pub(super) fn is_here(directory: &Path) -> bool {
    let has = |root: &Path| {
        subfolders(root).is_ok_and(|folders| folders.iter().any(|folder| pictures(folder).is_ok_and(|files| !files.is_empty())))
    };
    has(directory) || has(&directory.join("train"))
}

/// A directory with a folder for each class, or with such directories to train and to test on.
pub(super) fn load(directory: &Path) -> Result<Dataset, DataError> {
    let train = directory.join("train");
    let divided = train.is_dir() && !subfolders(&train)?.is_empty();
    let root = if divided { &train } else { directory };
    let folders = subfolders(root)?;
    if folders.len() > usize::from(u16::MAX) + 1 {
        return Err(DataError::Pictures(PictureError::TooManyClasses { folder: root.display().to_string(), count: folders.len() }));
    }
    let classes: Vec<String> = folders.iter().map(|folder| last_part(folder)).collect();
    let test = ["test", "val", "validation"].map(|name| directory.join(name)).into_iter().find(|path| divided && path.is_dir());
    let train = Part::find(root, folders, &classes)?;
    let test = test.map(|test| Part::find(&test, subfolders(&test)?, &classes)).transpose()?;
    let Some(first) = train.files.first() else { return Err(DataError::Pictures(PictureError::Empty { folder: train.folder })) };
    let (size, mut colour) = look(first)?;
    for file in train.files.iter().chain(test.iter().flat_map(|test| &test.files)) {
        let (other_size, coloured) = look(file)?;
        if other_size != size {
            let (first, other) = (first.display().to_string(), file.display().to_string());
            return Err(DataError::Pictures(PictureError::Sizes { first, size, other, other_size }));
        }
        colour |= coloured;
    }
    let shape = Shape::new(if colour { 3 } else { 1 }, size.1 as usize, size.0 as usize);
    let test = test.map(|test| test.decode(shape)).transpose()?;
    assemble(last_part(directory), train.decode(shape)?, test, Some(classes))
}

impl Part {
    /// The pictures in the folders of the classes.
    fn find(root: &Path, folders: Vec<PathBuf>, classes: &[String]) -> Result<Self, DataError> {
        let mut part = Part { folder: root.display().to_string(), files: Vec::new(), labels: Vec::new() };
        for folder in folders {
            let unknown = || DataError::Pictures(PictureError::UnknownClass { folder: folder.display().to_string() });
            let label = classes.iter().position(|class| *class == last_part(&folder)).ok_or_else(unknown)?;
            let files = pictures(&folder)?;
            part.labels.extend(std::iter::repeat_n(label as u16, files.len()));
            part.files.extend(files);
        }
        Ok(part)
    }

    /// Reads every picture.
    fn decode(self, shape: Shape) -> Result<Labelled, DataError> {
        let mut samples = Samples { inputs: Vec::new(), labels: self.labels };
        for file in &self.files {
            let picture = image::DynamicImage::from_decoder(open(file)?.into_decoder().map_err(damaged(file))?).map_err(damaged(file))?;
            if shape.channels == 1 {
                samples.inputs.extend(picture.into_luma8().into_raw().iter().map(|&byte| f32::from(byte)));
            } else {
                let pixels = picture.into_rgb8().into_raw();
                let channel = |channel| pixels.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte));
                samples.inputs.extend((0..3).flat_map(channel));
            }
        }
        Ok(Labelled { inputs: self.folder.clone(), labels: self.folder, shape, samples })
    }
}

/// Width, height, and whether it has colour, from the first bytes of a file.
fn look(file: &Path) -> Result<((u32, u32), bool), DataError> {
    let decoder = open(file)?.into_decoder().map_err(damaged(file))?;
    let grey = [ColorType::L8, ColorType::La8, ColorType::L16, ColorType::La16].contains(&decoder.color_type());
    Ok((decoder.dimensions(), !grey))
}

fn open(file: &Path) -> Result<ImageReader<std::io::BufReader<std::fs::File>>, DataError> {
    let cannot = |reason| DataError::Read { file: file.display().to_string(), reason };
    let mut reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format).map_err(cannot)?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_PIXELS), Some(MOST_PIXELS));
    reader.limits(limits);
    Ok(reader)
}

fn damaged(file: &Path) -> impl Fn(image::ImageError) -> DataError {
    move |reason| DataError::Pictures(PictureError::Damaged { file: file.display().to_string(), reason })
}

/// The pictures of a folder, by name.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let is_picture = |path: &Path| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        path.is_file() && extension.is_some_and(|extension| ["png", "jpg", "jpeg"].contains(&&extension[..]))
    };
    entries(folder, is_picture)
}

/// The folders of a folder, by name.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    entries(folder, Path::is_dir)
}

/// What a folder holds of some kind, by name; names that begin with a dot are hidden.
fn entries(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, DataError> {
    let cannot = |reason| DataError::Read { file: folder.display().to_string(), reason };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && wanted(&entry.path()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, RgbImage};

    use super::*;

    fn grey(width: u32, height: u32, first: u8) -> DynamicImage {
        GrayImage::from_fn(width, height, |x, y| image::Luma([first + (x + width * y) as u8])).into()
    }

    fn colour(first: u8) -> DynamicImage {
        RgbImage::from_fn(2, 2, |x, y| image::Rgb([first, first + 1 + x as u8, first + 10 + y as u8])).into()
    }

    /// A directory with these pictures.
    fn directory(files: &[(&str, DynamicImage)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, picture) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            picture.save(path).unwrap();
        }
        directory
    }

    #[test]
    fn folders_are_classes_and_files_are_samples_in_the_order_of_their_names() {
        let directory = directory(&[("dog/2.png", grey(2, 1, 20)), ("dog/1.PNG", grey(2, 1, 10)), ("cat/x.png", grey(2, 1, 30))]);
        std::fs::write(directory.path().join("dog/notes.txt"), "not a picture").unwrap();
        std::fs::create_dir(directory.path().join(".hidden")).unwrap();
        let data = load(directory.path()).unwrap();
        assert_eq!((data.shape, &data.classes[..], data.test), (Shape::new(1, 1, 2), &["cat", "dog"].map(String::from)[..], None));
        assert_eq!(data.train, Samples { inputs: vec![30., 31., 10., 11., 20., 21.], labels: vec![0, 1, 1] });
    }

    #[test]
    fn a_picture_in_colour_makes_three_channels_of_all() {
        let data = load(directory(&[("a/1.png", colour(0)), ("b/1.png", grey(2, 2, 5))]).path()).unwrap();
        assert_eq!((data.shape, data.train.input(0, 12)), (Shape::new(3, 2, 2), &[0., 0., 0., 0., 1., 2., 1., 2., 10., 10., 11., 11.][..]));
        assert_eq!(data.train.input(1, 12), [5., 6., 7., 8.].repeat(3));
    }

    #[test]
    fn folders_called_train_and_test_or_val_are_the_parts() {
        for part in ["test", "val", "validation"] {
            let files = [("train/a/1.png", grey(2, 2, 0)), ("train/b/1.png", grey(2, 2, 9)), (&format!("{part}/b/1.jpg"), grey(2, 2, 50))];
            let data = load(directory(&files).path()).unwrap();
            assert_eq!((data.train.labels, data.test.unwrap().labels), (vec![0, 1], vec![1]), "{part}");
        }
        let files = [("train/a/1.png", grey(2, 2, 0)), ("train/b/1.png", grey(2, 2, 9)), ("test/c/1.png", grey(2, 2, 50))];
        assert!(
            load(directory(&files).path()).unwrap_err().to_string().contains("c is a class that has no folder among those to train on")
        );
    }

    #[test]
    fn refuses_pictures_of_different_sizes_and_names_two_of_them() {
        let text = load(directory(&[("a/1.png", grey(2, 2, 0)), ("b/7.png", grey(3, 2, 0))]).path()).unwrap_err().to_string();
        assert!(
            text.contains("a/1.png has 2x2 pixels and ") && text.contains("b/7.png has 3x2: all pictures must have one size"),
            "{text}"
        );
    }

    #[test]
    fn refuses_damaged_pictures_wherever_they_are_cut_and_names_them() {
        for name in ["b/x.png", "b/x.jpg"] {
            let directory = directory(&[("a/1.png", grey(9, 9, 0)), (name, grey(9, 9, 100))]);
            let file = directory.path().join(name);
            let whole = std::fs::read(&file).unwrap();
            for end in [0, 1, 7, 20, whole.len() / 2] {
                std::fs::write(&file, &whole[..end]).unwrap();
                let text = load(directory.path()).unwrap_err().to_string();
                assert!(text.contains(&format!("{name} cannot be read as a PNG or JPEG picture")), "{end}: {text}");
            }
        }
    }
}
