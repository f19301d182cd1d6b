//! Checkpoints whose matrices have four bits already: AWQ's and GPTQ's, as `quantization_config` of `config.json`
//! describes them.
//!
//! Both pack eight weights into an integer, transposed, with a scale and a zero point for each group of inputs: what the
//! format `w4z` holds, bit by bit. Which matrices are packed is seen from the tensors: a matrix has either `qweight` and
//! what belongs to it, or `weight`.

mod keys;
mod pieces;

#[cfg(test)]
pub(super) use keys::{AWQ as AWQ_KEYS, GPTQ as GPTQ_KEYS};
pub(super) use pieces::{Failed, Piece};

use crate::{source::FoundTensor, Error, Result};
use assay_model_folder::{
	config::keys::Keys,
	files,
	formats::Format,
	layout::{SourceSpec, SCALE_SUFFIX, ZERO_SUFFIX},
};
use assay_numerics::format::Group;
use pieces::{Packing, Role};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The key of `config.json`.
pub(super) const KEY: &str = "quantization_config";
/// What tensors of packed matrices are called instead of `weight`.
const WEIGHTS: &str = "qweight";
const ZEROS: &str = "qzeros";
const SCALES: &str = "scales";
const ORDER: &str = "g_idx";
const BIAS: &str = "bias";
/// What the key is called that names the order of the packed weights.
const FORMAT: [&str; 2] = ["checkpoint_format", "format"];

/// How the matrices of a checkpoint are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
	packing: Packing,
	group: Group,
	/// Whether the inputs may be in another order than those of the model.
	reordered: bool,
}

/// Returns whether a tensor of integers is a piece of a packed matrix, by its name.
pub(super) fn is_packed(name: &str) -> bool {
	[WEIGHTS, ZEROS, ORDER]
		.iter()
		.any(|end| name.strip_suffix(end).is_some_and(|matrix| matrix.ends_with('.')))
}

impl Checkpoint {
	/// Reads the `quantization_config` of a `config.json`, and refuses what is not known to change nothing.
	pub(super) fn read(config: &Value) -> Result<Self> {
		let Value::Object(map) = config else {
			return Err(refused(format!("`{KEY}` is not an object; fetch config.json again")));
		};
		let method = method(map)?;
		let method = method.as_str().unwrap_or("unknown");
		let (keys, packing) = match method {
			"awq" => (keys::AWQ, awq(map)?),
			"gptq" => (keys::GPTQ, gptq(map)?),
			_ => {
				return Err(refused(format!(
					"the weights are quantized already, by a method that c2 does not hold (`quant_method` {method}; AWQ's \
					 and GPTQ's of four bits are imported); import the floats that they were made from"
				)));
			}
		};
		Keys::check(&[keys], map, files::CONFIG, &format!("{KEY}.")).map_err(refused)?;
		let bits = map.get("bits").and_then(Value::as_u64);
		if bits != Some(4) {
			return Err(not(
				map,
				"bits",
				"4",
				"import the floats that it was made from, or a checkpoint of four bits",
			));
		}
		let size = map.get("group_size").and_then(Value::as_u64);
		let group = size.and_then(|size| Group::of_size(usize::try_from(size).ok()?));
		let group = group.ok_or_else(|| {
			let next = "import the floats that it was made from, or a checkpoint with such groups";
			not(map, "group_size", "32, 64 or 128", next)
		})?;
		Ok(Self {
			packing,
			group,
			reordered: flag(map, "desc_act")?,
		})
	}

	/// Returns the format of its packed matrices.
	pub(super) fn format(&self) -> Format {
		Format::W4z(self.group)
	}

	/// Returns what it is called in the provenance.
	pub(super) fn name(&self) -> String {
		let method = match self.packing {
			Packing::Awq => "awq",
			Packing::Gptq { .. } => "gptq",
		};
		format!("{method} groups of {}", self.group.size())
	}

	/// Takes the tensors of a packed matrix, with what becomes of each; none if the matrix is not packed.
	pub(super) fn take(
		&self,
		spec: &SourceSpec,
		found: &mut BTreeMap<String, FoundTensor>,
	) -> Result<Vec<(String, FoundTensor, Piece)>> {
		let Some(matrix) = spec.name.strip_suffix("weight").filter(|_| spec.quantized) else {
			return Ok(Vec::new());
		};
		let mut pieces = Vec::new();
		for (end, role) in [
			(WEIGHTS, Role::Weights),
			(ZEROS, Role::Zeros),
			(SCALES, Role::Scales),
			(ORDER, Role::Order),
		] {
			let name = format!("{matrix}{end}");
			let Some(tensor) = found.remove(&name) else {
				match role {
					Role::Weights => return Ok(Vec::new()),
					Role::Order if self.packing == Packing::Awq || !self.reordered => continue,
					_ => return Err(lacking(&name, role)),
				}
			};
			if role == Role::Order && self.packing == Packing::Awq {
				return Err(Error::Tensor {
					name,
					reason: "is an order of inputs, which no checkpoint of AWQ has; take another one".into(),
				});
			}
			let piece = self.piece(spec, role);
			piece.check(&name, &tensor)?;
			pieces.push((name, tensor, piece));
		}
		Ok(pieces)
	}

