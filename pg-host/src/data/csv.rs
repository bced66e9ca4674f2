//! CSV files: a sample a row, a label column, the other columns its features.
//!
//! Fields are separated by commas and may be quoted, the quote right behind the comma; spaces around a field do not count. Missing values
//! are refused, not filled in. [`parse_csv`] does not panic on any bytes.

use ::csv::{ByteRecord, ReaderBuilder, Trim};

/// Names of a label column that need not be asked for, in any case of letters.
const LABEL_NAMES: [&str; 4] = ["label", "class", "target", "y"];

/// The rows of a CSV file.
#[derive(Clone, Debug, PartialEq)]
pub struct Csv {
    /// The header line, if there is one, with the label column.
    pub header: Option<Vec<String>>,
    /// Which column holds the labels, from 0.
    pub label_column: usize,
    /// Number of feature columns; at least 1.
    pub features: usize,
    /// Row after row, `features` finite values each.
    pub inputs: Vec<f32>,
    /// The label of each row, as it is written.
    pub labels: Vec<String>,
    /// The line of each row, from 1.
    pub lines: Vec<u64>,
}

/// A field: where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Line of the file, from 1.
    pub line: u64,
    /// Column of the row, from 1.
    pub column: usize,
    /// The column's name, if there is a header line.
    pub name: Option<String>,
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// Why bytes are not the rows of a CSV file; the text goes on from the file's name and a comma.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// No row.
    #[error("which is empty: a row for each sample is needed")]
    Empty,
    /// A header line and nothing below it.
    #[error("which has a header line and no samples below it")]
    NoSamples,
    /// One column only.
    #[error("line {line}: `{text}` is one column; a label and at least one feature are needed, separated by commas")]
    OneColumn {
        /// The line, from 1.
        line: u64,
        /// What stands there.
        text: String,
    },
    /// A row with another number of columns than the first.
    #[error("line {line}: this row has {has} columns, those before have {expected}")]
    Ragged {
        /// The line, from 1.
        line: u64,
        /// Its columns.
        has: usize,
        /// The columns of the first row.
        expected: usize,
    },
    /// A feature that is not a number.
    #[error("{place}: `{text}` is not a number; give a number, or choose this column as the label column if it holds the classes")]
    NotANumber {
        /// The field.
        place: Place,
        /// What stands there.
        text: String,
    },
    /// A feature that is no finite f32.
    #[error("{place}: `{text}` is not a finite number that fits an f32; replace it or leave the row out")]
    NotFinite {
        /// The field.
        place: Place,
        /// What stands there.
        text: String,
    },
    /// A field with nothing in it.
    #[error("{place}: this field is empty; fill it or leave the row out")]
    Missing {
        /// The field.
        place: Place,
    },
    /// Bytes that are no text.
    #[error("{place}: this is not UTF-8 text; save the file as UTF-8")]
    NotText {
        /// The field.
        place: Place,
    },
    /// A label column that is not there.
    #[error("which has no column `{label}`; its columns are {columns}")]
    NoSuchColumn {
        /// What was asked for.
        label: String,
        /// What there is.
        columns: String,
    },
    /// What the reader of rows says; it has no reason to.
    #[error("which cannot be read as rows: {0}")]
    Reader(String),
}

/// Reads the rows. `label` chooses the label column as [`CsvOptions::label`](super::CsvOptions::label) does.
///
/// The first row is a header line if a feature field of it is a name (it begins with a letter or `_`, is no number and does not stand for a
/// missing value), or if it gives the label column its name, which is no number, and no row repeats that name as a label.
pub fn parse_csv(bytes: &[u8], label: Option<&str>) -> Result<Csv, CsvError> {
    let mut rows = Rows::new(bytes);
    let Some((line, first)) = rows.next()? else { return Err(CsvError::Empty) };
    let first: Vec<String> = first.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    if let [only] = &first[..] {
        return Err(CsvError::OneColumn { line, text: clip(only) });
    }
    let named = match label {
        Some(label) => first.iter().position(|name| name == label),
        None => first.iter().position(|name| LABEL_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))),
    };
    let numbered = match label {
        Some(label) => label.parse().ok().filter(|&column| column < first.len()),
        None => Some(first.len() - 1),
    };
    let absent = || {
        let columns = first.iter().enumerate().map(|(i, name)| format!("{i} ({})", clip(name))).take(20).collect::<Vec<_>>().join(", ");
        let columns = if first.len() > 20 { format!("{columns} … {}", first.len() - 1) } else { columns };
        CsvError::NoSuchColumn { label: clip(label.unwrap_or_default()), columns }
    };
    let candidate = named.or(numbered).ok_or_else(absent)?;
    if first.iter().enumerate().any(|(i, field)| i != candidate && is_name(field)) {
        return parse_rows(bytes, Some(first), candidate);
    }
    if named.is_some() && first[candidate].parse::<f32>().is_err() {
        // Numbers as column names, or a class that is called like a label column: what stands below decides.
        let csv = parse_rows(bytes, Some(first.clone()), candidate)?;
        if !csv.labels.contains(&first[candidate]) {
            return Ok(csv);
        }
    }
    parse_rows(bytes, None, numbered.ok_or_else(absent)?)
}

