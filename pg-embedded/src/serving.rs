//! A program that serves the link and learns: [`serve!`](crate::serve) puts its memory aside and starts it, [`serve`] is what it does from then on.
//!
//! It speaks over any line of `embedded-io` and keeps what it learns in any flash of `embedded-storage`; boards bring both.

use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use pg_core::learner::{Kept, Learner, record_bytes, state_bytes};
use pg_core::link::{Device, Reply, Request, Server};
use pg_core::store::{HEADER_BYTES, Layout};
use pg_core::tuner::{Settings, Sizes};
use pg_core::{Lane, Network};

use crate::{Fpu, console::Line};

/// Pages of the flash are at most so long.
const PAGE: u32 = 4096;

/// Answers requests, and tunes while the line is silent. Between two steps every byte that has come is read; where there is nothing to do the
/// processor sleeps until one comes.
///
/// # Errors
/// Those of the line.
pub fn serve<T: Read + ReadReady + Write, N: Network, L: Lane, S: Kept, F: NorFlash, const BATCH: usize>(
    line: &mut T,
    server: &mut Server,
    learner: &mut Learner<N, L, S, F, BATCH>,
) -> Result<(), T::Error> {
    let mut bytes = [0; 64];
    loop {
        if learner.is_tuning() && !line.read_ready()? {
            learner.advance();
            continue;
        }
        let count = line.read(&mut bytes)?;
        for &byte in bytes.iter().take(count) {
            line.write_all(server.receive(byte, learner))?;
        }
    }
}

/// `serving step 50 left 150 samples 48`: what the device has found in its flash.
pub fn report(device: &mut impl Device) {
    if let Ok(Reply::Status(status)) = device.answer(&Request::Status) {
        let line = Line::new("serving").word("step").number(status.step).word("left").number(status.steps_left);
        line.word("samples").number(status.samples).end();
    }
}

/// The tuner's memory with any options for batches of `BATCH`.
pub const fn sizes<N: Network, const BATCH: usize>() -> Sizes {
    Settings::DEFAULT.needs().sizes::<N, Fpu, BATCH>()
}

/// Bytes of the longest message: a sample, or a piece of the parameters of [`piece_bytes`].
pub const fn message_bytes<N: Network, S: Kept>() -> usize {
    piece_bytes::<N, S>() + 11
}

/// Bytes of the longest piece.
pub const fn piece_bytes<N: Network, S: Kept>() -> usize {
    let record = record_bytes::<S>(N::INPUT.len());
    if record > 512 { record } else { 512 }
}

/// Two slots for a state, and sectors for twice as many samples as there is room for in memory: the oldest are forgotten sector by sector.
pub const fn layout<N: Network, S: Kept>(samples: usize) -> Layout {
    let record = 8 + (record_bytes::<S>(N::INPUT.len()) as u32 + 4).next_multiple_of(4);
    let (sector_bytes, in_sector) =
        if record < PAGE / 4 { (PAGE, (PAGE - HEADER_BYTES) / record) } else { (record.next_multiple_of(PAGE) + PAGE, 1) };
    Layout {
        start: 0,
        slot_bytes: (state_bytes::<N>(samples) + HEADER_BYTES + 64).next_multiple_of(PAGE),
        sector_bytes,
        sectors: 2 * (samples as u32).div_ceil(in_sector) + 1,
    }
}

