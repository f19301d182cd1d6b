//! The formats of matrices in a manifest: what follows from its tensors, and what is refused of them by name.

use crate::registration::with_formats;
use assay_model_folder::{
	config::{Hyperparameters, RopeScaling, F32},
	formats::{Format, TABLE},
	header::Dtype,
	layout::source_layout,
	manifest::TensorEntry,
	Manifest,
};
use assay_numerics::format::Group;
use proptest::prelude::*;

/// A layer's matrix of the model of `demo`.
const DOWN: &str = "model.layers.1.mlp.down_proj.weight";

fn manifest(format: Format) -> Manifest {
	with_formats("demo", |_, _| format)
}

fn refusal(manifest: &Manifest) -> String {
	manifest.check().unwrap_err().to_string()
}

#[test]
fn formats_have_names_that_are_read_back() {
	for format in Format::ALL {
		assert_eq!(format.to_string().parse(), Ok(format));
	}
	assert_eq!("w8".parse(), Ok(Format::W8(Group::G32)));
	for other in ["", "W8", "w8-64", "w4-32", "w4z", "w4z-256", "q8_0"] {
		let refused = other.parse::<Format>().unwrap_err();
		assert!(refused.contains("w4z-128"), "{refused}");
	}
}

#[test]
fn a_matrix_has_the_tensors_of_its_format() {
	let of = |format: Format, width| {
		let tensors = format.tensors("a.weight", 10, width);
		assert!(tensors.is_sorted_by(|a, b| a.name < b.name));
		tensors
			.into_iter()
			.map(|t| (t.name["a.weight".len()..].to_owned(), t.dtype, t.shape))
			.collect::<Vec<_>>()
	};
	let tensor = |end: &str, dtype, shape: &[u64]| (end.to_owned(), dtype, shape.to_vec());
	let w8 = |groups| {
		vec![
			tensor("", Dtype::I8, &[10, 288]),
			tensor("_scale", Dtype::F16, &[10, groups]),
		]
	};
	assert_eq!(of(Format::W8(Group::G32), 288), w8(9));
	assert_eq!(of(Format::W8(Group::G128), 288), w8(3));
	assert_eq!(
		of(Format::W4, 288),
		[
			tensor("", Dtype::U8, &[10, 144]),
			tensor("_scale", Dtype::F16, &[10, 9]),
			tensor("_table", Dtype::I8, &[16])
		]
	);
	for (group, groups, bytes) in [(Group::G32, 9, 5), (Group::G64, 5, 3), (Group::G128, 3, 2)] {
		assert_eq!(
			of(Format::W4z(group), 288),
			[
				tensor("", Dtype::U8, &[10, 144]),
				tensor("_scale", Dtype::F16, &[10, groups]),
				tensor("_zero", Dtype::U8, &[10, bytes])
			]
		);
	}
}

