//! Reads a network from the text that its type writes: `Sequential<Image<1,8,8>,(Conv2d<4,3>,Relu,Flatten,Dense<10>,)>`.

use super::Oracle;

/// A sliding window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Down and to the right.
    pub stride: [usize; 2],
    /// Places outside the input on each side.
    pub padding: [usize; 2],
}

/// One layer.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are those of pg-core")]
pub enum Layer {
    Dense(usize),
    Conv { outputs: usize, window: Window, groups: usize },
    Depthwise(Window),
    MaxPool(Window),
    AvgPool(Window),
    GlobalAvgPool,
    BatchNorm,
    LayerNorm,
    Relu,
    Relu6,
    HardSwish,
    Tanh,
    Sigmoid,
    LeakyRelu(usize),
    Dropout(usize),
    Flatten,
    ChannelShuffle(usize),
    Sequence(Vec<Layer>),
    Residual(Vec<Layer>),
    Parallel(Vec<Layer>),
    Split(usize, Vec<Layer>),
}

/// A name or a number with what stands in its brackets; a tuple has no name.
#[derive(Debug)]
struct Node<'a> {
    name: &'a str,
    inner: Vec<Node<'a>>,
}

/// The network of a text.
///
/// # Panics
/// When the text is not that of a network.
pub fn read(text: &str) -> Oracle {
    let mut rest = text;
    let network = node(&mut rest);
    assert!(network.name == "Sequential" && network.inner.len() == 2 && rest.is_empty(), "not a network: {text}");
    let input = match (network.inner[0].name, &network.inner[0].numbers()[..]) {
        ("Image", &[channels, height, width]) => [channels, height, width],
        ("Vector", &[features]) => [features, 1, 1],
        _ => panic!("not an input: {text}"),
    };
    Oracle { input, layers: vec![network.inner[1].layer()] }
}

/// Takes one node from the front of the text.
fn node<'a>(rest: &mut &'a str) -> Node<'a> {
    let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    let (name, tail) = rest.split_at(end);
    *rest = tail;
    let mut inner = Vec::new();
    let (open, close) = if name.is_empty() { ('(', ')') } else { ('<', '>') };
    if let Some(tail) = rest.strip_prefix(open) {
        *rest = tail;
        while !rest.starts_with(close) {
            inner.push(node(rest));
            *rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        *rest = &rest[1..];
    }
    Node { name, inner }
}

impl Node<'_> {
    fn numbers(&self) -> Vec<usize> {
        self.inner.iter().map(|node| node.name.parse().expect("a number")).collect()
    }

    fn layers(&self) -> Vec<Layer> {
        self.inner.iter().map(Node::layer).collect()
    }

    /// The window that the brackets hold from place `first` on; a stride that is not written is 1, or for a pool the kernel.
    fn window(&self, first: usize) -> Window {
        if self.inner[first].name == "Window" {
            let &[kh, kw, sh, sw, ph, pw] = &self.inner[first].numbers()[..] else { panic!("six numbers: {self:?}") };
            return Window { kernel: [kh, kw], stride: [sh, sw], padding: [ph, pw] };
        }
        let numbers = &self.numbers()[first..];
        let kernel = numbers[0];
        let stride = numbers.get(1).copied().unwrap_or(if self.name.contains("Pool") { kernel } else { 1 });
        let padding = numbers.get(2).copied().unwrap_or(0);
        match self.name.ends_with("1d") {
            true => Window { kernel: [1, kernel], stride: [1, stride], padding: [0, padding] },
            false => Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2] },
        }
    }

    fn layer(&self) -> Layer {
        let number = |i: usize| self.inner[i].name.parse().expect("a number");
        match self.name {
            "" => Layer::Sequence(self.layers()),
            "Dense" => Layer::Dense(number(0)),
            "Pointwise" => {
                Layer::Conv { outputs: number(0), window: Window { kernel: [1; 2], stride: [1; 2], padding: [0; 2] }, groups: 1 }
            }
            "Conv" if self.inner.len() == 3 => Layer::Conv { outputs: number(0), window: self.window(1), groups: number(2) },
            "Conv" | "Conv1d" | "Conv2d" => Layer::Conv { outputs: number(0), window: self.window(1), groups: 1 },
            "Depthwise" | "Depthwise1d" | "Depthwise2d" => Layer::Depthwise(self.window(0)),
            "MaxPool" | "MaxPool1d" | "MaxPool2d" => Layer::MaxPool(self.window(0)),
            "AvgPool" | "AvgPool1d" | "AvgPool2d" => Layer::AvgPool(self.window(0)),
            "GlobalAvgPool" => Layer::GlobalAvgPool,
            "BatchNorm" => Layer::BatchNorm,
            "LayerNorm" => Layer::LayerNorm,
            "Relu" => Layer::Relu,
            "Relu6" => Layer::Relu6,
            "HardSwish" => Layer::HardSwish,
            "Tanh" => Layer::Tanh,
            "Sigmoid" => Layer::Sigmoid,
            "LeakyRelu" => Layer::LeakyRelu(number(0)),
            "Dropout" => Layer::Dropout(number(0)),
            "Flatten" => Layer::Flatten,
            "Expect" => Layer::Sequence(Vec::new()),
            "ChannelShuffle" => Layer::ChannelShuffle(number(0)),
            "Residual" => Layer::Residual(self.layers()),
            "Parallel" => Layer::Parallel(self.layers()),
            "Split" => Layer::Split(number(0), self.inner[1..].iter().map(Node::layer).collect()),
            name => panic!("no such layer: {name}"),
        }
    }
}
