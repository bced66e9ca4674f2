//! The frame that docs/link.md shows byte for byte.

use pg_core::link::{Kind, Receiver, Request, Sample, encode};

/// The bytes in front of `|` in the document's block of frames.
fn documented() -> Vec<u8> {
    let text = include_str!("../../docs/link.md");
    let block = text.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let words = block.lines().flat_map(|line| line.split('|').next().unwrap_or_default().split_whitespace());
    words.map(|word| u8::from_str_radix(word, 16).expect("a byte")).collect()
}

#[test]
fn the_frame_of_the_document_is_what_is_sent_and_what_is_read() {
    let request = Request::Label { label: 3, sample: Sample::U8(&[16, 0, 7]) };
    let mut out = [0; 64];
    let length = encode(Kind::Request, 0x0000_c0de, 2, Some(&request), &mut out).unwrap();
    let text: Vec<String> = out[..length].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(out[..length], documented(), "{}", text.join(" "));

    let mut content = [0; 64];
    let mut receiver = Receiver::new(&mut content);
    let mut read = None;
    for byte in documented() {
        if let Some(frame) = receiver.push(byte) {
            read = Some((frame.version, frame.session, frame.sequence, postcard::from_bytes(frame.message) == Ok(request)));
        }
    }
    assert_eq!(read, Some((1, 0xc0de, 2, true)));
}
