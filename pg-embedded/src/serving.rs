//! A program that serves the link: [`serve!`](crate::serve) puts the memory of one that learns aside and starts it, [`classify!`](crate::classify!) that
//! of one that only infers; [`serve`] and [`answer`] are what they do from then on.
//!
//! It speaks over any line of `embedded-io` and keeps what it learns in any flash of `embedded-storage`; boards bring both.

use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use pg_core::layers::Scope;
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

/// Answers requests, and sleeps in between.
///
/// # Errors
/// Those of the line.
pub fn answer<T: Read + Write>(line: &mut T, server: &mut Server, device: &mut impl Device) -> Result<(), T::Error> {
    let mut bytes = [0; 64];
    loop {
        let count = line.read(&mut bytes)?;
        for &byte in bytes.iter().take(count) {
            line.write_all(server.receive(byte, device))?;
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

/// The tuner's memory with any options for batches of `BATCH` that train no other layers than these.
pub const fn sizes<N: Network, const BATCH: usize>(layers: u64) -> Sizes {
    Settings { scope: Scope::of(layers), ..Settings::DEFAULT }.needs().sizes::<N, Fpu, BATCH>()
}

/// Parameters in these layers: room for the best of them.
pub const fn trained<N: Network>(layers: u64) -> usize {
    Scope::of(layers).len(&N::LEAVES)
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
/// `batch`, at most in the layers with parameters whose bits are set in `layers` (`u64::MAX`: in all). `known` are the outputs that [`Learner::known`] has on a desktop.
///
/// It becomes a `static` for each part of the memory, `PLAN`, which counts them and must fit the board, and `main`, which opens the flash
/// and the [`Learner`] in that memory, starts the UART and calls [`serve`]. On a desktop `main` prints the plan.
#[macro_export]
macro_rules! serve {
    (network: $network:ty, kept: $kept:ty, samples: $samples:expr, batch: $batch:literal, layers: $layers:expr, model: $model:expr,
     known: $known:expr $(,)?) => {
        type Net = $network;
        const SAMPLES: usize = $samples;
        const LAYERS: u64 = $layers;
        const SIZES: pg_core::tuner::Sizes = $crate::serving::sizes::<Net, $batch>(LAYERS);
        const TRAINED: usize = $crate::serving::trained::<Net>(LAYERS);
        const MESSAGE: usize = $crate::serving::message_bytes::<Net, $kept>();
        const PIECE: usize = $crate::serving::piece_bytes::<Net, $kept>();
        const REQUEST: usize = pg_core::link::content_bytes(MESSAGE);
        const REPLY: usize = pg_core::link::frame_bytes(MESSAGE);
        const LAYOUT: pg_core::store::Layout = $crate::serving::layout::<Net, $kept>(SAMPLES);
        const INPUTS: usize = <Net as pg_core::Network>::INPUT.len();
        const OUTPUTS: usize = <Net as pg_core::Network>::OUTPUTS;
        const PARAMS: usize = <Net as pg_core::Network>::PARAMS;
        type Entries = heapless::Deque<pg_core::tuner::Entry, SAMPLES>;

        /// Where every byte of RAM goes: the tuner's, what it learns from, the link's, and the stack.
        const PLAN: $crate::MemoryPlan<14> = $crate::MemoryPlan([
            ("parameters", 4 * PARAMS),
            ("gradient", 4 * SIZES.gradient),
            ("velocity", 4 * SIZES.velocity),
            ("member", 4 * SIZES.member),
            ("noise-scales", 4 * SIZES.scales),
            ("activations", 4 * SIZES.activations),
            ("best-parameters", 4 * TRAINED),
            ("sample-ring", size_of::<[$kept; SAMPLES * INPUTS]>() + size_of::<Entries>()),
            ("sample", size_of::<[$kept; INPUTS]>()),
            ("outputs", 4 * OUTPUTS),
            ("piece", PIECE),
            ("link", REQUEST + REPLY),
            ("uart", $crate::serving::UART_BYTES),
            ("stack", 8 << 10),
        ]);
        const _: () = PLAN.check($crate::BOARD);
        const _: () = $crate::serving::check(&LAYOUT);

        $crate::serving_main!();

        /// Ends only with a reason.
        #[cfg(target_os = "none")]
        fn serve() -> Result<(), &'static dyn core::fmt::Display> {
            use pg_core::learner::{About, Learner, Lent};
            use pg_core::link::{Options, Server};
            use pg_core::tuner::Memory;
            use static_cell::ConstStaticCell;

            static PARAMETERS: ConstStaticCell<[f32; PARAMS]> = ConstStaticCell::new([0.0; PARAMS]);
            static WORKING: ConstStaticCell<[f32; SIZES.sum()]> = ConstStaticCell::new([0.0; SIZES.sum()]);
            static BEST: ConstStaticCell<[f32; TRAINED]> = ConstStaticCell::new([0.0; TRAINED]);
            static VALUES: ConstStaticCell<[$kept; SAMPLES * INPUTS]> = ConstStaticCell::new([0 as $kept; SAMPLES * INPUTS]);
            static ENTRIES: ConstStaticCell<Entries> = ConstStaticCell::new(Entries::new());
            static SAMPLE: ConstStaticCell<[$kept; INPUTS]> = ConstStaticCell::new([0 as $kept; INPUTS]);
            static LOGITS: ConstStaticCell<[f32; OUTPUTS]> = ConstStaticCell::new([0.0; OUTPUTS]);
            static PARAMETER_PIECE: ConstStaticCell<[u8; PIECE]> = ConstStaticCell::new([0; PIECE]);
            static REQUESTED: ConstStaticCell<[u8; REQUEST]> = ConstStaticCell::new([0; REQUEST]);
            static REPLIED: ConstStaticCell<[u8; REPLY]> = ConstStaticCell::new([0; REPLY]);

            let about = About {
                firmware: concat!(env!("PG_BOARD"), " pg-embedded ", env!("CARGO_PKG_VERSION")),
                model: $model,
                options: Options { batch: $batch, layers: LAYERS, ..Options::DEFAULT },
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
            let flash = $crate::flash(LAYOUT.bytes() as u32)?;
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

/// The `main` of a program with a `PLAN` and a function `serve`, which ends only with a reason: prints the plan and, on a board, serves.
#[macro_export]
macro_rules! serving_main {
    () => {
        #[cfg_attr(target_os = "none", cortex_m_rt::entry)]
        fn main() -> ! {
            $crate::console::Line::new("board").word($crate::BOARD.name).end();
            PLAN.print("ram", $crate::BOARD);
            #[cfg(target_os = "none")]
            serve().unwrap_or_else(|reason| $crate::console::report(reason));
            $crate::console::end(cfg!(not(target_os = "none")))
        }
    };
}

/// A program that serves network `network` with the model file `model`, takes samples as `kept`, and only infers. `known` are the outputs that
/// [`Learner::known`] has on a desktop.
///
/// It becomes a `static` for each part of the memory, `PLAN`, which counts them and must fit the board, and `main`, which starts the UART and calls
/// [`answer`]. On a desktop `main` prints the plan.
#[macro_export]
macro_rules! classify {
    (network: $network:ty, kept: $kept:ty, model: $model:expr, known: $known:expr $(,)?) => {
        type Net = $network;
        const MESSAGE: usize = $crate::serving::message_bytes::<Net, $kept>();
        const PIECE: usize = $crate::serving::piece_bytes::<Net, $kept>();
        const REQUEST: usize = pg_core::link::content_bytes(MESSAGE);
        const REPLY: usize = pg_core::link::frame_bytes(MESSAGE);
        const INPUTS: usize = <Net as pg_core::Network>::INPUT.len();
        const OUTPUTS: usize = <Net as pg_core::Network>::OUTPUTS;
        const PARAMS: usize = <Net as pg_core::Network>::PARAMS;
        const TAPE: usize = pg_core::classifier::tape_len::<Net, $crate::Fpu>();
        const SCRATCH: usize = pg_core::classifier::scratch_len::<Net, $crate::Fpu>();

        /// Where every byte of RAM goes: the network's, the link's, and the stack.
        const PLAN: $crate::MemoryPlan<9> = $crate::MemoryPlan([
            ("parameters", 4 * PARAMS),
            ("activations", 4 * TAPE),
            ("scratch", 4 * SCRATCH),
            ("sample", size_of::<[$kept; INPUTS]>()),
            ("outputs", 4 * OUTPUTS),
            ("piece", PIECE),
            ("link", REQUEST + REPLY),
            ("uart", $crate::serving::UART_BYTES),
            ("stack", 4 << 10),
        ]);
        const _: () = PLAN.check($crate::BOARD);

        $crate::serving_main!();

        /// Ends only with a reason.
        #[cfg(target_os = "none")]
        fn serve() -> Result<(), &'static dyn core::fmt::Display> {
            use pg_core::classifier::{About, Classifier, Lent};
            use pg_core::link::Server;
            use static_cell::ConstStaticCell;

            static PARAMETERS: ConstStaticCell<[f32; PARAMS]> = ConstStaticCell::new([0.0; PARAMS]);
            static ON_TAPE: ConstStaticCell<[f32; TAPE]> = ConstStaticCell::new([0.0; TAPE]);
            static SPARE: ConstStaticCell<[f32; SCRATCH]> = ConstStaticCell::new([0.0; SCRATCH]);
            static SAMPLE: ConstStaticCell<[$kept; INPUTS]> = ConstStaticCell::new([0 as $kept; INPUTS]);
            static LOGITS: ConstStaticCell<[f32; OUTPUTS]> = ConstStaticCell::new([0.0; OUTPUTS]);
            static PARAMETER_PIECE: ConstStaticCell<[u8; PIECE]> = ConstStaticCell::new([0; PIECE]);
            static REQUESTED: ConstStaticCell<[u8; REQUEST]> = ConstStaticCell::new([0; REQUEST]);
            static REPLIED: ConstStaticCell<[u8; REPLY]> = ConstStaticCell::new([0; REPLY]);

            let about = About {
                firmware: concat!(env!("PG_BOARD"), " pg-embedded ", env!("CARGO_PKG_VERSION")),
                model: $model,
                plan: &const { PLAN }.0,
                known: &$known,
            };
            let lent = Lent {
                parameters: PARAMETERS.take(),
                tape: ON_TAPE.take(),
                scratch: SPARE.take(),
                sample: SAMPLE.take(),
                outputs: LOGITS.take(),
                piece: PARAMETER_PIECE.take(),
            };
            let device = Classifier::<Net, $crate::Fpu, $kept>::open(about, lent);
            let mut device = device.map_err(|reason| {
                $crate::console::report(&reason);
                &"the device does not start" as _
            })?;
            let mut server = Server::new(REQUESTED.take(), REPLIED.take());
            let mut uart = $crate::Uart::start();
            $crate::serving::report(&mut device);
            $crate::serving::answer(&mut uart, &mut server, &mut device).map_err(|_| &"the line is broken" as _)
        }
    };
}

/// Ends the build, in a constant, when the board's store has less room than this layout takes; a file has as much as is wanted.
///
/// # Panics
/// Then.
pub const fn check(layout: &Layout) {
    if let crate::board::Store::Nvmc { memory, page } = crate::BOARD.store {
        assert!(layout.bytes() as usize <= memory.bytes as usize, "what is learnt does not fit the board's flash: keep fewer samples");
        assert!(PAGE.is_multiple_of(page), "the store's pages are longer than those that the layout is made of");
    }
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