	/// Takes the bias of a packed matrix that has none in the model, if there is one, to be checked: AutoGPTQ writes zeros
	/// beside every matrix.
	pub(super) fn take_bias(
		&self,
		spec: &SourceSpec,
		found: &mut BTreeMap<String, FoundTensor>,
	) -> Result<Option<(String, FoundTensor, Piece)>> {
		let matrix = spec.name.strip_suffix("weight").unwrap_or(&spec.name);
		let name = format!("{matrix}{BIAS}");
		let Some(tensor) = found.remove(&name) else {
			return Ok(None);
		};
		let piece = self.piece(spec, Role::Bias);
		piece.check(&name, &tensor)?;
		Ok(Some((name, tensor, piece)))
	}

	fn piece(&self, spec: &SourceSpec, role: Role) -> Piece {
		Piece {
			role,
			packing: self.packing,
			group: self.group.size() as u64,
			rows: spec.rows.unwrap_or(0),
			width: spec.width,
			matrix: spec.name.clone(),
			end: match role {
				Role::Weights => Some(""),
				Role::Scales => Some(SCALE_SUFFIX),
				Role::Zeros => Some(ZERO_SUFFIX),
				Role::Order | Role::Bias => None,
			},
		}
	}
}

/// Returns the method, under whichever of its names.
fn method(map: &Map<String, Value>) -> Result<Value> {
	Ok(named(map, ["quant_method", "method"])?.unwrap_or_default())
}

/// Returns the value of a key that has two names, which must not differ.
fn named(map: &Map<String, Value>, names: [&str; 2]) -> Result<Option<Value>> {
	let [one, other] = names.map(|name| map.get(name).filter(|value| !value.is_null()));
	match (one, other) {
		(Some(first), Some(second)) if first != second => {
			let [one, other] = names;
			Err(refused(format!(
				"`{KEY}.{one}` is {first} and `{KEY}.{other}` is {second}; keep the one that the weights were written in"
			)))
		}
		_ => Ok(one.or(other).cloned()),
	}
}

fn awq(map: &Map<String, Value>) -> Result<Packing> {
	let version = map.get("version").and_then(Value::as_str).unwrap_or("gemm");
	if !version.eq_ignore_ascii_case("gemm") {
		return Err(not(
			map,
			"version",
			"gemm",
			"the others order weights in another way: take a checkpoint with `gemm`",
		));
	}
	let format = named(map, FORMAT)?.unwrap_or_else(|| "gemm".into());
	if format != "gemm" {
		return Err(refused(format!(
			"`{KEY}.checkpoint_format` is {format}; c2 reads AWQ's gemm, and the others order weights in another way: take a \
			 checkpoint with `gemm`"
		)));
	}
	let backend = map.get("backend").and_then(Value::as_str).unwrap_or("autoawq");
	if backend != "autoawq" {
		return Err(not(
			map,
			"backend",
			"autoawq",
			"the others order weights in another way: take AutoAWQ's checkpoint",
		));
	}
	// A symmetric checkpoint has zero points too, and they count.
	flag(map, "zero_point")?;
	modules(map)?;
	Ok(Packing::Awq)
}

fn gptq(map: &Map<String, Value>) -> Result<Packing> {
	let format = named(map, FORMAT)?.unwrap_or_else(|| "gptq".into());
	flag(map, "sym")?;
	modules(map)?;
	match format.as_str() {
		Some("gptq") => Ok(Packing::Gptq { less_one: true }),
		Some("gptq_v2") => Ok(Packing::Gptq { less_one: false }),
		_ => Err(refused(format!(
			"`{KEY}.checkpoint_format` is {format}; c2 reads gptq and gptq_v2, and the others order weights for one kind \
			 of GPU: take a checkpoint in one of these"
		))),
	}
}

/// Returns a key that is true or false, or absent, which is false.
fn flag(map: &Map<String, Value>, key: &str) -> Result<bool> {
	match map.get(key) {
		None | Some(Value::Null) => Ok(false),
		Some(Value::Bool(flag)) => Ok(*flag),
		Some(_) => Err(not(map, key, "true or false", "correct it")),
	}
}

/// Refuses a list of modules that is none: the tensors show which modules it names.
fn modules(map: &Map<String, Value>) -> Result<()> {
	const KEY: &str = "modules_to_not_convert";
	match map.get(KEY) {
		None | Some(Value::Null) => Ok(()),
		Some(Value::Array(names)) if names.iter().all(Value::is_string) => Ok(()),
		Some(_) => Err(not(map, KEY, "a list of names", "correct it")),
	}
}

fn not(map: &Map<String, Value>, key: &str, known: &str, next: &str) -> Error {
	let value = map.get(key).unwrap_or(&Value::Null).to_string();
	let value: String = value.chars().take(60).collect();
	refused(format!("`{KEY}.{key}` is {value}; c2 knows {known}: {next}"))
}

fn refused(reason: impl Into<String>) -> Error {
	Error::file(files::CONFIG, reason)
}

fn lacking(name: &str, role: Role) -> Error {
	Error::Tensor {
		name: name.into(),
		reason: match role {
			Role::Order => {
				"`desc_act` in config.json is true, so the inputs may be reordered, and the weights lack their order; fetch \
				 them again, or take a checkpoint without an order of activations"
			}
			_ => "the weights lack it, and it belongs to a packed matrix: fetch them again",
		}
		.into(),
	}
}