/// Reads the rows behind the header line, if there is one.
fn parse_rows(bytes: &[u8], header: Option<Vec<String>>, label_column: usize) -> Result<Csv, CsvError> {
    let mut rows = Rows::new(bytes);
    let mut columns = None;
    if header.is_some() {
        columns = rows.next()?.map(|(_, row)| row.len());
    }
    let mut csv = Csv { header, label_column, features: 0, inputs: Vec::new(), labels: Vec::new(), lines: Vec::new() };
    while let Some((line, row)) = rows.next()? {
        let expected = *columns.get_or_insert(row.len());
        if row.len() != expected {
            return Err(CsvError::Ragged { line, has: row.len(), expected });
        }
        for (column, field) in row.iter().enumerate() {
            let name = || csv.header.as_ref().map(|names| clip(&names[column]));
            let place = || Place { line, column: column + 1, name: name() };
            let text = core::str::from_utf8(field).map_err(|_| CsvError::NotText { place: place() })?;
            if text.is_empty() {
                return Err(CsvError::Missing { place: place() });
            }
            if column == label_column {
                csv.labels.push(text.into());
                continue;
            }
            let value: f32 = text.parse().map_err(|_| CsvError::NotANumber { place: place(), text: clip(text) })?;
            if !value.is_finite() {
                return Err(CsvError::NotFinite { place: place(), text: clip(text) });
            }
            csv.inputs.push(value);
        }
        csv.lines.push(line);
    }
    csv.features = columns.unwrap_or(0).saturating_sub(1);
    if csv.lines.is_empty() { Err(CsvError::NoSamples) } else { Ok(csv) }
}

/// The rows of a file with their lines; empty lines are passed over.
struct Rows<'a> {
    bytes: &'a [u8],
    reader: ::csv::Reader<&'a [u8]>,
    record: ByteRecord,
    /// Bytes whose line ends are counted in `line`.
    counted: usize,
    line: u64,
}

impl<'a> Rows<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
        Self { bytes, reader, record: ByteRecord::new(), counted: 0, line: 1 }
    }

    /// The next row and the line that it begins on.
    fn next(&mut self) -> Result<Option<(u64, &ByteRecord)>, CsvError> {
        while self.reader.read_byte_record(&mut self.record).map_err(|error| CsvError::Reader(error.to_string()))? {
            if self.record.iter().ne([b""]) {
                let at = self.record.position().map_or(0, |position| position.byte() as usize);
                return Ok(Some((self.line_of(at), &self.record)));
            }
        }
        Ok(None)
    }

    /// The line of a row that the reader says to begin at byte `at`. The reader's own line is that of the empty lines before the row, and
    /// its
    /// position may be between the two bytes of a line end: neither is what a person looks for.
    fn line_of(&mut self, at: usize) -> u64 {
        let blank = self.bytes[at..].iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count();
        let end = at + blank;
        let ends = |i: usize| self.bytes[i] == b'\n' || (self.bytes[i] == b'\r' && self.bytes.get(i + 1) != Some(&b'\n'));
        self.line += (self.counted..end).filter(|&i| ends(i)).count() as u64;
        self.counted = end;
        self.line
    }
}

/// Whether a field of the first row can only be the name of a column.
fn is_name(field: &str) -> bool {
    let missing = ["na", "n/a", "null", "none", "missing"].iter().any(|mark| field.eq_ignore_ascii_case(mark));
    field.starts_with(|first: char| first.is_alphabetic() || first == '_') && field.parse::<f32>().is_err() && !missing
}

/// Text for an error: short, and in visible characters.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 40;
    let end = if text.chars().count() > MOST { "…" } else { "" };
    text.chars().take(MOST).collect::<String>().escape_debug().to_string() + end
}

#[cfg(test)]
mod tests {
    use super::super::carve::below;
    use super::*;

    fn parse(text: &str) -> Csv {
        parse_csv(text.as_bytes(), None).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &str) -> String {
        parse_csv(text.as_bytes(), None).expect_err(text).to_string()
    }

    #[test]
    fn the_label_column_is_the_named_one_or_the_last() {
        for (text, column) in [
            ("a,Class,b\n1,x,2\n", 1),
            ("LABEL,a\nx,1\n", 0),
            ("a,b,species\n1,2,x\n", 2),
            ("1,2,x\n3,4,y\n", 2),
            ("0,1,target\n5,6,x\n", 2),
            ("1,2,y\n3,4,n\n5,6,y\n", 2),
        ] {
            assert_eq!(parse(text).label_column, column, "{text}");
        }
        assert_eq!(parse_csv(b"x,1,2\ny,3,4\n", Some("0")).unwrap().labels, ["x", "y"]);
        assert_eq!(parse_csv(b"kind,a\nx,1\n", Some("kind")).unwrap().labels, ["x"]);
        let text = parse_csv(b"kind,a\nx,1\n", Some("sort")).unwrap_err().to_string();
        assert_eq!(text, "which has no column `sort`; its columns are 0 (kind), 1 (a)");
        assert!(parse_csv(b"1,2\n3,4\n", Some("2")).is_err(), "2 is a column's number, not the first row's text");
        assert_eq!(parse_csv(b"1,0\n3,4\n", Some("0")).unwrap().labels, ["1", "3"]);
    }

