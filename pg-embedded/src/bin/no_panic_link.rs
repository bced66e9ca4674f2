//! Proves that no panic can be reached in the link's server, in the devices that it asks, and in the store: with the feature `no-panic` it links only if so.
//!
//! It is not meant to be run. What it works on comes from where the compiler cannot see, so that nothing is left out.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    use core::hint::black_box;
    use pg_core::classifier::{self, Classifier};
    use pg_core::learner::{About, Learner, Lent};
    use pg_core::link::{Client, Options, Request, Retry, Server, content_bytes, frame_bytes};
    use pg_core::store::{Cursor, Layout, Store};
    use pg_core::tuner::{Entry, Memory};
    use pg_core::{Network, zoo::Mlp64x32x10 as Net};
    use pg_embedded::Fpu;
    use static_cell::ConstStaticCell;

    static REQUEST: ConstStaticCell<[u8; content_bytes(400)]> = ConstStaticCell::new([0; content_bytes(400)]);
    static REPLY: ConstStaticCell<[u8; frame_bytes(400)]> = ConstStaticCell::new([0; frame_bytes(400)]);
    static ASKED: ConstStaticCell<[u8; frame_bytes(400)]> = ConstStaticCell::new([0; frame_bytes(400)]);
    static ANSWER: ConstStaticCell<[u8; content_bytes(400)]> = ConstStaticCell::new([0; content_bytes(400)]);
    let (Some(request), Some(reply), Some(asked), Some(answer)) =
        (REQUEST.try_take(), REPLY.try_take(), ASKED.try_take(), ANSWER.try_take())
    else {
        pg_embedded::console::end(false)
    };
    let mut server = Server::new(black_box(request), black_box(reply));
    let mut client = Client::new(black_box(1), black_box(Retry::DEFAULT), black_box(asked), black_box(answer));
    static PARAMETERS: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
    static WORKING: ConstStaticCell<[f32; 12_000]> = ConstStaticCell::new([0.0; 12_000]);
    static VALUES: ConstStaticCell<[u8; 4096]> = ConstStaticCell::new([0; 4096]);
    static ENTRIES: ConstStaticCell<heapless::Deque<Entry, 64>> = ConstStaticCell::new(heapless::Deque::new());
    static BEST: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
    static SAMPLE: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static OUTPUTS: ConstStaticCell<[f32; 10]> = ConstStaticCell::new([0.0; 10]);
    static PIECE: ConstStaticCell<[u8; 300]> = ConstStaticCell::new([0; 300]);
    let (Some(parameters), Some(working), Some(samples), Some(entries), Some(best)) =
        (PARAMETERS.try_take(), WORKING.try_take(), VALUES.try_take(), ENTRIES.try_take(), BEST.try_take())
    else {
        pg_embedded::console::end(false)
    };
    let (Some(sample), Some(outputs), Some(piece)) = (SAMPLE.try_take(), OUTPUTS.try_take(), PIECE.try_take()) else {
        pg_embedded::console::end(false)
    };
    let about = About {
        firmware: black_box("no panic"),
        model: black_box(&[]),
        options: black_box(Options::DEFAULT),
        plan: black_box(&[]),
        known: black_box(&[]),
        save_every: black_box(50),
    };
    let memory = Memory {
        parameters: black_box(parameters),
        working: black_box(working),
        samples: black_box(samples),
        entries: entries.as_mut_view(),
        best: black_box(best),
    };
    let lent = Lent { tuner: memory, sample: black_box(sample), outputs: black_box(outputs), piece: black_box(piece) };
    static CLASSIFIED: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
    static TAPE: ConstStaticCell<[f32; Net::TAPE]> = ConstStaticCell::new([0.0; Net::TAPE]);
    let (Some(classified), Some(tape)) = (CLASSIFIED.try_take(), TAPE.try_take()) else { pg_embedded::console::end(false) };
    let (mut scratch, mut sample_of, mut logits, mut part) = ([0.0; 64], [0; 64], [0.0; 10], [0; 64]);
    let (mut request_of, mut reply_of) = ([0; content_bytes(100)], [0; frame_bytes(100)]);
    let classifier = Classifier::<Net, Fpu, u8>::open(
        classifier::About { firmware: black_box("no panic"), model: black_box(&[]), plan: black_box(&[]), known: black_box(&[]) },
        classifier::Lent {
            parameters: black_box(classified),
            tape: black_box(tape),
            scratch: black_box(&mut scratch),
            sample: black_box(&mut sample_of),
            outputs: black_box(&mut logits),
            piece: black_box(&mut part),
        },
    );
    let Ok(mut classifier) = classifier else { pg_embedded::console::end(false) };
    let mut other = Server::new(black_box(&mut request_of), black_box(&mut reply_of));
    let layout = Layout { start: 0, slot_bytes: 32 << 10, sector_bytes: 1024, sectors: 4 };
    let learner = Learner::<Net, Fpu, u8, _, 8>::open(about, lent, unseen::Flash, black_box(layout));
    let Ok(mut learner) = learner else { pg_embedded::console::end(false) };
    let layout = Layout { start: 0, slot_bytes: 4096, sector_bytes: 1024, sectors: 4 };
    let store = Store::open(unseen::Flash, black_box(layout), black_box(7));
    let Ok(mut store) = store else { pg_embedded::console::end(false) };
    loop {
        black_box(server.receive(black_box(3), &mut learner));
        learner.advance();
        black_box(learner.known(black_box(1)));
        black_box((learner.is_tuning(), learner.parameters()));
        black_box((server.counts(), server.dropped()));
        black_box(client.ask(black_box(&Request::Hello), black_box(5))).ok();
        black_box(client.poll(black_box(6))).ok();
        black_box(client.receive(black_box(7))).ok();

        black_box(other.receive(black_box(7), &mut classifier));

        let mut bytes = [0; 64];
        black_box(store.read(black_box(3), black_box(&mut bytes))).ok();
        black_box(store.append(black_box(&[&bytes, &bytes]))).ok();
        black_box(store.next_sample(black_box(&mut Cursor::OLDEST.clone()), black_box(&mut bytes))).ok();
        store.forget_before(black_box(8));
        if let Ok(mut writer) = store.begin(black_box(1), black_box(100)) {
            black_box(writer.write(black_box(&bytes))).ok();
            black_box(writer.write_floats(black_box(&[1.0; 3]))).ok();
            black_box(writer.commit()).ok();
        }
        black_box(store.reset()).ok();
        black_box((store.state(), store.samples()));
    }
}

/// A flash of which the compiler knows nothing but its words.
#[cfg(target_os = "none")]
mod unseen {
    use core::hint::black_box;
    use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

    pub struct Flash;

    impl ErrorType for Flash {
        type Error = NorFlashErrorKind;
    }

    impl ReadNorFlash for Flash {
        const READ_SIZE: usize = 4;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            black_box((offset, bytes));
            black_box(Ok(()))
        }

        fn capacity(&self) -> usize {
            black_box(1 << 20)
        }
    }

    impl NorFlash for Flash {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = 1024;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
            black_box((from, to));
            black_box(Ok(()))
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            black_box((offset, bytes));
            black_box(Ok(()))
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
