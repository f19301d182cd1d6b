//! Random schemas over the keywords that answers are held to.

use serde_json::{json, Map, Value};

/// A source of small numbers.
pub(super) struct Dice(u64);

impl Dice {
	pub(super) fn new(seed: u64) -> Self {
		Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
	}

	/// Returns a number below `sides`.
	pub(super) fn roll(&mut self, sides: u64) -> u64 {
		self.0 ^= self.0 << 13;
		self.0 ^= self.0 >> 7;
		self.0 ^= self.0 << 17;
		(self.0 >> 16) % sides
	}

	fn one_in(&mut self, sides: u64) -> bool {
		self.roll(sides) == 0
	}

	fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
		&list[self.roll(list.len() as u64) as usize]
	}
}

const NAMES: [&str; 8] = ["a", "b", "name", "né", "x y", "q\"t", "back\\slash", ""];

/// Returns a schema with definitions that it may refer to.
pub(super) fn whole(dice: &mut Dice) -> Value {
	let mut schema = match one(dice, 3) {
		Value::Object(map) => map,
		_ => Map::new(),
	};
	schema.insert("$defs".into(), json!({ "one": one(dice, 1), "two": one(dice, 2) }));
	Value::Object(schema)
}

fn one(dice: &mut Dice, depth: u64) -> Value {
	let mut schema = match dice.roll(if depth == 0 { 6 } else { 13 }) {
		0 => json!({ "type": "boolean" }),
		1 => json!({ "type": "null" }),
		2 => integer(dice),
		3 => number(dice),
		4 => string(dice),
		5 => constant(dice, depth),
		6 | 7 => array(dice, depth - 1),
		8..=10 => object(dice, depth - 1),
		11 => several(dice, depth - 1),
		_ => json!({ "$ref": format!("#/$defs/{}", dice.pick(&["one", "two"])) }),
	};
	if dice.one_in(8) {
		schema["description"] = json!("says nothing about what is valid");
	}
	schema
}

fn integer(dice: &mut Dice) -> Value {
	let mut schema = json!({ "type": "integer" });
	let least = dice.roll(2_000) as i64 - 1_000;
	for (key, value) in [
		("minimum", least),
		("exclusiveMinimum", least),
		("maximum", least + dice.roll(500) as i64),
		("exclusiveMaximum", least + 2 + dice.roll(500) as i64),
		("multipleOf", 1 + dice.roll(9) as i64),
	] {
		if dice.one_in(4) {
			schema[key] = json!(value);
		}
	}
	schema
}

fn number(dice: &mut Dice) -> Value {
	let mut schema = json!({ "type": "number" });
	let least = dice.roll(2_000) as f64 / 8.0 - 100.0;
	for (key, value) in [
		("minimum", least),
		("exclusiveMinimum", least),
		("maximum", least + dice.roll(500) as f64 / 4.0),
		("exclusiveMaximum", least + 0.5 + dice.roll(500) as f64 / 4.0),
	] {
		if dice.one_in(3) {
			schema[key] = json!(value);
		}
	}
	schema
}

fn string(dice: &mut Dice) -> Value {
	let mut schema = json!({ "type": "string" });
	if dice.one_in(3) {
		schema["minLength"] = json!(dice.roll(6));
	}
	if dice.one_in(3) {
		schema["maxLength"] = json!(3 + dice.roll(12));
	}
	if dice.one_in(4) {
		let patterns = [
			"^[a-z]{1,4}$",
			"[0-9]",
			"^(foo|bar)+$",
			"^\\d{3}-\\w+$",
			"^a.c",
			"[^a-z]",
		];
		schema["pattern"] = json!(dice.pick(&patterns));
	} else if dice.one_in(5) {
		let formats = [
			"date-time",
			"time",
			"date",
			"duration",
			"ipv4",
			"ipv6",
			"uuid",
			"email",
			"hostname",
			"uri",
		];
		schema["format"] = json!(dice.pick(&formats));
	}
	schema
}

fn value(dice: &mut Dice, depth: u64) -> Value {
	match dice.roll(if depth == 0 { 5 } else { 7 }) {
		0 => Value::Null,
		1 => json!(dice.one_in(2)),
		2 => json!(dice.roll(100_000) as i64 - 50_000),
		3 => json!(dice.roll(1_000) as f64 / 16.0),
		4 => json!(dice.pick(&["", "red", "a \"b\" \\ /", "é\n\t", "😀"])),
		5 => json!([value(dice, depth - 1), value(dice, depth - 1)]),
		_ => json!({ *dice.pick(&NAMES): value(dice, depth - 1) }),
	}
}

fn constant(dice: &mut Dice, depth: u64) -> Value {
	if dice.one_in(2) {
		json!({ "const": value(dice, depth) })
	} else {
		let values: Vec<Value> = (0..1 + dice.roll(4)).map(|_| value(dice, depth)).collect();
		json!({ "enum": values })
	}
}

fn array(dice: &mut Dice, depth: u64) -> Value {
	let mut schema = json!({ "type": "array" });
	if dice.one_in(2) {
		schema["items"] = one(dice, depth);
	}
	if dice.one_in(4) {
		let prefix: Vec<Value> = (0..1 + dice.roll(3)).map(|_| one(dice, depth)).collect();
		schema["prefixItems"] = json!(prefix);
	}
	if dice.one_in(3) {
		schema["minItems"] = json!(dice.roll(4));
	}
	if dice.one_in(2) {
		schema["maxItems"] = json!(1 + dice.roll(5));
	}
	schema
}

fn object(dice: &mut Dice, depth: u64) -> Value {
	let mut schema = json!({ "type": "object" });
	let mut properties = Map::new();
	for _ in 0..dice.roll(5) {
		properties.insert((*dice.pick(&NAMES)).into(), one(dice, depth));
	}
	let required: Vec<&String> = properties.keys().filter(|_| dice.one_in(2)).collect();
	if dice.one_in(2) {
		schema["required"] = json!(required);
	}
	schema["properties"] = Value::Object(properties);
	match dice.roll(4) {
		0 | 1 => schema["additionalProperties"] = json!(false),
		2 => schema["additionalProperties"] = one(dice, depth),
		_ => {}
	}
	if dice.one_in(6) {
		schema["patternProperties"] = json!({ "^n": one(dice, depth) });
	}
	if dice.one_in(8) {
		schema["maxProperties"] = json!(4 + dice.roll(3));
	}
	schema
}

fn several(dice: &mut Dice, depth: u64) -> Value {
	match dice.roll(4) {
		0 => json!({ "oneOf": [integer(dice), string(dice), { "type": "null" }] }),
		1 => json!({ "allOf": [object(dice, depth), object(dice, depth)] }),
		2 => json!({ "type": ["string", "integer", "null"], "maxLength": 4, "minimum": 7 }),
		_ => json!({ "anyOf": [one(dice, depth), one(dice, depth)] }),
	}
}