    #[test]
    fn finds_out_whether_the_first_row_is_a_header_line() {
        assert_eq!(parse("a,b\n1,x\n").labels, ["x"]);
        assert_eq!(parse("1,x\n2,y\n").labels, ["x", "y"]);
        assert_eq!(parse("0,1,label\n5,6,x\n7,8,z\n").labels, ["x", "z"], "numbers as names of columns");
        assert_eq!(parse("1,y\n2,n\n3,y\n").labels, ["y", "n", "y"], "a class that is called y");
        assert_eq!(
            refusal("NA,2,x\n1,2,y\n"),
            "line 1, column 1: `NA` is not a number; give a number, or choose this column as the label column if it holds the classes"
        );
        assert!(refusal("?,2,x\n1,2,y\n").starts_with("line 1, column 1: `?`"), "a missing value does not make a header line");
    }

    #[test]
    fn reads_quotes_spaces_crlf_and_a_byte_order_mark() {
        let csv = parse("\u{feff}\"a\", b ,label\r\n 1 ,\"2\",\"big, red\" \r\n3,4e-1,x\r\n");
        assert_eq!(csv.header.unwrap(), ["a", "b", "label"]);
        assert_eq!((csv.inputs, csv.lines), (vec![1., 2., 3., 0.4], vec![2, 3]));
        assert_eq!(csv.labels[1], "x");
    }

    #[test]
    fn names_line_column_and_text_of_a_bad_field() {
        let cases = [
            ("a,b,label\n1,2,x\n1,z2,x\n", "line 3, column 2 (b): `z2` is not a number;"),
            ("1,2,x\n1,nan,x\n", "line 2, column 2: `nan` is not a finite number"),
            ("1,2,x\n-inf,2,x\n", "line 2, column 1: `-inf` is not a finite number"),
            ("1,2,x\n1,1e39,x\n", "line 2, column 2: `1e39` is not a finite number"),
            ("1,2,x\n1,,x\n", "line 2, column 2: this field is empty;"),
            ("1,2,x\n1,2,\n", "line 2, column 3: this field is empty;"),
            ("1,2,x\n1,2\n", "line 2: this row has 2 columns, those before have 3"),
            ("a,b,label\n1,2,x,4\n", "line 2: this row has 4 columns, those before have 3"),
            ("", "which is empty"),
            ("\n\n \n", "which is empty"),
            ("a,b,label\n", "which has a header line and no samples"),
            ("1;2;x\n", "line 1: `1;2;x` is one column;"),
        ];
        for (text, beginning) in cases {
            assert!(refusal(text).starts_with(beginning), "{text:?}: {}", refusal(text));
        }
        assert!(parse_csv(b"1,2,x\n1,\xff,x\n", None).unwrap_err().to_string().starts_with("line 2, column 2: this is not UTF-8"));
    }

    #[test]
    fn counts_lines_as_an_editor_does() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,label", "", "1,x", "", "", "2,\"x", "x\"", "  ", "3,x", "bad,x"].join(end);
            assert!(refusal(&text).starts_with("line 10, column 1 (a): `bad`"), "{end:?}: {}", refusal(&text));
        }
    }

    #[test]
    fn long_and_invisible_text_is_shortened_in_errors() {
        let text = refusal(&format!("1,x\n\u{1b}[31m{},y\n", "9".repeat(1000)));
        assert!(text.starts_with("line 2, column 1: `\\u{1b}[31m999") && text.contains("9…`") && text.len() < 250, "{text}");
    }

    #[test]
    fn no_mutation_makes_the_parser_panic_or_lie() {
        let seeds = ["a,b,label\n1,2,x\n3,4,y\n", "1,2,x\r\n3,4,y\r\n\r\n", "\"a\",\"q\"\"q\",y\n1,-2e3,\"w\nv\"\n", "0,1,y\n2,3,y\n"];
        let (mut random, mut read) = (1, 0);
        for round in 0..10_000 {
            let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
            for _ in 0..below(5, &mut random) {
                let at = below(bytes.len(), &mut random);
                let byte = [b',', b'"', b'\n', b'\r', b'y', b'7', 0, 0xef, 0xff, below(256, &mut random) as u8][below(10, &mut random)];
                match below(3, &mut random) {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            let label = [None, Some("1"), Some("b"), Some("y")][below(4, &mut random)];
            if let Ok(csv) = parse_csv(&bytes, label) {
                let rows = csv.labels.len();
                assert!(rows > 0 && csv.features > 0 && csv.lines.len() == rows && csv.inputs.len() == rows * csv.features);
                assert!(csv.inputs.iter().all(|value| value.is_finite()));
                read += 1;
            }
        }
        assert!(read > 1000, "the mutations must leave some files readable");
    }
}
