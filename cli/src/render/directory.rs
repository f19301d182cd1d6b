//! Model directories as text for people.

use super::{boxed, short};
use assay_model_folder::manifest::ManifestFile;
use serde_json::{json, Value};

/// Formats a number of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
	indicatif::DecimalBytes(bytes).to_string()
}

/// Formats a vector's first and last numbers and its length.
pub(crate) fn vector(all: &[f32]) -> String {
	const ENDS: usize = 4;
	let list = |part: &[f32]| part.iter().map(|v| format!("{v:.6}")).collect::<Vec<_>>().join(", ");
	match (
		all.get(..ENDS),
		all.len().checked_sub(ENDS).and_then(|from| all.get(from..)),
	) {
		(Some(first), Some(last)) if all.len() > 2 * ENDS => {
			format!(
				"[{}, …, {}] ({} numbers; --json prints all)",
				list(first),
				list(last),
				all.len()
			)
		}
		_ => format!("[{}]", list(all)),
	}
}

/// Formats the hyperparameters of an architecture, as many to a line as fit.
fn hyperparameters(all: &Value) -> Vec<String> {
	const MAX_CHARS: usize = 64;
	let mut lines = vec![String::new()];
	// The fields of decoders and encoders are one level down.
	let groups = all.as_object().into_iter().flat_map(|map| map.iter());
	let fields = groups.flat_map(|(key, value)| match value.as_object() {
		Some(inner) => inner.iter().collect(),
		None => vec![(key, value)],
	});
	for (key, value) in fields {
		let text = format!("{key} {}", value.to_string().trim_matches('"'));
		match lines.last_mut() {
			Some(line) if line.is_empty() => *line = text,
			Some(line) if line.chars().count() + text.chars().count() + 2 <= MAX_CHARS => {
				line.push_str(", ");
				line.push_str(&text);
			}
			_ => lines.push(text),
		}
	}
	lines
}

/// Draws the manifest of a model directory.
pub(crate) fn manifest(file: &ManifestFile) -> String {
	let m = &file.manifest;
	let stated = |text: &str| if text.is_empty() { "not stated" } else { text }.to_owned();
	let mut lines = vec![
		("model", m.name.clone()),
		("id", file.model_id.to_string()),
		(
			"kind",
			format!(
				"{}, {} parameters, {} of weights",
				m.architecture,
				m.parameters(),
				bytes(m.weight_bytes())
			),
		),
		("profile", json!(m.profile).as_str().unwrap_or_default().to_owned()),
	];
	for (i, text) in hyperparameters(&json!(m.hyperparameters)).into_iter().enumerate() {
		lines.push((if i == 0 { "config" } else { "" }, text));
	}
	let origin = match m.hyperparameters.encoder() {
		Ok(_) => "special tokens",
		Err(_) => "from the chat template",
	};
	lines.push((
		"context",
		format!(
			"{} tokens, up to {} of them {origin}",
			m.context_length(),
			m.prompt_overhead
		),
	));
	lines.push(("tensors", format!("{} in model.safetensors", m.tensors.len())));
	lines.push(("source", stated(&m.provenance.source)));
	lines.push(("revision", stated(&m.provenance.revision)));
	for source in &m.provenance.upstream {
		lines.push(("", format!("{} {}", short(&source.root), source.name)));
	}
	lines.push(("quantizer", m.provenance.quantizer.clone()));
	if let Some(parent) = &m.provenance.parent {
		lines.push(("made from", parent.to_string()));
	}
	lines.push(("license", stated(&m.provenance.license)));
	let known = match &file.known_answer {
		Some(known) => format!("recorded: {} tokens to {:?}", known.max_tokens, known.prompt),
		None => "missing; no node serves it: `assay model check --record` adds it".into(),
	};
	lines.push(("answer", known));
	boxed("model directory", &lines)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_long_vector_is_cut_in_the_middle() {
		assert_eq!(vector(&[0.5, -1.0]), "[0.500000, -1.000000]");
		let long: Vec<f32> = (0..384u16).map(f32::from).collect();
		let text = vector(&long);
		assert!(
			text.starts_with("[0.000000, 1.000000") && text.contains("383.000000] (384 numbers"),
			"{text}"
		);
	}
}
