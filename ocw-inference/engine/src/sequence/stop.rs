//! Stop strings: where they cut a text off, and how much of it they can no longer cut off.

use assay_primitives::SamplingParams;

/// Returns where the earliest stop string in a text begins, of which the first `before` bytes have none.
pub(super) fn cut(text: &str, before: usize, params: &SamplingParams) -> Option<usize> {
	let first = |stop: &str| {
		let from = text.floor_char_boundary(before.saturating_sub(stop.len()));
		Some(from.saturating_add(text.get(from..)?.find(stop)?))
	};
	stops(params).filter_map(first).min()
}

/// Returns the beginning of a text without stop strings that stands however the text goes on: up to where one may have begun.
pub(super) fn settled<'t>(text: &'t str, params: &SamplingParams) -> &'t str {
	let begun = stops(params).filter_map(|stop| {
		let is_end = |n: &usize| stop.get(..*n).is_some_and(|beginning| text.ends_with(beginning));
		(1..stop.len()).rev().find(is_end)
	});
	let held = begun.max().unwrap_or(0);
	text.get(..text.len() - held).unwrap_or(text)
}

fn stops(params: &SamplingParams) -> impl Iterator<Item = &str> {
	params.stop.iter().filter_map(|stop| std::str::from_utf8(stop).ok())
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_model_folder::tokenizer::text;
	use proptest::prelude::*;

	fn with_stops(stops: &[String]) -> SamplingParams {
		let stop = stops.iter().map(|stop| stop.clone().into_bytes().try_into().unwrap());
		SamplingParams {
			stop: stop.collect::<Vec<_>>().try_into().unwrap(),
			..SamplingParams::greedy(1)
		}
	}

	fn settled_of<'t>(text: &'t str, stops: &[&str]) -> &'t str {
		settled(
			text,
			&with_stops(&stops.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()),
		)
	}

	#[test]
	fn the_longest_end_that_begins_a_stop_string_is_held_back() {
		for (whole, stops, shown) in [
			("a receipt", vec!["pt "], "a recei"),
			("a receip", vec!["pt "], "a recei"),
			("a recei", vec!["pt "], "a recei"),
			("aab", vec!["aabaac"], ""),
			("aabaa", vec!["aabaac"], ""),
			("aabaab", vec!["aabaac"], "aab"),
			("one", vec!["e two", "ne three"], "o"),
			("a €", vec!["€$"], "a "),
			("x", vec!["x"], "x"),
			("", vec!["x"], ""),
		] {
			assert_eq!(settled_of(whole, &stops), shown, "{whole:?} {stops:?}");
		}
	}

	proptest! {
		/// Over few letters, so that stop strings come, almost come and overlap; `É` and `€` have bytes in different tokens.
		#[test]
		fn what_is_shown_grows_to_the_text_and_never_has_a_part_of_a_stop(
			whole in "[abÉ€]{0,40}",
			stops in prop::collection::vec("[abÉ€]{1,6}", 0..=4),
			sizes in prop::collection::vec(1..5usize, 120),
		) {
			let params = with_stops(&stops);
			let (mut shown, mut end, mut done) = (String::new(), 0, String::new());
			for size in sizes {
				let before = done.len();
				end = (end + size).min(whole.len());
				done = text(&whole.as_bytes()[..end]);
				prop_assert_eq!(cut(&done, before, &params), cut(&done, 0, &params));
				if let Some(at) = cut(&done, before, &params) {
					done.truncate(at);
					break;
				}
				let now = settled(&done, &params);
				prop_assert!(now.starts_with(&shown), "{now:?} takes back a part of {shown:?}");
				shown = now.to_owned();
			}
			prop_assert!(done.starts_with(&shown), "{shown:?} has a part of a stop string: {done:?}");
			// Nothing is held back without need: what is, begins a stop string.
			let held = &done[shown.len()..];
			let needed = held.is_empty() || stops.iter().any(|stop| stop.starts_with(held));
			prop_assert!(needed || cut(&whole, 0, &params).is_some(), "{held:?}");
		}
	}
}
