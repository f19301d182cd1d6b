//! The first of two passes: where floats become anything but int8 in groups of 32, the source is imported as that first
//! and run over a text, so that the second pass knows which weights matter.

use crate::{
	complete,
	convert::reserve,
	describe,
	quantize::Plan,
	source::{Becomes, Choice, Source},
	Error, ImportOptions, Progress, Result, Watch,
};
use assay_model_folder::config::Hyperparameters;
use assay_numerics::format::{Group, MatrixFormat};
use std::{
	collections::BTreeSet,
	fs,
	io::ErrorKind,
	path::{Path, PathBuf},
};

/// The directory of the first pass, in that of the import.
pub(crate) const FIRST_PASS: &str = "first-pass";

/// Returns whether the source has to be measured, and if so, which matrices may have their channels evened out: those
/// that are quantized to a format that gains by it. What keeps its bits is not touched.
pub(crate) fn needed(source: &Source, choice: &Choice) -> Option<BTreeSet<String>> {
	let decoder = matches!(source.config.hyperparameters, Hyperparameters::Decoder(_));
	if !decoder || choice.layers == MatrixFormat::W8_32 {
		return None;
	}
	let tensors = source.files.iter().flat_map(|file| &file.tensors);
	let quantized = tensors.filter(|tensor| match &tensor.becomes {
		Becomes::Whole { spec, .. } => {
			spec.quantized && tensor.encoding.kept_as().is_none() && choice.of(spec, tensor.encoding) == choice.layers
		}
		Becomes::Piece(_) => false,
	});
	let names: BTreeSet<String> = quantized.map(|tensor| tensor.name.clone()).collect();
	let equalized = matches!(choice.layers, MatrixFormat::W8 { group: Group::G128 });
	(!names.is_empty()).then(|| if equalized { names } else { BTreeSet::new() })
}

/// Makes the first pass, or completes it, and measures what it made. `choice` is that of the second pass.
pub(crate) fn plan(
	source: &Source,
	choice: &Choice,
	equalized: &BTreeSet<String>,
	options: &ImportOptions,
	partial: &Path,
	watch: Watch<'_>,
) -> Result<Plan> {
	let interrupted = || Error::Interrupted {
		partial: partial.to_owned(),
	};
	// No other import may come between the passes.
	let _reserved = reserve(source, choice, partial)?;
	let dir = directory(partial);
	fs::create_dir_all(&dir).map_err(Error::write(&dir))?;
	let first = Choice {
		layers: MatrixFormat::W8_32,
		embeddings: MatrixFormat::W8_32,
	};
	let manifest = describe(source, &first, options)?;
	complete(source, &first, &Plan::default(), manifest, &dir, watch).map_err(|error| match error {
		Error::Interrupted { .. } => interrupted(),
		error => error,
	})?;
	if watch(Progress::Measuring).is_break() {
		return Err(interrupted());
	}
	Plan::measured(&dir, equalized)
}

/// Removes what the first pass made, if there was one.
pub(crate) fn remove(partial: &Path) -> Result<()> {
	let dir = directory(partial);
	match fs::remove_dir_all(&dir) {
		Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::write(&dir)(error)),
		_ => Ok(()),
	}
}

fn directory(partial: &Path) -> PathBuf {
	partial.join(FIRST_PASS)
}
