//! What was done to the matrices, in the words of the provenance.

use crate::{
	blocks::Encoding,
	source::{Becomes, Choice, Source},
};
use assay_numerics::format::MatrixFormat;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the name of the rule that quantizes to a format; a change of one bit of its result changes this name.
fn rule(format: MatrixFormat) -> String {
	match format {
		MatrixFormat::W8_32 => "assay w8 blocks of 32, version 1".into(),
		MatrixFormat::W8 { group } => format!("assay w8 blocks of {}, channels equalized, version 1", group.size()),
		MatrixFormat::W4 { .. } => {
			"assay w4 blocks of 32, table of iq4_nl, errors weighted by inputs, version 1".into()
		}
		MatrixFormat::W4z { group } => format!(
			"assay w4z blocks of {}, errors weighted by inputs, version 1",
			group.size()
		),
	}
}

/// What a rule was applied to.
#[derive(Default)]
struct Quantized {
	/// Types of blocks that were dequantized before.
	blocks: BTreeSet<&'static str>,
	/// Whether there were floats.
	floats: bool,
}

/// Returns what was done to the matrices: which kept their bits, which were quantized, and by which rules.
pub(super) fn quantizer(source: &Source, choice: &Choice) -> String {
	let mut kept = BTreeSet::new();
	let mut quantized: BTreeMap<(bool, String), Quantized> = BTreeMap::new();
	for tensor in source.files.iter().flat_map(|file| &file.tensors) {
		let spec = match &tensor.becomes {
			Becomes::Whole { spec, .. } if spec.quantized => spec,
			Becomes::Whole { .. } => continue,
			Becomes::Piece(_) => {
				kept.extend(source.checkpoint.map(|checkpoint| checkpoint.name()));
				continue;
			}
		};
		if let (Encoding::Blocks(kind), Some(_)) = (tensor.encoding, tensor.encoding.kept_as()) {
			kept.insert(format!("gguf {} blocks", kind.name()));
			continue;
		}
		let format = choice.of(spec, tensor.encoding);
		// Embeddings are named where they have another format than the layers.
		let apart = choice.embeddings != choice.layers && format == choice.embeddings;
		let quantized = quantized.entry((apart, rule(format))).or_default();
		match tensor.encoding {
			Encoding::Blocks(kind) => {
				quantized.blocks.insert(kind.name());
			}
			_ => quantized.floats = true,
		}
	}
	let mut parts: Vec<String> = kept.iter().map(|name| format!("{name}, bits kept")).collect();
	for ((apart, rule), Quantized { blocks, floats }) in quantized {
		let which = if apart { "embeddings: " } else { "" };
		if !blocks.is_empty() {
			let names = blocks.into_iter().collect::<Vec<_>>().join(", ");
			parts.push(format!("{which}gguf {names} blocks, dequantized: {rule}"));
		}
		if floats {
			let others = if parts.is_empty() || apart { "" } else { "others: " };
			parts.push(format!("{which}{others}{rule}"));
		}
	}
	parts.join("; ")
}
