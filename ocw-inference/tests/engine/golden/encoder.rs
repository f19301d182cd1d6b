//! Vectors of a tiny encoder whose weights anyone can make.

use super::{bits, compare, models::identity, Cases};
use crate::{common::Tiny, encoder::tiny};
use ocw_inference::{canonical::Tier, Model};
use serde_json::json;

#[test]
fn a_tiny_encoder_gives_the_golden_vectors() {
	let (_source, dir) = tiny();
	// The seed of its weights.
	let made = Tiny {
		seed: 3,
		..Tiny::default()
	};
	for tier in Tier::available() {
		let model = Model::load(dir.path()).unwrap().with_tier(tier);
		let mut vectors = Cases::new();
		for length in [1, 2, 31, 33, 80] {
			let tokens: Vec<u32> = (0..length).map(|i| (i * 7 + length) % 40).collect();
			let vector = model.encoder().unwrap().embed(std::slice::from_ref(&tokens)).unwrap();
			vectors.insert(
				format!("{length} tokens"),
				json!({ "tokens": tokens, "vector": bits(&vector[0]) }),
			);
		}
		let found = json!({ "model": identity(dir.path(), &model, &made), "vectors": vectors });
		compare("tiny-bert", &found);
	}
}
