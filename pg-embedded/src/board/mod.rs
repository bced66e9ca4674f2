//! The numbers of each board: where its memories lie and how fast its counter ticks.
//!
//! Only numbers, so that the firmware, its build script (which writes the linker's `memory.x` from them) and
//! `cargo xtask` read the same ones. No driver lives here: the firmware uses what every Cortex-M has.
//!
//! A new board is one more file and one more line in [`ALL`]; `PG_BOARD=its-name` selects it at build time.

mod lm3s6965evb;
mod microbit;
mod mps2_an386;
mod mps2_an500;
mod mps2_an505;
mod nrf52840_dk;
mod nucleo_f446re;
mod pico2;

/// A memory of a board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Address of its first byte.
    pub origin: u32,
    /// Its size.
    pub bytes: u32,
}

/// A UART that this firmware drives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uart {
    /// Of which kind.
    pub kind: UartKind,
    /// Address of its first register.
    pub origin: u32,
    /// The interrupt that says that a byte has come.
    pub receive_irq: u16,
    /// What its rate is divided from.
    pub clock_hz: u32,
}

/// The kinds of UARTs that there is a driver for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UartKind {
    /// The CMSDK APB UART, Arm's own, which boards with Arm's design kit have.
    Cmsdk,
    /// Arm's PrimeCell UART, PL011.
    Pl011,
    /// The UART without DMA of Nordic's nRF51 and nRF52, on these pins of port 0.
    Nrf {
        /// Where bytes go out.
        transmit: u8,
        /// Where they come in.
        receive: u8,
    },
}

/// What keeps, beyond a power cut, what a device has learnt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// A file of the computer that emulates the board.
    File,
    /// A part of the flash behind the program, through the NVMC of Nordic's nRF51 and nRF52.
    Nvmc {
        /// Its memory, whole pages.
        memory: Memory,
        /// Bytes of a page.
        page: u32,
    },
}

/// What the firmware needs to know of a board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Board {
    /// The value of `PG_BOARD`; also the name of QEMU's machine where there is one.
    pub name: &'static str,
    /// The compiler's target.
    pub target: &'static str,
    /// Code, constants and the model file.
    pub flash: Memory,
    /// Variables, then the stack, which grows down from the end.
    pub ram: Memory,
    /// Ticks per second of SysTick after reset, as QEMU emulates it.
    pub tick_hz: u32,
    /// The UART of the link, if this firmware can drive it.
    pub uart: Option<Uart>,
    /// Where it keeps what it learns.
    pub store: Store,
    /// Words behind the vector table that the boot ROM looks for.
    pub boot: &'static [u32],
    /// True when QEMU emulates the board.
    pub emulated: bool,
}

/// Every board. The first with a given target is that target's default.
pub const ALL: [Board; 8] = [
    mps2_an386::BOARD,
    mps2_an500::BOARD,
    mps2_an505::BOARD,
    lm3s6965evb::BOARD,
    microbit::BOARD,
    nucleo_f446re::BOARD,
    nrf52840_dk::BOARD,
    pico2::BOARD,
];

/// The board of that name.
///
/// # Panics
/// When there is none; at compile time, where the name is a constant.
pub const fn named(name: &str) -> Board {
    let mut i = 0;
    while i < ALL.len() {
        if same(ALL[i].name, name) {
            return ALL[i];
        }
        i += 1;
    }
    panic!("PG_BOARD names no board of pg-embedded/src/board")
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
