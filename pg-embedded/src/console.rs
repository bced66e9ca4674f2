//! The way out of the firmware: lines of words, whole numbers and the bits of floats, and the end.
//!
//! With the feature `semihosting` it leads to the debugger or emulator, with `defmt` to the log of a debugging probe, which does not stop the processor,
//! on a desktop to standard output, otherwise nowhere. It
//! deliberately does not use `core::fmt`, whose machinery is larger than a network, but to report why a program ends.
//!
//! ```
//! use pg_embedded::console::Line;
//! Line::new("sample").number(7).word("logits").bits(1.0).bits(-0.5).end(); // sample 7 logits 3f800000 bf000000
//! ```

#[cfg(all(target_os = "none", feature = "semihosting"))]
mod route {
    use semihosting::io::{Write, stdout};

    pub fn write(bytes: &[u8]) {
        // A debugger that takes no output is no reason to stop.
        let _ = stdout().and_then(|mut out| out.write_all(bytes));
    }

    pub fn report(reason: &dyn core::fmt::Display) {
        semihosting::eprintln!("{reason}");
    }

    pub fn end(ok: bool) -> ! {
        semihosting::process::exit(if ok { 0 } else { 1 })
    }
}

#[cfg(all(target_os = "none", feature = "defmt", not(feature = "semihosting")))]
mod route {
    use defmt_rtt as _;

    pub fn write(bytes: &[u8]) {
        // A frame of the log ends a line by itself.
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        defmt::println!("{=str}", core::str::from_utf8(line).unwrap_or_default());
    }

    pub fn report(reason: &dyn core::fmt::Display) {
        defmt::error!("{}", defmt::Display2Format(reason));
    }

    pub fn end(_: bool) -> ! {
        loop {
            cortex_m::asm::wfi();
        }
    }
}

#[cfg(all(target_os = "none", not(any(feature = "semihosting", feature = "defmt"))))]
mod route {
    pub fn write(bytes: &[u8]) {
        core::hint::black_box(bytes); // what is said must be computed, heard or not
    }

    pub fn report(_: &dyn core::fmt::Display) {}

    pub fn end(_: bool) -> ! {
        loop {
            cortex_m::asm::wfi();
        }
    }
}

#[cfg(not(target_os = "none"))]
mod route {
    use std::io::{Write, stdout};

    pub fn write(bytes: &[u8]) {
        let _ = stdout().write_all(bytes);
    }

    pub fn report(reason: &dyn core::fmt::Display) {
        eprintln!("{reason}");
    }

    pub fn end(ok: bool) -> ! {
        let _ = stdout().flush();
        std::process::exit(i32::from(!ok))
    }
}

/// A line, made word by word and printed at once: each write may stop the processor for the debugger.
#[must_use = "a line needs its `end`"]
pub struct Line(heapless::Vec<u8, 256>);

impl Line {
    /// Begins a line with a word.
    pub fn new(word: &str) -> Self {
        let mut line = Self(heapless::Vec::new());
        line.push(word.as_bytes());
        line
    }

    /// Another word.
    pub fn word(self, word: &str) -> Self {
        self.bytes(word.as_bytes())
    }

    /// A whole number in decimal digits.
    pub fn number(self, value: u32) -> Self {
        self.bytes(decimal(value, &mut [0; 10]))
    }

    /// The bits of a float as eight hexadecimal digits: exact, and nothing to round.
    pub fn bits(self, value: f32) -> Self {
        self.bytes(&hexadecimal(value.to_bits()))
    }

    /// Ends the line.
    pub fn end(mut self) {
        self.push(b"\n");
        route::write(&self.0);
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.push(b" ");
        self.push(bytes);
        self
    }

    /// Adds to the line; what does not fit any more goes out before.
    fn push(&mut self, bytes: &[u8]) {
        if self.0.extend_from_slice(bytes).is_err() {
            route::write(&self.0);
            self.0.clear();
            if self.0.extend_from_slice(bytes).is_err() {
                route::write(bytes);
            }
        }
    }
}

/// Prints why the program ends, where anybody listens.
pub fn report(reason: &dyn core::fmt::Display) {
    route::report(reason);
}

/// Ends the program: in the emulator with exit code 0 or 1, on a silent board by sleeping.
pub fn end(ok: bool) -> ! {
    route::end(ok)
}

fn decimal(mut value: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[first..];
        }
    }
}

fn hexadecimal(value: u32) -> [u8; 8] {
    core::array::from_fn(|i| b"0123456789abcdef"[(value >> (28 - 4 * i)) as usize & 15])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for value in [0, 1, 9, 10, 0x3f80_0000, 0x8000_0001, u32::MAX] {
            assert_eq!(decimal(value, &mut [0; 10]), value.to_string().as_bytes());
            assert_eq!(hexadecimal(value), format!("{value:08x}").as_bytes());
        }
    }
}
