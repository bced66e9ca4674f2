//! Proves that no panic can be reached in the link's server and in the store: with the feature `no-panic` it links only if so.
//!
//! It is not meant to be run. What it works on comes from where the compiler cannot see, so that nothing is left out.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    use core::hint::black_box;
    use pg_core::link::{Client, Device, Refusal, Reply, Request, Retry, Server, content_bytes, frame_bytes};
    use pg_core::store::{Cursor, Layout, Store};
    use static_cell::ConstStaticCell;

    /// Looks at all of a request.
    struct Reader([f32; 4]);
    impl Device for Reader {
        fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
            match black_box(request) {
                Request::Infer { sample } | Request::Label { sample, .. } => {
                    sample.check(black_box(4))?;
                    self.0.iter_mut().zip(sample.values()).for_each(|(to, value)| *to = value);
                    Ok(Reply::Inferred { class: 0, logits: pg_core::floats::Floats::new(black_box(&self.0)) })
                }
                _ => black_box(Err(Refusal::Unsupported)),
            }
        }
    }

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
    let mut reader = Reader([0.0; 4]);
    let layout = Layout { start: 0, slot_bytes: 4096, sector_bytes: 1024, sectors: 4 };
    let store = Store::open(unseen::Flash, black_box(layout), black_box(7));
    let Ok(mut store) = store else { pg_embedded::console::end(false) };
    loop {
        black_box(server.receive(black_box(3), &mut reader));
        black_box((server.counts(), server.dropped()));
        black_box(client.ask(black_box(&Request::Hello), black_box(5))).ok();
        black_box(client.poll(black_box(6))).ok();
        black_box(client.receive(black_box(7))).ok();

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