#[test]
fn tensors_that_are_of_no_format_are_refused_by_their_matrix() {
	type Change<'a> = &'a dyn Fn(&mut Manifest);
	let entry = |manifest: &mut Manifest, end: &str, change: &dyn Fn(&mut TensorEntry)| {
		let name = format!("{DOWN}{end}");
		change(manifest.tensors.iter_mut().find(|t| t.name == name).unwrap());
	};
	let remove = |manifest: &mut Manifest, end: &str| manifest.tensors.retain(|t| t.name != format!("{DOWN}{end}"));
	let insert = |manifest: &mut Manifest, end: &str, dtype, shape: &[u64]| {
		manifest.tensors.push(TensorEntry {
			name: format!("{DOWN}{end}"),
			dtype,
			shape: shape.to_vec(),
			root: [9; 32],
		});
		manifest.tensors.sort_by(|a, b| a.name.cmp(&b.name));
	};
	let w8 = Format::W8(Group::G32);
	let w4z = Format::W4z(Group::G64);
	let cases: [(Format, Change<'_>, &str); 14] = [
		(w8, &|m| remove(m, "_scale"), "no scales"),
		(w8, &|m| remove(m, ""), "no weights"),
		(
			w8,
			&|m| entry(m, "", &|t| t.dtype = Dtype::U8),
			"U8 weights without a table and without zero points",
		),
		(
			w8,
			&|m| insert(m, "_table", Dtype::I8, &[16]),
			"I8 weights with a table",
		),
		(w8, &|m| entry(m, "_scale", &|t| t.shape[1] += 1), "scales a row"),
		(w8, &|m| entry(m, "_scale", &|t| t.shape.push(1)), "has scales"),
		// As many scales as groups of 64 have, of which int8 has none.
		(
			w8,
			&|m| entry(m, "_scale", &|t| t.shape[1] = t.shape[1].div_ceil(2)),
			"scales a row",
		),
		(
			Format::W4,
			&|m| entry(m, "", &|t| t.dtype = Dtype::I8),
			"I8 weights with a table",
		),
		(
			Format::W4,
			&|m| remove(m, "_table"),
			"without a table and without zero points",
		),
		(
			Format::W4,
			&|m| insert(m, "_zero", Dtype::U8, &[1, 1]),
			"with a table and with zero points",
		),
		(
			Format::W4,
			&|m| entry(m, "_table", &|t| t.shape = vec![TABLE as u64 + 1]),
			"_table",
		),
		(w4z, &|m| entry(m, "_zero", &|t| t.dtype = Dtype::I8), "_zero"),
		(w4z, &|m| entry(m, "_zero", &|t| t.shape[1] += 1), "_zero"),
		(
			w4z,
			&|m| entry(m, "", &|t| t.shape[1] *= 2),
			"where its hyperparameters need",
		),
	];
	for (format, change, reason) in cases {
		let mut bad = manifest(format);
		bad.check().unwrap();
		change(&mut bad);
		let refused = refusal(&bad);
		assert!(
			refused.contains(reason) && refused.contains(DOWN),
			"{reason}: {refused}"
		);
	}
}

proptest! {
	#[test]
	fn formats_are_read_back_from_the_tensors(chosen in prop::collection::vec(0..Format::ALL.len(), 7)) {
		let format = |place: usize, _: &str| Format::ALL[chosen[place % chosen.len()]];
		let manifest = with_formats("demo", format);
		manifest.check().unwrap();
		let formats = manifest.formats().unwrap();
		let matrices = source_layout(&manifest.hyperparameters).into_iter().filter(|spec| spec.quantized);
		for (place, spec) in matrices.enumerate() {
			// A format with larger groups may be the same for so many inputs, and then has the smaller ones' name.
			let (found, ours) = (formats.of(&spec.name), format(place, &spec.name));
			let [found, ours] = [found, ours].map(|format| format.tensors(&spec.name, 1, spec.width));
			prop_assert_eq!(found, ours);
		}
	}
}

#[test]
fn what_no_engine_computes_is_refused_before_a_weight_is_read() {
	type Change<'a> = &'a dyn Fn(&mut assay_model_folder::config::DecoderConfig);
	let yarn = |beta_fast, beta_slow| RopeScaling::Yarn {
		factor: F32(2.0),
		original_max_position_embeddings: 64,
		beta_fast: F32(beta_fast),
		beta_slow: F32(beta_slow),
		attention_factor: F32(1.0),
		truncate: true,
	};
	let llama3 = |low, high| RopeScaling::Llama3 {
		factor: F32(2.0),
		low_freq_factor: F32(low),
		high_freq_factor: F32(high),
		original_max_position_embeddings: 64,
	};
	let linear = |factor| RopeScaling::Linear { factor: F32(factor) };
	let cases: [(Change<'_>, &str); 29] = [
		(
			&|n| (n.num_attention_heads, n.num_key_value_heads, n.head_dim) = (32, 2, 33),
			"`head_dim` is 33",
		),
		(&|n| n.head_dim = 1 << 11, "head_dim"),
		(
			&|n| n.num_key_value_heads = n.num_attention_heads + 1,
			"num_key_value_heads",
		),
		(
			&|n| (n.num_attention_heads, n.num_key_value_heads) = (6, 4),
			"num_key_value_heads",
		),
		(&|n| n.num_key_value_heads = 0, "num_key_value_heads"),
		(&|n| n.hidden_size += 16, "`hidden_size` is"),
		(&|n| n.intermediate_size += 16, "`intermediate_size` is"),
		(
			&|n| (n.num_attention_heads, n.num_key_value_heads, n.head_dim) = (6, 6, 24),
			"`num_attention_heads · head_dim` is 144",
		),
		(&|n| n.rope_theta = F32(0.99), "rope_theta"),
		(&|n| n.rope_theta = F32(-1e4), "rope_theta"),
		(&|n| n.rope_theta = F32(f32::INFINITY), "rope_theta"),
		(&|n| n.rope_theta = F32(f32::NAN), "rope_theta"),
		// Angles beyond 2²⁰, for which no cosine is defined.
		(
			&|n| n.max_position_embeddings = (1 << 20) + 1,
			"max_position_embeddings",
		),
		(&|n| n.rope_scaling = linear(0.5), "`factor` is 0.5"),
		(&|n| n.rope_scaling = linear(f32::NAN), "`factor` is NaN"),
		(&|n| n.rope_scaling = linear(f32::INFINITY), "`factor` is inf"),
		(&|n| n.rope_scaling = yarn(0.0, 0.0), "beta_fast"),
		(&|n| n.rope_scaling = yarn(32.0, 0.0), "beta_slow"),
		(&|n| n.rope_scaling = yarn(32.0, -1.0), "beta_slow"),
		(&|n| n.rope_scaling = yarn(1.0, 32.0), "`beta_fast` must not be smaller"),
		(&|n| n.rope_scaling = yarn(f32::NAN, 1.0), "beta_fast"),
		(&|n| n.rope_scaling = llama3(0.0, 4.0), "low_freq_factor"),
		(&|n| n.rope_scaling = llama3(4.0, 4.0), "high_freq_factor"),
		(&|n| n.rope_scaling = llama3(1.0, f32::NAN), "high_freq_factor"),
		(&|n| n.rms_norm_eps = F32(-1e-6), "rms_norm_eps"),
		(&|n| n.rms_norm_eps = F32(f32::NAN), "rms_norm_eps"),
		(&|n| n.vocab_size = 0, "vocab_size"),
		(&|n| n.num_hidden_layers = 257, "num_hidden_layers"),
		(&|n| n.sliding_window = Some(0), "sliding_window"),
	];
	for (change, reason) in cases {
		let mut bad = manifest(Format::default());
		let Hyperparameters::Decoder(config) = &mut bad.hyperparameters else {
			panic!("a decoder")
		};
		change(config);
		let refused = refusal(&bad);
		assert!(refused.contains(reason), "{reason}: {refused}");
	}
}

#[test]
fn what_no_engine_computes_of_an_encoder_is_refused() {
	type Change<'a> = &'a dyn Fn(&mut assay_model_folder::config::EncoderConfig);
	let cases: [(Change<'_>, &str); 5] = [
		(&|n| n.num_attention_heads = 5, "num_attention_heads"),
		(&|n| n.hidden_size += 16, "`hidden_size` is"),
		(&|n| n.intermediate_size += 1, "`intermediate_size` is"),
		(&|n| n.layer_norm_eps = F32(-1e-12), "layer_norm_eps"),
		(&|n| n.layer_norm_eps = F32(f32::NAN), "layer_norm_eps"),
	];
	for (change, reason) in cases {
		let mut bad = with_formats("bert", |_, _| Format::default());
		let Hyperparameters::Encoder(config) = &mut bad.hyperparameters else {
			panic!("an encoder")
		};
		change(config);
		let refused = refusal(&bad);
		assert!(refused.contains(reason), "{reason}: {refused}");
	}
}
