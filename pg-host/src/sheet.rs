//! A contact sheet of a data set as an SVG picture: a row for each class with its name, in it some of its samples to train on.
//!
//! Images are drawn as pixels, windows of sensor data and rows of tables as lines. The same data give the same bytes.

use std::fmt::Write;
use std::io::Cursor;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::{ExtendedColorType, ImageEncoder};
use pg_core::Shape;

use crate::data::Dataset;

/// Samples in a row.
const COLUMNS: usize = 12;
/// The most rows: more are no overview.
const ROWS: usize = 100;
/// The width of the names in pixels, and what is above the rows.
const MARGIN: [usize; 2] = [150, 34];
/// The gap between samples.
const GAP: usize = 6;
/// Colours of lines that are told apart with any eyes (Okabe and Ito, 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// The picture of a data set.
pub fn svg(data: &Dataset) -> String {
    let Dataset { name, shape, classes, train, .. } = data;
    let drawer = Drawer::of(data);
    let [cell_width, cell_height] = drawer.cell;
    let rows = classes.len().min(ROWS);
    let width = MARGIN[0] + COLUMNS * (cell_width + GAP) + GAP;
    let height = MARGIN[1] + rows * (cell_height + GAP) + GAP;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{GAP}\" y=\"22\" font-weight=\"bold\">{}: {shape}, {} classes, {} samples to train on</text>\n",
        escaped(name),
        classes.len(),
        train.len()
    );
    let mut members = vec![Vec::new(); classes.len()];
    for (i, &label) in train.labels.iter().enumerate() {
        members[usize::from(label)].push(i);
    }
    for (row, (class, members)) in classes.iter().zip(&members).take(rows).enumerate() {
        let y = MARGIN[1] + row * (cell_height + GAP);
        let _ = writeln!(text, "<text x=\"{GAP}\" y=\"{}\">{}</text>", y + cell_height / 2 + 5, escaped(&shortened(class)));
        let shown = members.len().min(COLUMNS);
        for column in 0..shown {
            // Spread over the whole class: files are often sorted by who was recorded.
            let sample = train.input(members[column * members.len() / shown], shape.len());
            let x = MARGIN[0] + column * (cell_width + GAP);
            let _ = writeln!(text, "<g transform=\"translate({x} {y})\">{}</g>", drawer.draw(sample));
        }
    }
    text + "</svg>\n"
}

/// How samples of one data set are drawn.
struct Drawer {
    shape: Shape,
    /// Smallest and largest value of all samples.
    range: [f32; 2],
    /// Width and height of a sample in pixels.
    cell: [usize; 2],
    /// Pixels for a value of an image; 0 where lines are drawn.
    scale: usize,
}

impl Drawer {
    fn of(data: &Dataset) -> Self {
        let range = data.train.inputs.iter().fold([f32::MAX, f32::MIN], |[least, most], &value| [least.min(value), most.max(value)]);
        let Shape { height, width, .. } = data.shape;
        if height == 1 {
            return Self { shape: data.shape, range, cell: [96, 56], scale: 0 };
        }
        let scale = (64 / height.max(width)).max(1);
        Self { shape: data.shape, range, cell: [scale * width, scale * height], scale }
    }

    fn draw(&self, sample: &[f32]) -> String {
        if self.scale == 0 { self.lines(sample) } else { self.pixels(sample) }
    }

    /// A value from 0 to 1 by its place in the range.
    fn place(&self, value: f32) -> f64 {
        let [least, most] = self.range.map(f64::from);
        if most > least { (f64::from(value) - least) / (most - least) } else { 0.5 }
    }

    /// A line for each channel over the time; features of a table are one line.
    fn lines(&self, sample: &[f32]) -> String {
        let [width, height] = self.cell.map(|side| side as f64);
        let length = if self.shape.width > 1 { self.shape.width } else { sample.len() };
        let step = width / length.saturating_sub(1).max(1) as f64;
        let mut text = format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#f3f3f3\"/>");
        for (channel, values) in sample.chunks_exact(length).enumerate() {
            let point = |(i, &value): (usize, &f32)| format!("{:.1},{:.1}", i as f64 * step, height * (1.0 - self.place(value)));
            let points = values.iter().enumerate().map(point).collect::<Vec<_>>().join(" ");
            let _ = write!(text, "<polyline fill=\"none\" stroke=\"{}\" points=\"{points}\"/>", COLOURS[channel % COLOURS.len()]);
        }
        text
    }

    /// The pixels, enlarged without smoothing: three channels are red, green and blue, of others the first is grey.
    fn pixels(&self, sample: &[f32]) -> String {
        let Shape { channels, height, width } = self.shape;
        let byte = |channel, y, x| (255.0 * self.place(sample[(channel * height + y) * width + x])).round() as u8;
        let shown = if channels == 3 { 3 } else { 1 };
        let [wide, high] = self.cell;
        let places = (0..high).flat_map(|y| (0..wide).map(move |x| (y / self.scale, x / self.scale)));
        let bytes: Vec<u8> = places.flat_map(|(y, x)| (0..shown).map(move |channel| byte(channel, y, x))).collect();
        let colour = if shown == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        let mut png = Cursor::new(Vec::new());
        let encoded = image::codecs::png::PngEncoder::new(&mut png).write_image(&bytes, wide as u32, high as u32, colour);
        debug_assert!(encoded.is_ok(), "memory takes any picture");
        let png = BASE64_STANDARD.encode(png.into_inner());
        format!("<image width=\"{wide}\" height=\"{high}\" href=\"data:image/png;base64,{png}\"/>")
    }
}

/// A name that fits the margin.
fn shortened(name: &str) -> String {
    const MOST: usize = 20;
    let end = if name.chars().count() > MOST { "…" } else { "" };
    name.chars().take(MOST).collect::<String>() + end
}

/// Text in which nothing is a mark of SVG.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Samples;

    fn data(shape: Shape, samples: usize) -> Dataset {
        let inputs = (0..samples * shape.len()).map(|i| i as f32).collect();
        let train = Samples { inputs, labels: (0..samples).map(|i| (i % 2) as u16).collect() };
        let classes = vec!["a <b> & c".into(), "a class with a very long name".into()];
        Dataset { name: "d".into(), shape, classes, numbered: false, train, test: None }
    }

    #[test]
    fn images_are_pictures_and_windows_and_features_are_lines() {
        let count = |shape, mark: &str| svg(&data(shape, 6)).matches(mark).count();
        assert_eq!(count(Shape::new(1, 4, 4), "<image "), 6);
        assert_eq!(count(Shape::new(3, 4, 4), "<image "), 6);
        assert_eq!(count(Shape::new(3, 1, 8), "<polyline "), 18, "a line for each channel");
        assert_eq!(count(Shape::new(9, 1, 1), "<polyline "), 6, "one line for all features");
        assert_eq!(count(Shape::new(1, 4, 4), "<text "), 3);
        assert_eq!(svg(&data(Shape::new(1, 2, 2), 100)).matches("<image ").count(), 2 * COLUMNS);
    }

    #[test]
    fn names_are_escaped_and_shortened() {
        let text = svg(&data(Shape::new(1, 4, 4), 2));
        assert!(text.contains(">a &lt;b&gt; &amp; c<") && text.contains(">a class with a very …<"), "{text}");
    }

    #[test]
    fn values_that_are_all_the_same_are_drawn() {
        let mut data = data(Shape::new(1, 1, 4), 2);
        data.train.inputs.fill(7.0);
        let text = svg(&data);
        assert!(text.contains("0.0,28.0 32.0,28.0") && !text.contains("NaN"), "{text}");
    }
}
