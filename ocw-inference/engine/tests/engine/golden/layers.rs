//! The rows of a few tokens: what each layer gets and gives.

use super::{
	compare,
	models::{families, family_seed},
};
use crate::{
	common::{folder, folder_of, load, Tiny},
	rows::alone,
};
use serde_json::{json, Map, Value};

#[test]
fn layers_give_the_golden_rows() {
	let tokens = [72, 105, 256];
	let mut folders = vec![("tiny-llama", folder(Tiny::default()))];
	folders.extend(
		families()
			.iter()
			.map(|(name, config)| (*name, folder_of(family_seed(), config))),
	);
	let mut cases = Map::new();
	for (name, dir) in folders {
		let model = load(dir.path());
		let rows: Vec<String> = alone(&model, &tokens, tokens.len())
			.into_iter()
			.map(|row| hex::encode(row.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>()))
			.collect();
		cases.insert(name.into(), json!({ "tokens": tokens, "rows": rows }));
	}
	compare("layers", &Value::Object(cases));
}
