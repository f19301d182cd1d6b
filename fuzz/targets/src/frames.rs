//! What comes over the engine's socket, in both directions.

use assay_protocol::{decode, framing, Request, Response, MAX_FRAME_BYTES};
use codec::{Decode, Encode};
use tokio_util::{
	bytes::BytesMut,
	codec::{Decoder, Encoder},
};

/// A stream of bytes as frames, and each frame as a message of either side; the whole input as one frame, too.
pub fn frames(data: &[u8]) {
	messages(data);
	let (mut framing, mut stream) = (framing(), BytesMut::from(data));
	// An end, a broken frame, or a frame that isn't complete.
	while let Ok(Some(frame)) = framing.decode(&mut stream) {
		assert!(frame.len() <= MAX_FRAME_BYTES);
		messages(&frame);
	}
}

fn messages(frame: &[u8]) {
	message::<Request>(frame);
	message::<Response>(frame);
}

fn message<T: Decode + Encode + PartialEq + std::fmt::Debug>(frame: &[u8]) {
	let Ok(message) = decode::<T>(frame) else { return };
	let bytes = message.encode();
	// SCALE has one way to write a value, but for integers in compact form and maps, of which there are none here.
	assert_eq!(bytes, frame, "{message:?} is written in another way");
	if bytes.len() <= MAX_FRAME_BYTES {
		let mut stream = BytesMut::new();
		framing()
			.encode(&bytes[..], &mut stream)
			.expect("what is read can be sent");
		let sent = framing()
			.decode(&mut stream)
			.expect("what is sent is a frame")
			.expect("whole");
		assert_eq!(decode::<T>(&sent).expect("and a message"), message);
	}
}
