//! Parameters in pieces: each piece is a request of its own, and a transfer goes on where it was when the line or the device comes back.
//!
//! The whole has a check sum. A push takes effect at its end, all or nothing; a pull that the parameters outrun begins anew.

use pg_core::link::{CRC, Refusal, Reply, Request};

use super::{Connection, DeviceError};

/// How often a transfer begins anew after the device has started again, or after its parameters have changed.
const BEGINNINGS: usize = 4;
/// Bytes of a piece's message beside the piece: variant, offset, length, each a varint.
const PIECE_OVERHEAD: u32 = 1 + 5 + 5;

/// A message that fits the buffers of a connection.
const LONGEST: u32 = 1 << 15;

/// The longest piece for messages of so many bytes; of whole numbers, at least one.
pub fn piece_bytes(largest_message: u32) -> u32 {
    (largest_message.min(LONGEST).saturating_sub(PIECE_OVERHEAD) / 4 * 4).max(4)
}

/// Pulls the parameters, in pieces of up to `piece` bytes; `progress` is told the bytes so far and all of them.
///
/// # Errors
/// [`DeviceError`].
pub fn pull(connection: &mut Connection, piece: u32, mut progress: impl FnMut(u32, u32)) -> Result<Vec<f32>, DeviceError> {
    for _ in 0..BEGINNINGS {
        match pull_once(connection, piece, &mut progress) {
            Err(error) if error.refusal() == Some(Refusal::Changed) => {}
            Err(error) if error.refusal() == Some(Refusal::NoSession) => greet(connection)?,
            other => return other,
        }
    }
    Err(DeviceError::Unsteady)
}

fn pull_once(connection: &mut Connection, piece: u32, progress: &mut impl FnMut(u32, u32)) -> Result<Vec<f32>, DeviceError> {
    let (generation, total, crc) = connection.ask(&Request::Parameters, |reply| match reply {
        Reply::Parameters { generation, bytes, crc } if bytes % 4 == 0 => Some((generation, bytes, crc)),
        _ => None,
    })?;
    let mut whole: Vec<u8> = Vec::new();
    progress(0, total);
    while (whole.len() as u32) < total {
        let offset = whole.len() as u32;
        let wanted = piece.min(total - offset);
        connection.ask(&Request::Pull { generation, offset, bytes: wanted }, |reply| match reply {
            Reply::Piece { offset: at, bytes } if at == offset && bytes.len() as u32 == wanted => {
                whole.extend(bytes);
                Some(())
            }
            _ => None,
        })?;
        progress(whole.len() as u32, total);
    }
    if CRC.checksum(&whole) != crc {
        return Err(DeviceError::Damaged);
    }
    Ok(whole.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

/// Pushes parameters for the network of this fingerprint, in pieces of up to `piece` bytes; they take effect at the end, at the step that is
/// returned. `progress` is told the bytes so far and all of them.
///
/// # Errors
/// [`DeviceError`]; the device then has the parameters that it had, unless the last reply was lost.
pub fn push(
    connection: &mut Connection,
    fingerprint: u64,
    parameters: &[f32],
    piece: u32,
    mut progress: impl FnMut(u32, u32),
) -> Result<u32, DeviceError> {
    let whole: Vec<u8> = parameters.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut last = None;
    for _ in 0..BEGINNINGS {
        match push_once(connection, fingerprint, &whole, piece, &mut progress) {
            Err(error) => match error.refusal() {
                Some(Refusal::NoSession) => {
                    greet(connection)?;
                    last = Some(error);
                }
                Some(Refusal::NothingPushed | Refusal::Offset { .. }) => last = Some(error),
                _ => return Err(error),
            },
            done => return done,
        }
    }
    Err(last.unwrap_or(DeviceError::Unexpected))
}

fn push_once(
    connection: &mut Connection,
    fingerprint: u64,
    whole: &[u8],
    piece: u32,
    progress: &mut impl FnMut(u32, u32),
) -> Result<u32, DeviceError> {
    let pushed = |reply: Reply<'_>| match reply {
        Reply::Pushed { bytes } => Some(bytes as usize),
        _ => None,
    };
    let total = whole.len() as u32;
    let mut at = connection.ask(&Request::BeginPush { fingerprint, bytes: total, crc: CRC.checksum(whole) }, pushed)?;
    while at < whole.len() {
        progress(at as u32, total);
        let bytes = &whole[at..][..(piece as usize).min(whole.len() - at)];
        let now = connection.ask(&Request::Push { offset: at as u32, bytes }, pushed)?;
        if now != at + bytes.len() {
            return Err(DeviceError::Unexpected);
        }
        at = now;
    }
    progress(total, total);
    connection.act(&Request::EndPush)
}

/// Opens the session again, of a device that has started anew.
fn greet(connection: &mut Connection) -> Result<(), DeviceError> {
    connection.ask(&Request::Hello, |reply| matches!(reply, Reply::Hello(_)).then_some(()))
}
