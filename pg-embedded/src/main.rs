//! The firmware.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_embedded::{BOARD, console};

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    console::text("board ");
    console::text(BOARD.name);
    console::text("\n");
    console::end(true)
}
