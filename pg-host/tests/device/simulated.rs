//! A device in this process, reached over TCP: what firmware serves, with memory and a flash of this process. It tunes between bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use heapless::Deque;
use pg_core::learner::{About, Learner, Lent};
use pg_core::link::{Device, Options, Reply, Request, Server, content_bytes, frame_bytes};
use pg_core::store::Layout;
use pg_core::tuner::{Entry, Memory, Settings};
use pg_core::zoo::Mlp64x32x10 as Net;
use pg_core::{Network, Widest};

const ROOM: usize = 50;
const MESSAGE: usize = 300;
const BATCH: usize = 8;
const PAGE: usize = 4096;
const LAYOUT: Layout = Layout { start: 0, slot_bytes: 8 * PAGE as u32, sector_bytes: PAGE as u32, sectors: 4 };

/// The device.
pub type Simulated = Learner<'static, Net, Widest, u8, Flash, BATCH>;

/// A flash that ends with this process.
pub struct Flash(Vec<u8>);

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.0[from as usize..to as usize].fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// A device with this model in its firmware.
pub fn flashed(model: Vec<u8>) -> Simulated {
    fn leak<T: Clone + Default>(count: usize) -> &'static mut [T] {
        vec![T::default(); count].leak()
    }
    let about = About {
        firmware: "simulated 1",
        model: model.leak(),
        options: Options { population: 2, ..Options::DEFAULT },
        plan: &[("parameters", 4 * Net::PARAMS), ("samples", 64 * ROOM)],
        // Those of the firmware's program `serve`.
        known: &[0x72e0_c705, 0x5d57_4332],
        save_every: 50,
    };
    let tuner = Memory {
        parameters: leak(Net::PARAMS),
        working: leak(Settings::DEFAULT.needs().sizes::<Net, Widest, BATCH>().sum()),
        samples: leak(64 * ROOM),
        entries: Box::leak(Box::new(Deque::<Entry, ROOM>::new())).as_mut_view(),
        best: leak(Net::PARAMS),
    };
    let lent = Lent { tuner, sample: leak(64), outputs: leak(10), piece: leak(MESSAGE) };
    Learner::open(about, lent, Flash(vec![0xff; LAYOUT.bytes() as usize]), LAYOUT).unwrap()
}

/// Samples that a device holds.
pub fn samples(device: &Mutex<Simulated>) -> u32 {
    match device.lock().unwrap().answer(&Request::Status) {
        Ok(Reply::Status(status)) => status.samples,
        other => panic!("{other:?}"),
    }
}

/// Listens on a port of this machine, and hangs up after so many bytes; returns what `--port` takes, and the device.
pub fn listen(device: Simulated, hang_up_after: usize) -> (String, Arc<Mutex<Simulated>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", listener.local_addr().unwrap());
    let device = Arc::new(Mutex::new(device));
    let shared = Arc::clone(&device);
    std::thread::spawn(move || {
        let (mut request, mut reply) = (vec![0; content_bytes(MESSAGE)], vec![0; frame_bytes(MESSAGE)]);
        let mut server = Server::new(&mut request, &mut reply);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let mut received = 0;
            let mut bytes = [0; 64];
            while received < hang_up_after {
                let count = match stream.read(&mut bytes) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(reason) if matches!(reason.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                    Err(_) => break,
                };
                received += count;
                let mut device = shared.lock().unwrap();
                for &byte in &bytes[..count] {
                    let _ = stream.write_all(server.receive(byte, &mut *device));
                }
                device.advance();
            }
        }
    });
    (port, device)
}
