//! Reads the test vectors of ONNX: a model of one node or a few, its inputs, the outputs that are expected. It computes nothing.
//!
//! The data is Debian's package `libonnx-testdata`. Of the format only the fields that these files use are declared.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

/// Where the package puts its data.
const INSTALLED: &str = "/usr/share/libonnx-testdata/data";

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, tag = "2")]
    f: f32,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(bytes = "vec", tag = "4")]
    s: Vec<u8>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(int64, repeated, tag = "7")]
    int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

/// What a tensor holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// `float32`.
    Floats(Vec<f32>),
    /// `int64`.
    Integers(Vec<i64>),
    /// Another type, by its number in the format.
    Other(i32),
}

/// An array of numbers, row by row.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The sizes of its axes.
    pub shape: Vec<usize>,
    /// Its elements.
    pub numbers: Numbers,
}

/// One of the numbers that describe a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// One number, whole or not.
    Number(f64),
    /// A row of whole numbers.
    Row(Vec<i64>),
    /// A word.
    Word(String),
}

/// One node of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub operator: String,
    /// How, where that is not as usual.
    pub attributes: HashMap<String, Attribute>,
    /// Its inputs in order; of those that another node computes, the graph's first input.
    pub inputs: Vec<Tensor>,
}

/// A test: a graph and what it makes of its inputs.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The nodes in order.
    pub nodes: Vec<Node>,
    /// What comes out.
    pub outputs: Vec<Tensor>,
}

/// The data's directory, if it is installed.
pub fn directory() -> Option<&'static Path> {
    Some(Path::new(INSTALLED)).filter(|path| path.is_dir())
}

/// The names of all tests in these parts of the data, `part/test`, in order.
pub fn names(directory: &Path, parts: &[&str]) -> Vec<String> {
    let tests = |part: &&str| {
        let entries = fs::read_dir(directory.join(part)).unwrap_or_else(|error| panic!("{part}: {error}"));
        let names = entries.map(|entry| entry.expect("a directory entry").file_name().to_string_lossy().into_owned());
        names.map(|name| format!("{part}/{name}")).collect::<Vec<_>>()
    };
    let mut names: Vec<String> = parts.iter().flat_map(tests).collect();
    names.sort();
    names
}

impl Vector {
    /// Reads the test in the directory `path`; `None` when it does not consist of tensors (but of sequences, say).
    pub fn read(path: &Path) -> Option<Self> {
        let model = ModelProto::decode(&read(&path.join("model.onnx"))[..]).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let graph = model.graph?;
        let data = path.join("test_data_set_0");
        let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|tensor| (&*tensor.name, tensor)).collect();
        let names = graph.input.iter().map(|input| &*input.name).filter(|name| !constants.contains_key(name));
        let given: Vec<(&str, Tensor)> = names.zip(files(&data, "input")?).collect();
        let find = |name: &String| match constants.get(&**name) {
            Some(tensor) => tensor.numbers(),
            None => given.iter().find(|(given, _)| given == name).or(given.first()).map(|(_, tensor)| tensor.clone()),
        };
        let node = |node: &NodeProto| {
            let attributes = node.attribute.iter().map(|attribute| (attribute.name.clone(), attribute.value())).collect();
            let inputs = node.input.iter().filter_map(find).collect();
            Node { operator: node.op_type.clone(), attributes, inputs }
        };
        Some(Self { nodes: graph.node.iter().map(node).collect(), outputs: files(&data, "output")? })
    }
}

impl Node {
    /// A number among the attributes, or what is usual.
    pub fn number(&self, name: &str, usual: f64) -> f64 {
        if let Some(&Attribute::Number(number)) = self.attributes.get(name) { number } else { usual }
    }

    /// A row of numbers among the attributes; empty when there is none.
    pub fn row(&self, name: &str) -> &[i64] {
        if let Some(Attribute::Row(row)) = self.attributes.get(name) { row } else { &[] }
    }

    /// A word among the attributes; empty when there is none.
    pub fn word(&self, name: &str) -> &str {
        if let Some(Attribute::Word(word)) = self.attributes.get(name) { word } else { "" }
    }
}

impl Tensor {
    /// Its elements.
    ///
    /// # Panics
    /// When they are not `float32`.
    pub fn floats(&self) -> &[f32] {
        let Numbers::Floats(floats) = &self.numbers else { panic!("not of float32: {:?}", self.shape) };
        floats
    }

    /// Its elements.
    ///
    /// # Panics
    /// When they are not `int64`.
    pub fn integers(&self) -> &[i64] {
        let Numbers::Integers(integers) = &self.numbers else { panic!("not of int64: {:?}", self.shape) };
        integers
    }
}

impl AttributeProto {
    fn value(&self) -> Attribute {
        match self {
            Self { ints, .. } if !ints.is_empty() => Attribute::Row(ints.clone()),
            Self { s, .. } if !s.is_empty() => Attribute::Word(String::from_utf8_lossy(s).into_owned()),
            // The one that is not set is zero.
            Self { f, i, .. } => Attribute::Number(f64::from(*f) + *i as f64),
        }
    }
}

impl TensorProto {
    /// `None` when there are not as many numbers as the shape says.
    fn numbers(&self) -> Option<Tensor> {
        const FLOAT: i32 = 1;
        const INT64: i32 = 7;
        let shape = self.dims.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>()?;
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        let (numbers, found) = match self.data_type {
            FLOAT => {
                let raw = self.raw_data.as_chunks().0.iter().copied().map(f32::from_le_bytes);
                let floats: Vec<f32> = self.float_data.iter().copied().chain(raw).collect();
                (Numbers::Floats(floats.clone()), floats.len())
            }
            INT64 => {
                let raw = self.raw_data.as_chunks().0.iter().copied().map(i64::from_le_bytes);
                let integers: Vec<i64> = self.int64_data.iter().copied().chain(raw).collect();
                (Numbers::Integers(integers.clone()), integers.len())
            }
            other => (Numbers::Other(other), count),
        };
        (found == count).then_some(Tensor { shape, numbers })
    }
}

/// The tensors of the files `kind_0.pb`, `kind_1.pb`, …
fn files(data: &Path, kind: &str) -> Option<Vec<Tensor>> {
    let paths = (0..).map(|i| data.join(format!("{kind}_{i}.pb"))).take_while(|path: &PathBuf| path.exists());
    paths.map(|path| TensorProto::decode(&read(&path)[..]).ok()?.numbers()).collect()
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
