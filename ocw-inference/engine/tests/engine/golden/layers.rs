//! The rows of a few tokens: what each layer gets and gives.

use super::{
	compare,
	models::{families, FAMILY_SEED},
	recipe::Recipe,
};
use crate::{common::load, rows::alone};
use serde_json::{json, Map, Value};

#[test]
fn layers_give_the_golden_rows() {
	let tokens = [72, 105, 256];
	let mut recipes = vec![("tiny-llama", Recipe::tiny(1))];
	recipes.extend(
		families()
			.into_iter()
			.map(|(name, config)| (name, Recipe::of(FAMILY_SEED, config))),
	);
	let mut cases = Map::new();
	for (name, recipe) in recipes {
		let dir = recipe.make();
		let model = load(dir.path());
		let rows: Vec<String> = alone(&model, &tokens, tokens.len())
			.into_iter()
			.map(|row| hex::encode(row.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>()))
			.collect();
		cases.insert(name.into(), json!({ "tokens": tokens, "rows": rows }));
	}
	compare("layers", &Value::Object(cases));
}
