//! Marks in text that grows: where one begins, or may begin at the end.

/// Returns where the first of some marks begins, or may begin at the end of a text; its length if nowhere.
pub(crate) fn first(text: &str, marks: &[&str]) -> usize {
	let begins = marks.iter().map(|mark| begin(text, mark));
	begins.min().unwrap_or(text.len())
}

fn begin(text: &str, mark: &str) -> usize {
	if let Some(at) = text.find(mark) {
		return at;
	}
	let beginnings = (1..mark.len()).rev().filter_map(|length| mark.get(..length));
	let cut = beginnings
		.into_iter()
		.find(|part| text.ends_with(part))
		.map_or(0, str::len);
	text.len().saturating_sub(cut)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_mark_is_found_whole_or_begun() {
		for (text, at) in [
			("", 0),
			("ab", 2),
			("a<x>b", 1),
			("a<x", 1),
			("a<", 1),
			("a<y", 3),
			("é｜", 2),
			("<｜y", 5),
		] {
			assert_eq!(first(text, &["<x>", "｜z"]), at, "{text}");
		}
	}
}
