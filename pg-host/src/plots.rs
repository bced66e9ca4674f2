//! Plots as SVG text: lines with bands, points with bars, rows with intervals. They know numbers and names, not what is compared; legends
//! are the page's, where they cannot hide data.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

/// Colours that people with any sight can tell apart (Okabe and Ito, 2008), the strong ones first.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xb8, 0x86, 0x0b),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x33, 0x33, 0x33),
];
/// Of axes and their numbers.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// Of the grid.
const FAINT: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);
/// A figure's size; the page stretches it to its column.
const SIZE: (u32, u32) = (440, 300);
/// Room for numbers and names of axes.
const LEFT: u32 = 60;
/// Room below.
const BOTTOM: u32 = 46;

/// The colour of series `number`, as CSS writes it.
pub fn colour(number: usize) -> String {
    let RGBColor(r, g, b) = COLOURS[number % COLOURS.len()];
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Numbers along an axis.
#[derive(Clone, Debug, Default)]
pub struct Scale {
    /// What it shows, with its unit.
    pub label: String,
    /// Whether equal ratios are equal lengths.
    pub logarithmic: bool,
    /// Where numbers stand; empty for round ones.
    pub ticks: Vec<f64>,
    /// Numbers that must be in the picture, such as the zero of a difference.
    pub includes: Vec<f64>,
}

/// A point with an interval in y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// The middle.
    pub y: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Points of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its number, for the colour and the legend.
    pub number: usize,
    /// From left to right.
    pub points: Vec<Point>,
}

/// How series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line with a band.
    Band,
    /// A line with bars at its points.
    Bars,
    /// Points with bars.
    Scatter,
}

/// A row of [`rows`].
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name, at its left end.
    pub name: String,
    /// The colour.
    pub number: usize,
    /// The middle.
    pub x: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A scale laid out for some values: its ends and ticks, in places. The coordinate that plotters draws with.
struct Axis {
    ends: Range<f64>,
    ticks: Vec<f64>,
    logarithmic: bool,
    /// The distance of the ticks, 0 where each is written as it is.
    step: f64,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (place - self.ends.start) / (self.ends.end - self.ends.start);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.ends.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(place: &f64) -> String {
        number(*place, 0.0)
    }

    fn format_ext(&self, place: &f64) -> String {
        number(if self.logarithmic { 10f64.powf(*place) } else { *place }, self.step)
    }
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    /// Room for these values.
    fn axis(&self, values: impl Iterator<Item = f64>) -> Axis {
        let all = values.chain(self.includes.iter().copied()).chain(self.ticks.iter().copied());
        let places = all.map(|value| self.place(value)).filter(|place| place.is_finite());
        let (low, high) = places.fold((f64::MAX, f64::MIN), |(low, high), place| (low.min(place), high.max(place)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let room = if high > low { (high - low) * 0.05 } else { 0.1f64.max(0.1 * high.abs()) };
        let (low, high) = (low - room, high + room);
        let ticks: Vec<f64> = if !self.ticks.is_empty() {
            self.ticks.iter().map(|&tick| self.place(tick)).collect()
        } else if self.logarithmic {
            let steps: &[f64] = match high - low {
                span if span > 2.0 => &[1.0],
                span if span > 1.0 => &[1.0, 2.0, 5.0],
                _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            };
            let decades = low.floor() as i32..=high.ceil() as i32;
            decades.flat_map(|decade| steps.iter().map(move |step| f64::from(decade) + step.log10())).collect()
        } else {
            round_ticks(low, high)
        };
        let ticks: Vec<f64> = ticks.into_iter().filter(|tick| (low..=high).contains(tick)).collect();
        let alone = self.logarithmic || !self.ticks.is_empty();
        let step = if alone { 0.0 } else { ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(1.0, |_, step| step) };
        Axis { ends: low..high, ticks, logarithmic: self.logarithmic, step }
    }
}

/// About five numbers that people would choose.
fn round_ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|&step| step >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|&tick| tick <= high).collect()
}

