//! The rotary positions of a `config.json`: `rope_parameters` in files of today, `rope_theta` and `rope_scaling` before.

use super::{
	fields::{refused, Fields},
	RopeScaling, F32,
};
use crate::{Error, Result};
use assay_numerics::rope::yarn_attention_factor;
use serde_json::{json, Map, Value};

/// What transformers calls layers of one kind: `full_attention` or `sliding_attention`.
pub(super) type LayerType = &'static str;

const LAYER_TYPES: [LayerType; 2] = ["full_attention", "sliding_attention"];

/// Parameters of every kind of rotary positions.
const EVERY: [&str; 4] = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
/// Further parameters of each kind that c2 has.
const KINDS: [(&str, &[&str]); 4] = [
	("default", &[]),
	("linear", &["factor"]),
	(
		"llama3",
		&[
			"factor",
			"low_freq_factor",
			"high_freq_factor",
			"original_max_position_embeddings",
		],
	),
	(
		"yarn",
		&[
			"factor",
			"original_max_position_embeddings",
			"attention_factor",
			"beta_fast",
			"beta_slow",
			"mscale",
			"mscale_all_dim",
			"truncate",
		],
	),
];

/// Returns base and scaling of the rotary frequencies. `layer_type` is that of all layers, where the model has types.
pub(super) fn read(fields: &Fields<'_>, context: u32, layer_type: Option<LayerType>) -> Result<(F32, RopeScaling)> {
	let (key, rope) = match (fields.get("rope_parameters"), fields.get("rope_scaling")) {
		(Some(rope), None) => ("rope_parameters", rope),
		(None, Some(rope)) => ("rope_scaling", rope),
		(None, None) => return Ok((fields.float_or("rope_theta", 10_000.0)?, RopeScaling::None)),
		(Some(new), Some(old)) if new == old => ("rope_parameters", new),
		_ => {
			return Err(Error::Config(
				"`rope_parameters` and `rope_scaling` differ; keep the one that the model was trained with".into(),
			))
		}
	};
	let (key, map) = of_layers(key, rope, layer_type)?;
	let rope = Fields::new(map);
	rope.only("partial_rotary_factor", json!(1.0))?;
	let kind = kind(&key, &rope)?;
	known_parameters(&key, kind, map)?;
	let theta = either(&key, "rope_theta", fields, &rope)?.unwrap_or(10_000.0);
	let scaling = match kind {
		"linear" => RopeScaling::Linear {
			factor: single(need(&key, kind, &rope, "factor")?),
		},
		"llama3" => RopeScaling::Llama3 {
			factor: single(need(&key, kind, &rope, "factor")?),
			low_freq_factor: single(need(&key, kind, &rope, "low_freq_factor")?),
			high_freq_factor: single(need(&key, kind, &rope, "high_freq_factor")?),
			original_max_position_embeddings: original(&key, fields, &rope, context)?,
		},
		"yarn" => yarn(&rope, original(&key, fields, &rope, context)?, context)?,
		_ => RopeScaling::None,
	};
	Ok((single(theta), scaling))
}

/// Returns the parameters of all layers and where they stand: transformers nests them by type in a model that has types
/// of layers, and in no other.
fn of_layers<'a>(
	key: &str,
	rope: &'a Value,
	layer_type: Option<LayerType>,
) -> Result<(String, &'a Map<String, Value>)> {
	let object = |value: &'a Value| value.as_object().ok_or_else(|| refused(key, value, "an object"));
	let map = object(rope)?;
	if !map.values().any(Value::is_object) {
		return Ok((key.into(), map));
	}
	if let Some(other) = map.keys().find(|name| !LAYER_TYPES.contains(&name.as_str())) {
		return Err(Error::Config(format!(
			"`{key}.{other}` stands beside parameters of types of layers, where only {} are read; move or remove it",
			LAYER_TYPES.join(" and ")
		)));
	}
	let nested = layer_type.and_then(|name| Some((name, map.get(name)?)));
	match nested {
		Some((name, own)) => Ok((format!("{key}.{name}"), object(own)?)),
		None => Err(Error::Config(format!(
			"`{key}` has parameters by types of layers, and none for {}. Write them without that level, or name the \
			 type of every layer in `layer_types`",
			layer_type.unwrap_or("this model, whose layers have no types")
		))),
	}
}

