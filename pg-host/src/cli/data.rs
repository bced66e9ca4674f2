//! How data are named: for every command that reads some, and the words behind `data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use pg_core::Shape;

use super::Command;
use crate::data::CsvOptions;
use crate::options::{DataInspectOptions, DataOptions};

#[derive(Args)]
pub(super) struct Reading {
    /// For a CSV file: the column of the labels, by its name or its number from 0. Without it the column called label, class, target or
    /// y, else the last
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// For a CSV file: a second file with the samples to test on
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Read each sample as this shape, its values in the same order: channels, height, width. Windows of sensor data are CHANNELSx1xTIME. If
    /// left out, images of 1xCxT become windows of Cx1xT, or the other way round, where the network takes only that
    #[arg(long = "as", value_name = "CxHxW", value_parser = shape, requires = "data")]
    shape: Option<Shape>,
}

#[derive(Subcommand)]
pub(super) enum Data {
    /// Count samples, classes, values and repetitions, and draw samples of each class
    Inspect(Inspect),
    /// List the data sets that are known by name: those in the program and those that a package brings
    List(List),
}

#[derive(Args)]
pub(super) struct Inspect {
    /// The data, as for `train`
    #[arg(long, value_name = "NAME|PATH", default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: Reading,
    /// Write a picture as well: a row for each class, in it some of its samples to train on
    #[arg(long, value_name = "FILE.svg")]
    sheet: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct List {
    /// Print a JSON array instead of a table
    #[arg(long)]
    json: bool,
}

impl Reading {
    pub(super) fn of(self, name: String) -> DataOptions {
        DataOptions { name, csv: CsvOptions { label: self.label, test: self.test }, shape: self.shape }
    }

    /// Options of a CSV file make no sense without one.
    pub(super) fn with(self, data: Option<String>) -> Option<DataOptions> {
        let given = self.label.is_some() || self.test.is_some();
        data.or_else(|| given.then(|| "digits".into())).map(|name| self.of(name))
    }
}

/// Three sizes of at least 1, separated by `x`.
fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok().filter(|&size| size > 0)).collect();
    match sizes.as_deref() {
        Some(&[channels, height, width]) if channels.checked_mul(height).is_some_and(|places| places.checked_mul(width).is_some()) => {
            Ok(Shape::new(channels, height, width))
        }
        _ => Err("a shape is three sizes, CHANNELSxHEIGHTxWIDTH, for example 3x1x64".into()),
    }
}

impl From<Data> for Command {
    fn from(data: Data) -> Self {
        match data {
            Data::Inspect(Inspect { data, reading, sheet, json }) => {
                Command::DataInspect(DataInspectOptions { data: reading.of(data), sheet, json })
            }
            Data::List(List { json }) => Command::DataList { json },
        }
    }
}
