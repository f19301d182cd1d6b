//! What the chain reads of manifests, and the bundled model's registration, which the runtime's presets read.

use assay_model_folder::{
	config::{Architecture, ModelConfig},
	formats::{Format, Formats},
	layout::{layout, source_layout},
	manifest::{Defaults, Manifest, Provenance, SourceFile, TensorEntry},
};
use assay_primitives::{
	manifest::{self, ManifestError},
	model::Profile,
	ModelId,
};
use codec::Encode;
use serde_json::{json, Map, Value};
use std::{env, fs, path::Path};

fn demo() -> Manifest {
	let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo-model/assay-demo");
	Manifest::read(&dir).unwrap()
}

/// Returns a manifest of the model that a configuration of `fuzz/seeds` describes, with matrices of w8-32.
fn of_config(name: &str) -> Manifest {
	with_formats(name, |_, _| Format::default())
}

/// The same with matrices in the formats that `format` gives them, by their place and name.
pub(crate) fn with_formats(name: &str, format: impl Fn(usize, &str) -> Format) -> Manifest {
	let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/seeds/config/{name}.json"));
	let ModelConfig {
		architecture,
		hyperparameters,
	} = ModelConfig::parse(&fs::read(path).unwrap()).unwrap();
	let mut formats = Formats::default();
	let matrices = source_layout(&hyperparameters)
		.into_iter()
		.filter(|spec| spec.quantized);
	for (place, spec) in matrices.enumerate() {
		let format = format(place, &spec.name);
		formats.insert(spec.name, format);
	}
	let entry = |spec: assay_model_folder::layout::TensorSpec| TensorEntry {
		name: spec.name,
		dtype: spec.dtype,
		shape: spec.shape,
		root: [3; 32],
	};
	Manifest {
		schema: 1,
		name: format!("{name} μ"),
		profile: Profile::C2,
		architecture: architecture.name().into(),
		rope_root: hyperparameters.rope_tables().root(),
		prompt_overhead: 11,
		defaults: Defaults::default(),
		config_root: [4; 32],
		tokenizer_root: [5; 32],
		template_root: [6; 32],
		tensors: layout(&hyperparameters, &formats).into_iter().map(entry).collect(),
		provenance: Provenance {
			source: "https://example.org".into(),
			revision: "main".into(),
			upstream: vec![SourceFile {
				name: "model.safetensors".into(),
				root: [7; 32],
			}],
			quantizer: "assay".into(),
			parent: (architecture == Architecture::Bert).then_some(ModelId([8; 32])),
			license: "MIT".into(),
		},
		hyperparameters,
	}
}

#[test]
fn the_chain_reads_of_a_manifest_what_the_engine_reads() {
	const CONFIGS: [&str; 7] = ["bert", "demo", "llama3", "mistral", "qwen2", "qwen3", "yarn"];
	let mut all: Vec<Manifest> = CONFIGS.map(of_config).into();
	for name in CONFIGS {
		// Each format alone, and all in one model.
		all.extend(Format::ALL.map(|format| with_formats(name, |_, _| format)));
		all.push(with_formats(name, |place, _| Format::ALL[place % Format::ALL.len()]));
	}
	for ours in all.into_iter().chain([demo()]) {
		ours.check().unwrap();
		let bytes = ours.encode();
		let (id, facts) = manifest::read(&bytes).unwrap();
		let name = &ours.name;
		assert_eq!(id, ours.model_id(), "{name}");
		assert_eq!(facts.name.as_slice(), name.as_bytes());
		assert_eq!(facts.architecture.as_slice(), ours.architecture.as_bytes(), "{name}");
		assert_eq!(
			(facts.profile, facts.parent),
			(ours.profile, ours.provenance.parent),
			"{name}"
		);
		assert_eq!(facts.parameters, ours.parameters(), "{name}");
		assert_eq!(facts.weight_bytes, ours.weight_bytes(), "{name}");
		assert_eq!(facts.context_length, ours.context_length(), "{name}");
		assert_eq!(facts.prompt_overhead, ours.prompt_overhead, "{name}");
		// No shorter or longer bytes are the same manifest.
		assert_eq!(
			manifest::read(&bytes[..bytes.len() - 1]),
			Err(ManifestError::Malformed),
			"{name}"
		);
		let longer = [&bytes[..], &[0]].concat();
		assert_eq!(manifest::read(&longer), Err(ManifestError::TrailingBytes), "{name}");
	}
}

#[test]
fn an_element_type_that_is_only_imported_is_refused_by_both() {
	let mut ours = demo();
	ours.tensors[0].dtype = assay_model_folder::header::Dtype::BF16;
	assert!(ours.check().is_err());
	assert_eq!(manifest::read(&ours.encode()), Err(ManifestError::BadTensor));
}

#[test]
fn the_demo_models_registration_has_its_manifest() {
	let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo-model/assay-demo/registration.json");
	let mut registration: Map<String, Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
	let bytes = json!(format!("0x{}", hex::encode(demo().encode())));
	if env::var_os("ASSAY_BLESS").is_some() {
		registration.insert("manifest".into(), bytes.clone());
		fs::write(&path, serde_json::to_string_pretty(&registration).unwrap() + "\n").unwrap();
	}
	assert_eq!(
		registration.get("manifest"),
		Some(&bytes),
		"ASSAY_BLESS=1 writes it again"
	);
	let terms = ["price_in", "price_out", "royalty"];
	assert_eq!(registration.len(), 1 + terms.len());
	assert!(terms.iter().all(|term| registration.contains_key(*term)));
	let prices = ["price_in", "price_out"];
	assert!(
		prices.iter().all(|price| registration[*price].is_string()),
		"amounts are exact"
	);
}
