//! Whatever an answer is, if it ended by itself it fits its schema; an independent validator says so.

use super::{
	grammar, model_with,
	schemas::{whole, Dice},
	walk, with_schema,
};
use serde_json::Value;

/// How many schemas are tried: many, if the environment says so.
fn count() -> u64 {
	let asked = std::env::var("ASSAY_GRAMMAR_SCHEMAS").ok();
	asked.map_or(250, |count| count.parse().unwrap())
}

/// Returns how many digits in a row a text has at most.
fn longest_number(text: &str) -> usize {
	let runs = text.split(|c: char| !c.is_ascii_digit());
	runs.map(str::len).max().unwrap_or(0)
}

#[test]
fn answers_that_end_fit_their_random_schemas() {
	let model = model_with("");
	let (mut refused, mut cut, mut ended, mut huge) = (0u64, 0u64, 0u64, 0u64);
	for seed in 0..count() {
		let schema = whole(&mut Dice::new(seed));
		let Ok(Some(mut grammar)) = grammar(&model, &with_schema(&schema)) else {
			refused += 1;
			continue;
		};
		let validator = |formats| {
			let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
			options.should_validate_formats(formats).build(&schema).unwrap()
		};
		let (strict, lax) = (validator(true), validator(false));
		for way in 0..2 {
			grammar.restart();
			let walk = walk(&model, &mut grammar, seed * 2 + way, 600);
			if !walk.ended {
				cut += 1;
				continue;
			}
			let text = std::str::from_utf8(&walk.text).unwrap();
			match serde_json::from_str::<Value>(text) {
				// JSON has no longest number, and the validator has: it cannot tell what such a one is a multiple of.
				Ok(_) if longest_number(text) > 15 => huge += 1,
				// A leap second may be in any minute here, and in two of a year there.
				Ok(answer) if text.contains(":60") => assert!(lax.is_valid(&answer), "{seed}: {text}: {schema}"),
				Ok(answer) => assert!(strict.is_valid(&answer), "{seed}: {text} does not fit {schema}"),
				Err(e) if e.to_string().contains("number out of range") => huge += 1,
				Err(e) => panic!("{seed}: {text} is not JSON: {e}"),
			}
			ended += 1;
		}
	}
	println!("{ended} answers ended and fit, {huge} of them with numbers too long to check; {cut} were cut off, {refused} schemas refused");
	assert!(ended > count() && huge < ended / 8, "{ended} of {}", 2 * count());
}

#[test]
fn masks_and_their_cost_are_the_same_each_time() {
	let model = model_with("");
	for seed in 0..40 {
		let chat = with_schema(&whole(&mut Dice::new(seed)));
		let Ok(Some(mut first)) = grammar(&model, &chat) else {
			continue;
		};
		// Another has hash tables of other keys; and one that begins anew is like a new one.
		let mut second = grammar(&model, &chat).unwrap().unwrap();
		let one = walk(&model, &mut first, seed, 200);
		let two = walk(&model, &mut second, seed, 200);
		assert!(one.masks == two.masks && one.tokens == two.tokens);
		assert_eq!(first.fuel, second.fuel);
		first.restart();
		let again = walk(&model, &mut first, seed, 200);
		assert!(one.masks == again.masks && first.fuel == second.fuel);
	}
}