/// A program that serves network `network` with the model file `model`, keeps up to `samples` samples as `kept`, and learns in batches of
/// `batch`. `known` are the outputs that [`Learner::known`] has on a desktop.
///
/// It becomes a `static` for each part of the memory, `PLAN`, which counts them and must fit the board, and `main`, which opens the flash
/// and the [`Learner`] in that memory, starts the UART and calls [`serve`]. On a desktop `main` prints the plan.
#[macro_export]
macro_rules! serve {
    (network: $network:ty, kept: $kept:ty, samples: $samples:literal, batch: $batch:literal, model: $model:expr, known: $known:expr $(,)?) => {
        type Net = $network;
        const SIZES: pg_core::tuner::Sizes = $crate::serving::sizes::<Net, $batch>();
        const MESSAGE: usize = $crate::serving::message_bytes::<Net, $kept>();
        const PIECE: usize = $crate::serving::piece_bytes::<Net, $kept>();
        const REQUEST: usize = pg_core::link::content_bytes(MESSAGE);
        const REPLY: usize = pg_core::link::frame_bytes(MESSAGE);
        const LAYOUT: pg_core::store::Layout = $crate::serving::layout::<Net, $kept>($samples);
        const INPUTS: usize = <Net as pg_core::Network>::INPUT.len();
        const OUTPUTS: usize = <Net as pg_core::Network>::OUTPUTS;
        const PARAMS: usize = <Net as pg_core::Network>::PARAMS;
        type Entries = heapless::Deque<pg_core::tuner::Entry, $samples>;

        /// Where every byte of RAM goes: the tuner's, what it learns from, the link's, and the stack.
        const PLAN: $crate::MemoryPlan<14> = $crate::MemoryPlan([
            ("parameters", 4 * PARAMS),
            ("gradient", 4 * SIZES.gradient),
            ("velocity", 4 * SIZES.velocity),
            ("member", 4 * SIZES.member),
            ("noise-scales", 4 * SIZES.scales),
            ("activations", 4 * SIZES.activations),
            ("best-parameters", 4 * PARAMS),
            ("sample-ring", size_of::<[$kept; $samples * INPUTS]>() + size_of::<Entries>()),
            ("sample", size_of::<[$kept; INPUTS]>()),
            ("outputs", 4 * OUTPUTS),
            ("piece", PIECE),
            ("link", REQUEST + REPLY),
            ("uart", $crate::serving::UART_BYTES),
            ("stack", 8 << 10),
        ]);
        const _: () = PLAN.check($crate::BOARD);

        #[cfg_attr(target_os = "none", cortex_m_rt::entry)]
        fn main() -> ! {
            $crate::console::Line::new("board").word($crate::BOARD.name).end();
            PLAN.print("ram", $crate::BOARD);
            #[cfg(target_os = "none")]
            serve().unwrap_or_else(|reason| $crate::console::report(reason));
            $crate::console::end(cfg!(not(target_os = "none")))
        }

        /// Ends only with a reason.
        #[cfg(target_os = "none")]
        fn serve() -> Result<(), &'static dyn core::fmt::Display> {
            use pg_core::learner::{About, Learner, Lent};
            use pg_core::link::{Options, Server};
            use pg_core::tuner::Memory;
            use static_cell::ConstStaticCell;

            static PARAMETERS: ConstStaticCell<[f32; PARAMS]> = ConstStaticCell::new([0.0; PARAMS]);
            static WORKING: ConstStaticCell<[f32; SIZES.sum()]> = ConstStaticCell::new([0.0; SIZES.sum()]);
            static BEST: ConstStaticCell<[f32; PARAMS]> = ConstStaticCell::new([0.0; PARAMS]);
            static VALUES: ConstStaticCell<[$kept; $samples * INPUTS]> = ConstStaticCell::new([0 as $kept; $samples * INPUTS]);
            static ENTRIES: ConstStaticCell<Entries> = ConstStaticCell::new(Entries::new());
            static SAMPLE: ConstStaticCell<[$kept; INPUTS]> = ConstStaticCell::new([0 as $kept; INPUTS]);
            static LOGITS: ConstStaticCell<[f32; OUTPUTS]> = ConstStaticCell::new([0.0; OUTPUTS]);
            static PARAMETER_PIECE: ConstStaticCell<[u8; PIECE]> = ConstStaticCell::new([0; PIECE]);
            static REQUESTED: ConstStaticCell<[u8; REQUEST]> = ConstStaticCell::new([0; REQUEST]);
            static REPLIED: ConstStaticCell<[u8; REPLY]> = ConstStaticCell::new([0; REPLY]);

            let about = About {
                firmware: concat!(env!("PG_BOARD"), " pg-embedded ", env!("CARGO_PKG_VERSION")),
                model: $model,
                options: Options { batch: $batch, ..Options::DEFAULT },
                plan: &const { PLAN }.0,
                known: &$known,
                save_every: 50,
            };
            let tuner = Memory {
                parameters: PARAMETERS.take(),
                working: WORKING.take(),
                samples: VALUES.take(),
                entries: ENTRIES.take().as_mut_view(),
                best: BEST.take(),
            };
            let lent = Lent { tuner, sample: SAMPLE.take(), outputs: LOGITS.take(), piece: PARAMETER_PIECE.take() };
            let flash = $crate::FileFlash::open(c"device.flash", LAYOUT.bytes() as u32);
            let flash = flash.map_err(|_| &"device.flash cannot be opened or made, which stands for the flash" as _)?;
            let learner = Learner::<Net, $crate::Fpu, $kept, _, $batch>::open(about, lent, flash, LAYOUT);
            let mut learner = learner.map_err(|reason| {
                $crate::console::report(&reason);
                &"the device does not start" as _
            })?;
            let mut server = Server::new(REQUESTED.take(), REPLIED.take());
            let mut uart = $crate::Uart::start();
            $crate::serving::report(&mut learner);
            $crate::serving::serve(&mut uart, &mut server, &mut learner).map_err(|_| &"the line is broken" as _)
        }
    };
}

/// Bytes of the UART's static memory.
pub const UART_BYTES: usize = if cfg!(target_os = "none") { uart_bytes() } else { 0 };

#[cfg(target_os = "none")]
const fn uart_bytes() -> usize {
    crate::Uart::STATIC_BYTES
}

#[cfg(not(target_os = "none"))]
const fn uart_bytes() -> usize {
    0
}
