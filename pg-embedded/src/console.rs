//! The way out of the firmware: text, whole numbers, the bits of a float, and the end.
//!
//! With the feature `semihosting` it leads to the debugger or emulator, on a desktop to standard output, otherwise nowhere. It
//! deliberately does not use `core::fmt`, whose machinery is larger than a network, but in the report of a panic.
//!
//! ```
//! use pg_embedded::console;
//! console::text("logit ");
//! console::bits(1.0); // 3f800000
//! console::text("\n");
//! ```

#[cfg(all(target_os = "none", feature = "semihosting"))]
mod route {
    use semihosting::io::{Write, stdout};

    pub fn write(bytes: &[u8]) {
        // A debugger that takes no output is no reason to stop.
        let _ = stdout().and_then(|mut out| out.write_all(bytes));
    }

    pub fn end(ok: bool) -> ! {
        semihosting::process::exit(if ok { 0 } else { 1 })
    }
}

#[cfg(all(target_os = "none", not(feature = "semihosting")))]
mod route {
    pub fn write(bytes: &[u8]) {
        core::hint::black_box(bytes); // what is said must be computed, heard or not
    }

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

    pub fn end(ok: bool) -> ! {
        let _ = stdout().flush();
        std::process::exit(i32::from(!ok))
    }
}

/// Prints text as it is.
pub fn text(text: &str) {
    route::write(text.as_bytes());
}

/// Prints a whole number in decimal digits.
pub fn number(value: u32) {
    let mut digits = [0; 10];
    route::write(decimal(value, &mut digits));
}

/// Prints the bits of a float as eight hexadecimal digits: exact, and nothing to round.
pub fn bits(value: f32) {
    route::write(&hexadecimal(value.to_bits()));
}

/// Ends the program: in the emulator with exit code 0 or 1, on a silent board by sleeping.
pub fn end(ok: bool) -> ! {
    route::end(ok)
}

/// Prints what the program died of, where anybody listens.
#[cfg(target_os = "none")]
pub(crate) fn report(_panic: &core::panic::PanicInfo<'_>) {
    #[cfg(feature = "semihosting")]
    semihosting::println!("{_panic}");
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
