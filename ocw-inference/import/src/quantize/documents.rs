//! The text that models are measured with: `calibration.txt`, written for this, of many kinds: prose, news, code, tables,
//! other languages, chat.

use assay_engine::calibration::Document;

/// Its pieces are separated by this line.
const SEPARATOR: &str = "\n====\n";
/// How a piece begins that is a question of one line and its answer.
const QUESTION: &str = "Q: ";

/// Returns its pieces.
pub(super) fn documents() -> Vec<Document<'static>> {
	let each = |piece: &'static str| match piece.strip_prefix(QUESTION).and_then(|piece| piece.split_once('\n')) {
		Some((question, text)) => Document {
			question: Some(question),
			text,
		},
		None => Document {
			question: None,
			text: piece,
		},
	};
	include_str!("../../calibration.txt")
		.split(SEPARATOR)
		.map(each)
		.collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_calibration_text_has_prose_code_and_chat() {
		let all = documents();
		let chats = all.iter().filter(|d| d.question.is_some()).count();
		assert!(
			all.len() >= 14 && (6..all.len() / 2 + 1).contains(&chats),
			"{} and {chats}",
			all.len()
		);
		assert!(all.iter().all(|d| !d.text.is_empty() && !d.text.contains("====")));
		assert!(all.iter().any(|d| d.text.contains("pub fn ")) && all.iter().any(|d| !d.text.is_ascii()));
		// Measured lengths and names depend on it: a change of it is a change of the quantizer's name.
		let bytes = blake3::hash(include_bytes!("../../calibration.txt"));
		assert_eq!(
			bytes.to_hex().as_str(),
			"ad2710a7d203f24c83950fbf32b94d52f4f3d743780cfe19383e35d81110ecdd"
		);
	}
}
