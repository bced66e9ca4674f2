//! What carries bytes to a device: a serial port, or a TCP connection to one (an emulator's, or a server of serial ports).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A line that can break and be opened again, and a clock.
pub trait Line {
    /// Sends all of the bytes.
    ///
    /// # Errors
    /// When the line is broken.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits for bytes, at most as long as this, and returns how many came: 0 when none did.
    ///
    /// # Errors
    /// When the line is broken.
    fn receive(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Opens the line again; what was under way is lost.
    ///
    /// # Errors
    /// When there is nothing to open yet.
    fn open_again(&mut self) -> io::Result<()>;

    /// Milliseconds since any moment.
    fn now_ms(&mut self) -> u64;

    /// Lets time pass.
    fn pause(&mut self, time: Duration);
}

/// The line that a text names: `tcp:HOST:PORT`, or a serial port such as `/dev/ttyACM0` or `COM3` with its rate in bits a second.
///
/// # Errors
/// When it cannot be opened, in a sentence.
pub fn open(port: &str, baud: u32) -> anyhow::Result<Box<dyn Line>> {
    match port.strip_prefix("tcp:") {
        Some(address) => {
            let advice = "start what listens there, or check the address (tcp:HOST:PORT)";
            let tcp = Tcp::connect(address).map_err(|reason| anyhow::anyhow!("{port} cannot be reached: {reason}; {advice}"))?;
            Ok(Box::new(tcp))
        }
        None => {
            let advice = "check that the board is plugged in and that you may use the port; an emulator's is tcp:HOST:PORT";
            let serial = Serial::open(port, baud).map_err(|reason| anyhow::anyhow!("{port} cannot be opened: {reason}; {advice}"))?;
            Ok(Box::new(serial))
        }
    }
}

/// A TCP connection.
pub struct Tcp {
    stream: TcpStream,
    address: String,
    start: Instant,
}

/// How long to wait for an address to answer.
const CONNECT: Duration = Duration::from_secs(3);

impl Tcp {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// When there is nothing, or no such address.
    pub fn connect(address: &str) -> io::Result<Self> {
        Ok(Self { stream: Self::stream(address)?, address: address.into(), start: Instant::now() })
    }

    fn stream(address: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::new(ErrorKind::InvalidInput, "there is no such address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    // A request waits for its reply; nothing is gained by collecting more.
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(CONNECT))?;
                    return Ok(stream);
                }
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }
}

impl Line for Tcp {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn receive(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match self.stream.read(bytes) {
            Ok(0) => Err(io::Error::new(ErrorKind::ConnectionAborted, "the other end has closed the connection")),
            other => nothing_yet(other),
        }
    }

    fn open_again(&mut self) -> io::Result<()> {
        self.stream = Self::stream(&self.address)?;
        Ok(())
    }

    fn now_ms(&mut self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A serial port: eight bits, no parity, one stop bit, no flow control.
pub struct Serial {
    port: Box<dyn serialport::SerialPort>,
    name: String,
    baud: u32,
    start: Instant,
}

impl Serial {
    /// Opens a port.
    ///
    /// # Errors
    /// When there is no such port, it is in use, or this user may not.
    pub fn open(name: &str, baud: u32) -> io::Result<Self> {
        Ok(Self { port: Self::port(name, baud)?, name: name.into(), baud, start: Instant::now() })
    }

    fn port(name: &str, baud: u32) -> io::Result<Box<dyn serialport::SerialPort>> {
        Ok(serialport::new(name, baud).timeout(Duration::from_millis(100)).open()?)
    }
}

impl Line for Serial {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port.set_timeout(CONNECT)?;
        self.port.write_all(bytes)
    }

    fn receive(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.port.set_timeout(wait.max(Duration::from_millis(1)))?;
        nothing_yet(self.port.read(bytes))
    }

    fn open_again(&mut self) -> io::Result<()> {
        self.port = Self::port(&self.name, self.baud)?;
        Ok(())
    }

    fn now_ms(&mut self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A wait that ended without bytes is no error.
fn nothing_yet(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(reason) if matches!(reason.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}