fn kind(key: &str, rope: &Fields<'_>) -> Result<&'static str> {
	let name = match (rope.get("rope_type"), rope.get("type")) {
		(Some(new), Some(old)) if new != old => {
			return Err(Error::Config(format!(
				"`{key}`: `rope_type` is {new} and `type`, its old name, is {old}; keep one of them"
			)))
		}
		(Some(_), _) => rope.text("rope_type")?,
		(None, Some(_)) => rope.text("type")?,
		(None, None) if key != "rope_scaling" => "default",
		(None, None) => {
			return Err(Error::Config(
				"`rope_scaling` has no `rope_type`; add the one that the model was trained with".into(),
			))
		}
	};
	let known = KINDS.iter().find(|(kind, _)| *kind == name);
	known.map(|(kind, _)| *kind).ok_or_else(|| {
		Error::Config(format!(
			"`{key}`: rotary positions scaled by \"{name}\" are not part of c2 ({} are); take another model",
			KINDS.map(|(kind, _)| kind).join(", ")
		))
	})
}

/// Refuses a parameter that this kind of rotary positions does not have: it may be misspelt.
fn known_parameters(key: &str, kind: &str, map: &Map<String, Value>) -> Result<()> {
	let own = KINDS.iter().filter(|(name, _)| *name == kind).flat_map(|(_, own)| *own);
	let known: Vec<&str> = EVERY.iter().chain(own).copied().collect();
	match map
		.iter()
		.find(|(name, value)| !value.is_null() && !known.contains(&name.as_str()))
	{
		None => Ok(()),
		Some((name, _)) => Err(Error::Config(format!(
			"`{key}.{name}` is not a parameter of \"{kind}\", which has {}; correct or remove it",
			known.join(", ")
		))),
	}
}

fn need(key: &str, kind: &str, rope: &Fields<'_>, name: &str) -> Result<f64> {
	let missing = || {
		Error::Config(format!(
			"`{key}`: {kind} needs `{name}`; add it as the model was trained"
		))
	};
	rope.float(name)?.ok_or_else(missing)
}

/// Returns a number that stands inside or outside of `key`. If it stands in both with two values, versions of
/// transformers differ in which they take.
fn either(key: &str, name: &str, outer: &Fields<'_>, inner: &Fields<'_>) -> Result<Option<f64>> {
	match (inner.float(name)?, outer.float(name)?) {
		(Some(inner), Some(outer)) if inner != outer => Err(Error::Config(format!(
			"`{key}.{name}` is {inner} and `{name}` is {outer}, of which versions of transformers take different ones; \
			 keep the one that the model was trained with"
		))),
		(inner, outer) => Ok(inner.or(outer)),
	}
}

fn original(key: &str, fields: &Fields<'_>, rope: &Fields<'_>, context: u32) -> Result<u32> {
	const NAME: &str = "original_max_position_embeddings";
	either(key, NAME, fields, rope)?;
	rope.number_or(NAME, fields.number_or(NAME, context)?)
}

fn yarn(rope: &Fields<'_>, original: u32, context: u32) -> Result<RopeScaling> {
	let factor = match rope.float("factor")? {
		Some(factor) => factor,
		None => f64::from(context) / f64::from(original.max(1)),
	};
	let positive = |name: &str| Ok::<_, Error>(rope.float(name)?.filter(|v| *v != 0.0));
	let attention_factor = match rope.float("attention_factor")? {
		Some(given) => given,
		None => yarn_attention_factor(factor, positive("mscale")?.zip(positive("mscale_all_dim")?)),
	};
	Ok(RopeScaling::Yarn {
		factor: single(factor),
		original_max_position_embeddings: original,
		beta_fast: single(positive("beta_fast")?.unwrap_or(32.0)),
		beta_slow: single(positive("beta_slow")?.unwrap_or(1.0)),
		attention_factor: single(attention_factor),
		truncate: rope.flag_or("truncate", true)?,
	})
}

fn single(v: f64) -> F32 {
	F32(v as f32)
}
