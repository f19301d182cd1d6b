//! Bytes of tokens to text.

/// Returns the text of bytes: ill-formed sequences become U+FFFD (one each maximal subpart, Unicode §3.9), and a
/// sequence that is only unfinished at the end is left out.
pub fn text(bytes: &[u8]) -> String {
	let mut text = String::new();
	TextDecoder::default().push(bytes, &mut text);
	text
}

/// Makes [`text()`] of bytes that come piece by piece. No byte is read twice, but for those of a begun character.
#[derive(Clone, Debug, Default)]
pub struct TextDecoder {
	/// The bytes of a character that is unfinished.
	unfinished: Vec<u8>,
	/// Whether a space is left out, should it come first.
	skips_space: bool,
}

impl TextDecoder {
	/// Makes a decoder that leaves out a space at the beginning.
	pub(super) fn without_first_space() -> Self {
		Self {
			skips_space: true,
			..Self::default()
		}
	}

	/// Adds to a text what these bytes make certain of it.
	pub fn push(&mut self, mut bytes: &[u8], text: &mut String) {
		if self.skips_space && !bytes.is_empty() {
			self.skips_space = false;
			bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
		}
		let mut all = std::mem::take(&mut self.unfinished);
		all.extend_from_slice(bytes);
		let mut chunks = all.utf8_chunks().peekable();
		while let Some(chunk) = chunks.next() {
			text.push_str(chunk.valid());
			let invalid = chunk.invalid();
			let unfinished = || std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
			if chunks.peek().is_none() && unfinished() {
				self.unfinished = invalid.to_vec();
			} else if !invalid.is_empty() {
				text.push(char::REPLACEMENT_CHARACTER);
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn text_leaves_out_an_unfinished_end_and_marks_what_is_ill_formed() {
		assert_eq!(text("plain".as_bytes()), "plain");
		assert_eq!(text(b"a\xF0\x9F\x98"), "a");
		assert_eq!(text(b"a\xC3"), "a");
		assert_eq!(text(b"a\xFF"), "a\u{FFFD}");
		assert_eq!(text(b"a\xC3b"), "a\u{FFFD}b");
		assert_eq!(text("😀é".as_bytes()), "😀é");
		assert_eq!(text(b""), "");
	}

	proptest! {
		/// Over bytes that begin, continue and break characters; the standard library's own replacement is the measure.
		#[test]
		fn pieces_of_bytes_make_the_text_of_the_whole(
			pieces in prop::collection::vec(
				prop::collection::vec(prop::sample::select(&b" a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xFF\xED\xA0"[..]), 0..4),
				0..20,
			),
			skips in any::<bool>(),
		) {
			let mut decoder = if skips { TextDecoder::without_first_space() } else { TextDecoder::default() };
			let (mut made, whole) = (String::new(), pieces.concat());
			for piece in &pieces {
				let before = made.clone();
				decoder.push(piece, &mut made);
				prop_assert!(made.starts_with(&before));
			}
			let kept = match whole.strip_prefix(b" ") {
				Some(rest) if skips => rest,
				_ => &whole[..],
			};
			prop_assert_eq!(&made, &text(kept));
			if !decoder.unfinished.is_empty() {
				made.push(char::REPLACEMENT_CHARACTER);
			}
			prop_assert_eq!(made, String::from_utf8_lossy(kept));
		}
	}
}
