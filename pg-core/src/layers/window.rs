//! Sliding windows as types, shared by convolutions and pools: kernel, stride, padding.

use core::fmt;

pub use crate::kernels::window::{Axis, Plane};
use crate::shape::Shape;

/// A window of `KH` × `KW` places that moves by `SH`, `SW` over an input with `PH`, `PW` places of zeros on each side.
pub struct Window<
    const KH: usize,
    const KW: usize = KH,
    const SH: usize = 1,
    const SW: usize = SH,
    const PH: usize = 0,
    const PW: usize = PH,
>;

/// The sizes of a window as its type names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowText {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Down and to the right.
    pub stride: [usize; 2],
    /// Above and below, left and right.
    pub padding: [usize; 2],
}

impl fmt::Display for WindowText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel: [kh, kw], stride: [sh, sw], padding: [ph, pw] } = self;
        write!(f, "Window<{kh},{kw},{sh},{sw},{ph},{pw}>")
    }
}

/// A type that stands for a window.
pub trait Slides: 'static {
    /// Its sizes.
    const TEXT: WindowText;
}

impl<const KH: usize, const KW: usize, const SH: usize, const SW: usize, const PH: usize, const PW: usize> Slides
    for Window<KH, KW, SH, SW, PH, PW>
{
    const TEXT: WindowText = WindowText { kernel: [KH, KW], stride: [SH, SW], padding: [PH, PW] };
}

/// Where the window lies over an input.
///
/// # Panics
/// In a constant: when it does not fit.
pub const fn plane(window: WindowText, input: Shape) -> Plane {
    let WindowText { kernel, stride, padding } = window;
    Plane { y: Axis::new(input.height, kernel[0], stride[0], padding[0]), x: Axis::new(input.width, kernel[1], stride[1], padding[1]) }
}

/// Writes a layer's type by its shortest alias: `Conv2d<8,3>`, `Conv1d<8,3,2,1>`, `Pointwise<8>`, or `Conv<8,Window<…>>`. `first` are
/// the numbers before the window; what is as `usual` (stride, padding) is left out at the end; a stride of 0 there means the kernel.
pub(super) fn write_window(to: &mut dyn fmt::Write, name: &str, first: &[usize], window: &WindowText, usual: [usize; 2]) -> fmt::Result {
    let WindowText { kernel, stride, padding } = *window;
    let square = kernel[0] == kernel[1] && stride[0] == stride[1] && padding[0] == padding[1];
    let flat = kernel[0] == 1 && stride[0] == 1 && padding[0] == 0;
    let numbers = |to: &mut dyn fmt::Write, tail: &[usize]| {
        let mut separator = "<";
        for number in first.iter().chain(tail) {
            write!(to, "{separator}{number}")?;
            separator = ",";
        }
        to.write_str(">")
    };
    let (kernel, stride, padding) = (kernel[1], stride[1], padding[1]);
    let usual_stride = if usual[0] == 0 { kernel } else { usual[0] };
    let tail = [kernel, stride, padding];
    let tail = match (stride == usual_stride, padding == usual[1]) {
        (true, true) => &tail[..1],
        (false, true) => &tail[..2],
        _ => &tail[..],
    };
    if name == "Conv" && square && flat && tail.len() == 1 {
        to.write_str("Pointwise")?;
        numbers(to, &[])
    } else if square {
        write!(to, "{name}2d")?;
        numbers(to, tail)
    } else if flat {
        write!(to, "{name}1d")?;
        numbers(to, tail)
    } else {
        write!(to, "{name}<")?;
        first.iter().try_for_each(|number| write!(to, "{number},"))?;
        write!(to, "{window}>")
    }
}
