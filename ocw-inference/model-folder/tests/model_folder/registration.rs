//! The bundled model's catalogue entry, which the runtime's presets read instead of the manifest.

use assay_model_folder::Manifest;
use serde_json::{json, Map, Value};
use std::{env, fs, path::Path};

#[test]
fn the_demo_models_registration_is_what_its_manifest_yields() {
	let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo-model/assay-demo");
	let manifest = Manifest::read(&dir).unwrap();
	let yielded = json!({
		"id": manifest.model_id(),
		"name": manifest.name,
		"architecture": manifest.architecture,
		"profile": manifest.profile,
		"parameters": manifest.parameters(),
		"weight_bytes": manifest.weight_bytes(),
		"context_length": manifest.context_length(),
		"prompt_overhead": manifest.prompt_overhead,
		"parent": manifest.provenance.parent,
	});
	let path = dir.join("registration.json");
	let mut registration: Map<String, Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
	for (field, value) in yielded.as_object().unwrap() {
		if env::var_os("ASSAY_BLESS").is_some() {
			registration.insert(field.clone(), value.clone());
		}
		assert_eq!(
			registration.get(field),
			Some(value),
			"{field}; ASSAY_BLESS=1 writes it again"
		);
	}
	if env::var_os("ASSAY_BLESS").is_some() {
		fs::write(&path, serde_json::to_string_pretty(&registration).unwrap() + "\n").unwrap();
	}
	let terms = ["price_in", "price_out", "royalty"];
	assert_eq!(registration.len(), yielded.as_object().unwrap().len() + terms.len());
	assert!(terms.iter().all(|term| registration[*term].is_number()));
}
