//! Headers of weights, manifests, configurations.

use assay_import::probe_gguf;
use assay_model_folder::{
	config::ModelConfig,
	formats::{Format, Formats},
	header::{byte_size, Header},
	layout::{layout, source_layout},
	manifest::{Manifest, ManifestFile},
};
use assay_primitives::manifest::{self, ManifestError};
use codec::Encode;

/// A safetensors file: the bytes as they are, and the bytes behind the first two as a header whose length is right, before as
/// much data as those two say.
pub fn header(data: &[u8]) {
	check_header(data, data.len() as u64);
	let Some(([low, high], json)) = data.split_first_chunk() else {
		return;
	};
	let mut file = (json.len() as u64).to_le_bytes().to_vec();
	file.extend(json);
	let bytes = file.len() as u64 + u64::from(u16::from_le_bytes([*low, *high]));
	check_header(&file, bytes);
}

fn check_header(file: &[u8], bytes: u64) {
	let mut rest = file;
	let Ok(header) = Header::read(&mut rest, bytes) else {
		return;
	};
	assert_eq!(
		file.len() - rest.len(),
		header.data_start as usize,
		"the reader stands where the data begins"
	);
	let mut end = 0;
	for (name, info) in header.in_file_order() {
		assert_eq!(info.data_offsets.0, end, "{name} leaves a gap or overlaps");
		end = info.data_offsets.1;
		assert_eq!(
			byte_size(info.dtype, &info.shape),
			Some(end - info.data_offsets.0),
			"{name} has another size"
		);
	}
	assert_eq!(header.data_start + end, bytes, "the tensors end with the file");
}

/// A GGUF file: as it is, and as the beginning of a file that is longer by what the first two bytes say.
pub fn gguf(data: &[u8]) {
	let _ = probe_gguf(data, data.len() as u64);
	if let Some(([low, high], header)) = data.split_first_chunk() {
		let more = 32 * u64::from(u16::from_le_bytes([*low, *high]));
		let _ = probe_gguf(header, header.len() as u64 + more);
	}
}

/// `config.json`.
pub fn config(data: &[u8]) {
	let Ok(config) = ModelConfig::parse(data) else { return };
	for format in Format::ALL {
		let mut formats = Formats::default();
		let matrices = source_layout(&config.hyperparameters)
			.into_iter()
			.filter(|spec| spec.quantized);
		matrices.for_each(|spec| formats.insert(spec.name, format));
		assert!(layout(&config.hyperparameters, &formats).len() < 20_000);
	}
	let again = ModelConfig::parse(&config.to_json()).expect("what is written is read");
	assert_eq!(again, config);
}

/// `manifest.json`: as it is, and once more under the id that its content has.
pub fn manifest(data: &[u8]) {
	let _ = ManifestFile::parse(data);
	let Ok(file) = serde_json::from_slice::<ManifestFile>(data) else {
		return;
	};
	let honest = file.manifest.check().is_ok();
	let file = ManifestFile::new(file.manifest, file.known_answer);
	let json = file.to_json().expect("a manifest can be written");
	match ManifestFile::parse(&json) {
		Ok(again) => assert!(honest && again == file, "what is written is read"),
		Err(error) => assert!(!honest, "what is written is refused: {error}"),
	}
	if honest {
		// Four bits a weight are the fewest.
		assert!(file.manifest.parameters() <= file.manifest.weight_bytes().saturating_mul(2));
		read_alike(&file.manifest);
	}
}

/// What the chain reads of a manifest is what the engine reads, unless it is larger than the chain takes.
fn read_alike(ours: &Manifest) {
	let bytes = ours.encode();
	match manifest::read(&bytes) {
		Ok((id, facts)) => {
			assert_eq!(id, ours.model_id());
			assert_eq!(
				(facts.parameters, facts.weight_bytes),
				(ours.parameters(), ours.weight_bytes())
			);
			assert_eq!(
				(facts.context_length, facts.prompt_overhead),
				(ours.context_length(), ours.prompt_overhead)
			);
			assert_eq!(
				(&facts.name[..], facts.parent),
				(ours.name.as_bytes(), ours.provenance.parent)
			);
		}
		Err(error) => assert!(
			matches!(
				error,
				ManifestError::TooLong | ManifestError::TooManyTensors | ManifestError::Overflow
			),
			"a good manifest is refused: {error:?}"
		),
	}
}

/// The SCALE encoding of a manifest, as a registration carries it.
pub fn registration(data: &[u8]) {
	let Ok((id, facts)) = manifest::read(data) else { return };
	assert_eq!(id, manifest::model_id(data));
	assert!(!facts.name.is_empty() && std::str::from_utf8(&facts.name).is_ok());
	// Whatever is read has one end.
	let longer = [data, &[0]].concat();
	assert!(manifest::read(&longer).is_err());
	assert!(manifest::read(&data[..data.len() - 1]).is_err());
}