/// A number as short as its neighbours allow: `step` is the distance to them, 0 when it stands alone.
fn number(value: f64, step: f64) -> String {
    let size = value.abs();
    let short = |value: f64, unit: &str| {
        let text = format!("{value:.3}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    if size >= 999_999.5 {
        short(value / 1e6, " M")
    } else if size >= 9_999.5 {
        short(value / 1e3, " k")
    } else if step > 0.0 {
        let digits = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        let text = format!("{value:.digits$}");
        if text.trim_start_matches('-').chars().all(|c| "0.".contains(c)) { "0".into() } else { text }
    } else if size < 1e-3 && size > 0.0 {
        format!("{value:e}")
    } else {
        short(value, "")
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failed = Box<dyn std::error::Error>;

/// A picture without fixed size; `title` is for those who cannot see it.
fn picture(size: (u32, u32), title: &str, draw: impl FnOnce(&Area) -> Result<(), Failed>) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        // Text has no way to fail; a picture that is not there is better than no report.
        let _ = draw(&area).and_then(|()| area.present().map_err(Into::into));
    }
    let (width, height) = size;
    let fixed = format!("width=\"{width}\" height=\"{height}\" ");
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    // Inside a page of HTML the name of the language is not needed.
    let svg = svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    svg.replacen(&fixed, &format!("role=\"img\" aria-label=\"{title}\" "), 1)
}

/// Series over one axis. A horizontal line stands at each number that `y` includes.
pub fn series(title: &str, x: &Scale, y: &Scale, style: Style, all: &[Series]) -> String {
    picture(SIZE, title, |area| {
        let points = || all.iter().flat_map(|series| &series.points);
        let x_axis = x.axis(points().map(|point| point.x));
        let y_axis = y.axis(points().flat_map(|point| [point.low, point.high]));
        let (left, right) = (x_axis.ends.start, x_axis.ends.end);
        let (columns, lines) = (x_axis.ticks.len() + 1, y_axis.ticks.len() + 1);
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(14)
            .x_label_area_size(BOTTOM)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(x_axis, y_axis)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(FAINT)
            .bold_line_style(FAINT)
            .axis_style(INK)
            .x_labels(columns)
            .y_labels(lines)
            .label_style(("sans-serif", 15).into_font().color(&INK))
            .axis_desc_style(("sans-serif", 16).into_font().color(&INK))
            .x_desc(x.label.clone())
            .y_desc(y.label.clone())
            .draw()?;
        for &level in &y.includes {
            chart.draw_series(LineSeries::new([(left, y.place(level)), (right, y.place(level))], INK.stroke_width(1)))?;
        }
        for Series { number, points } in all {
            let colour = COLOURS[number % COLOURS.len()];
            let at = |point: &Point, value: f64| (x.place(point.x), y.place(value));
            if style == Style::Band {
                let above = points.iter().map(|point| at(point, point.high));
                let below = points.iter().rev().map(|point| at(point, point.low));
                chart.draw_series([Polygon::new(above.chain(below).collect::<Vec<_>>(), colour.mix(0.18))])?;
            } else {
                let bar = |point: &Point| PathElement::new(vec![at(point, point.low), at(point, point.high)], colour.stroke_width(2));
                chart.draw_series(points.iter().map(bar))?;
            }
            if style != Style::Scatter {
                chart.draw_series(LineSeries::new(points.iter().map(|point| at(point, point.y)), colour.stroke_width(2)))?;
            }
            let size = if style == Style::Band { 2 } else { 4 };
            chart.draw_series(points.iter().map(|point| Circle::new(at(point, point.y), size, colour.filled())))?;
        }
        Ok(())
    })
}

/// Rows with intervals, the first on top, and a line at zero.
pub fn rows(title: &str, label: &str, all: &[Row]) -> String {
    const ROW: u32 = 24;
    let longest = all.iter().map(|row| row.name.chars().count()).max().unwrap_or(0) as u32;
    let names = (longest * 7 + 16).clamp(40, SIZE.0 / 2);
    let size = (SIZE.0, ROW * all.len() as u32 + BOTTOM + 20);
    picture(size, title, |area| {
        let x = Scale { label: label.into(), includes: vec![0.0], ..Scale::default() };
        let x_axis = x.axis(all.iter().flat_map(|row| [row.low, row.high]));
        let (left, count) = (x_axis.ends.start, x_axis.ticks.len() + 1);
        let height = all.len() as f64;
        let y_axis = Axis { ends: 0.0..height, ticks: Vec::new(), logarithmic: false, step: 0.0 };
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(14)
            .x_label_area_size(BOTTOM)
            .y_label_area_size(names)
            .build_cartesian_2d(x_axis, y_axis)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(FAINT)
            .bold_line_style(FAINT)
            .axis_style(INK)
            .x_labels(count)
            .y_labels(0)
            .label_style(("sans-serif", 15).into_font().color(&INK))
            .axis_desc_style(("sans-serif", 16).into_font().color(&INK))
            .x_desc(label)
            .draw()?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (0.0, height)], INK.stroke_width(1)))?;
        for (i, row) in all.iter().enumerate() {
            let colour = COLOURS[row.number % COLOURS.len()];
            let y = height - i as f64 - 0.5;
            chart.draw_series([PathElement::new(vec![(row.low, y), (row.high, y)], colour.stroke_width(3))])?;
            chart.draw_series([Circle::new((row.x, y), 4, colour.filled())])?;
            let (_, pixel) = chart.backend_coord(&(left, y));
            let style = ("sans-serif", 15).into_font().color(&INK);
            area.draw(&Text::new(row.name.clone(), (6, pixel - 8), style))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_their_neighbours_allow() {
        let texts = [(0.5, 0.5), (94.0, 1.0), (94.2, 0.2), (-0.0, 0.5), (72_000.0, 0.0), (1_500_000.0, 0.0), (0.6, 0.0), (1e-5, 0.0)];
        assert_eq!(texts.map(|(value, step)| number(value, step)), ["0.5", "94", "94.2", "0", "72 k", "1.5 M", "0.6", "1e-5"]);
        assert_eq!(round_ticks(0.1, 2.3), [0.5, 1.0, 1.5, 2.0]);
        assert_eq!(round_ticks(-3.0, 9.0), [0.0, 5.0]);
    }

    #[test]
    fn a_plot_is_text_without_a_fixed_size_and_with_its_names() {
        let points = vec![Point { x: 1.0, y: 0.5, low: 0.4, high: 0.6 }, Point { x: 10.0, y: 0.7, low: 0.6, high: 0.9 }];
        let all = [Series { number: 0, points }];
        let scale = |label: &str, logarithmic| Scale { label: label.into(), logarithmic, ..Scale::default() };
        for style in [Style::Band, Style::Bars, Style::Scatter] {
            let svg = series("a < b", &scale("epochs", true), &scale("macro F1", false), style, &all);
            assert!(svg.starts_with("<svg role=\"img\" aria-label=\"a &lt; b\" viewBox=\"0 0 440 300\""), "{}", &svg[..120]);
            assert!(svg.contains("macro F1") && svg.contains("epochs") && svg.contains("#0072B2") && !svg.contains("NaN"), "{svg}");
        }
        let row = |name: &str| Row { name: name.into(), number: 1, x: 0.5, low: -0.1, high: 1.0 };
        let svg = rows("t", "points", &[row("digits"), row("vowel")]);
        assert!(svg.contains("digits") && svg.contains("vowel") && svg.contains("points"));
    }
}
