//! Hugging Face's `config.json`, with the meaning and the defaults that each family's code in transformers gives it.

use super::{
	fields::{as_u32, refused, Fields},
	Architecture, DecoderConfig, EncoderConfig, Hyperparameters, ModelConfig, RopeScaling, F32,
};
use crate::{files::JsonLimits, Error, Result};
use assay_numerics::rope::yarn_attention_factor;
use serde_json::{json, Value};

/// What some model of some family computes and no supported family does. A key here is refused whatever its value,
/// unless that is null or false. What no family's code reads has no effect, and most published files have some of that.
const NOT_COMPUTED: [&str; 22] = [
	"alibi",
	"attention_chunk_size",
	"attention_multiplier",
	"attn_logit_softcapping",
	"auto_map",
	"clip_qkv",
	"embedding_multiplier",
	"final_logit_softcapping",
	"logit_scale",
	"logits_scaling",
	"moe_intermediate_size",
	"no_rope_layers",
	"num_experts",
	"num_experts_per_tok",
	"num_local_experts",
	"quantization_config",
	"query_pre_attn_scalar",
	"residual_multiplier",
	"rope_interleaved",
	"use_parallel_residual",
	"use_qk_norm",
	"vision_config",
];

pub(super) fn config(json: &[u8]) -> Result<ModelConfig> {
	let root: Value = JsonLimits::CONFIG.parse(json).map_err(Error::Config)?;
	let root = root
		.as_object()
		.ok_or_else(|| Error::Config("it is not a JSON object".into()))?;
	let fields = Fields::new(root);
	let model_type = fields.text("model_type")?;
	let architecture = Architecture::of(model_type).ok_or_else(|| {
		Error::Config(format!(
			"`model_type` is \"{model_type}\"; c1-w8 knows {}",
			Architecture::names()
		))
	})?;
	for key in NOT_COMPUTED {
		fields.without(key)?;
	}
	let hyperparameters = match architecture {
		Architecture::Bert => Hyperparameters::Encoder(encoder(&fields)?),
		family => Hyperparameters::Decoder(decoder(&fields, family)?),
	};
	Ok(ModelConfig {
		architecture,
		hyperparameters,
	})
}

fn decoder(fields: &Fields<'_>, family: Architecture) -> Result<DecoderConfig> {
	fields.only("hidden_act", json!("silu"))?;
	let partial = fields.get("partial_rotary_factor");
	if partial.is_some() {
		fields.only("partial_rotary_factor", json!(1.0))?;
	}
	let heads = fields.number("num_attention_heads")?;
	let hidden_size = fields.number("hidden_size")?;
	let bias = |key: &str, default| fields.flag_or(key, default);
	// Which matrices have biases, and which of these a file may state.
	let (qkv, output, mlp) = match family {
		Architecture::Llama => {
			let attention = bias("attention_bias", false)?;
			(attention, attention, bias("mlp_bias", false)?)
		}
		Architecture::Qwen3 => {
			fields.without("mlp_bias")?;
			let attention = bias("attention_bias", false)?;
			(attention, attention, false)
		}
		Architecture::Qwen2 => {
			fields.only("attention_bias", json!(true))?;
			fields.without("mlp_bias")?;
			(true, false, false)
		}
		Architecture::Mistral | Architecture::Bert => {
			fields.without("attention_bias")?;
			fields.without("mlp_bias")?;
			(false, false, false)
		}
	};
	let head_dim = match family {
		Architecture::Qwen3 => 128,
		_ => hidden_size.checked_div(heads).unwrap_or(0),
	};
	let max_position_embeddings = fields.number("max_position_embeddings")?;
	let (rope_theta, rope_scaling) = rope(fields, max_position_embeddings)?;
	let num_hidden_layers = fields.number("num_hidden_layers")?;
	Ok(DecoderConfig {
		vocab_size: fields.number("vocab_size")?,
		hidden_size,
		intermediate_size: fields.number("intermediate_size")?,
		num_hidden_layers,
		num_attention_heads: heads,
		// Every family has its own default; where it matters, no published file leaves it out.
		num_key_value_heads: match family {
			Architecture::Llama => fields.number_or("num_key_value_heads", heads)?,
			_ => fields.number("num_key_value_heads")?,
		},
		head_dim: fields.number_or("head_dim", head_dim)?,
		max_position_embeddings,
		rms_norm_eps: fields.float_or("rms_norm_eps", 1e-6)?,
		rope_theta,
		rope_scaling,
		sliding_window: sliding_window(fields, family, num_hidden_layers)?,
		attention_bias: qkv,
		output_bias: output,
		mlp_bias: mlp,
		qk_norm: family == Architecture::Qwen3,
		tie_word_embeddings: fields.flag_or("tie_word_embeddings", false)?,
		eos_token_ids: eos_ids(fields.get("eos_token_id"))?,
	})
}

/// Returns the window of all layers. A model in which some layers have one and others do not is refused.
fn sliding_window(fields: &Fields<'_>, family: Architecture, layers: u32) -> Result<Option<u32>> {
	let mixed = || {
		Err(Error::Config(
			"`layer_types`: layers with and without a sliding window in one model are not part of c1-w8".into(),
		))
	};
	let listed = match fields.get("layer_types") {
		None => None,
		Some(types) => {
			let list = types
				.as_array()
				.ok_or_else(|| refused("layer_types", types, "a list"))?;
			let all = |kind: &str| list.iter().all(|t| t == kind);
			match (
				list.len() == layers as usize,
				all("full_attention"),
				all("sliding_attention"),
			) {
				(false, ..) => return Err(Error::Config("`layer_types` must name every layer".into())),
				(_, true, _) => Some(false),
				(_, _, true) => Some(true),
				_ => return mixed(),
			}
		}
	};
	let window = match family {
		Architecture::Llama | Architecture::Bert => {
			fields.without("sliding_window")?;
			fields.without("use_sliding_window")?;
			None
		}
		Architecture::Mistral if fields.is_null("sliding_window") => None,
		Architecture::Mistral => Some(fields.number_or("sliding_window", 4096)?),
		Architecture::Qwen2 | Architecture::Qwen3 => {
			let full = fields.number_or("max_window_layers", 28)?;
			let used = fields.flag_or("use_sliding_window", false)? && !fields.is_null("sliding_window");
			if !used || listed == Some(false) || (listed.is_none() && full >= layers) {
				None
			} else if listed.is_none() && full > 0 {
				return Err(Error::Config(format!(
					"`use_sliding_window` with `max_window_layers` {full} of {layers}: layers with and without a sliding \
					window in one model are not part of c1-w8"
				)));
			} else {
				Some(fields.number_or("sliding_window", 4096)?)
			}
		}
	};
	match listed {
		// The list and the window must not contradict each other.
		Some(sliding) if sliding != window.is_some() => mixed(),
		_ => Ok(window),
	}
}

/// Returns base and scaling of the rotary frequencies: `rope_parameters` in files of today, `rope_theta` and
/// `rope_scaling` before.
fn rope(fields: &Fields<'_>, max_position_embeddings: u32) -> Result<(F32, RopeScaling)> {
	let (key, rope) = match (fields.get("rope_parameters"), fields.get("rope_scaling")) {
		(Some(rope), None) => ("rope_parameters", Some(rope)),
		(None, rope) => ("rope_scaling", rope),
		(Some(new), Some(old)) if new == old => ("rope_parameters", Some(new)),
		_ => return Err(Error::Config("`rope_parameters` and `rope_scaling` differ".into())),
	};
	let Some(rope) = rope else {
		return Ok((fields.float_or("rope_theta", 10_000.0)?, RopeScaling::None));
	};
	let rope = rope
		.as_object()
		.map(Fields::new)
		.ok_or_else(|| refused(key, rope, "an object"))?;
	if rope.get("partial_rotary_factor").is_some() {
		rope.only("partial_rotary_factor", json!(1.0))?;
	}
	let theta = match rope.float("rope_theta")? {
		Some(theta) => single(theta),
		None => fields.float_or("rope_theta", 10_000.0)?,
	};
	let kind = match (rope.get("rope_type"), rope.get("type")) {
		(Some(_), _) => rope.text("rope_type")?,
		(None, Some(_)) => rope.text("type")?,
		(None, None) if key == "rope_parameters" => "default",
		(None, None) => return Err(Error::Config("`rope_scaling` has no `rope_type`".into())),
	};
	let need = |name: &str| -> Result<f64> {
		rope.float(name)?
			.ok_or_else(|| Error::Config(format!("`{key}`: {kind} needs `{name}`")))
	};
	let original = rope.number_or("original_max_position_embeddings", max_position_embeddings)?;
	let scaling = match kind {
		"default" => RopeScaling::None,
		"linear" => RopeScaling::Linear {
			factor: single(need("factor")?),
		},
		"llama3" => RopeScaling::Llama3 {
			factor: single(need("factor")?),
			low_freq_factor: single(need("low_freq_factor")?),
			high_freq_factor: single(need("high_freq_factor")?),
			original_max_position_embeddings: original,
		},
		"yarn" => yarn(&rope, original, max_position_embeddings)?,
		other => {
			return Err(Error::Config(format!(
				"`{key}`: rotary positions scaled by \"{other}\" are not part of c1-w8 (default, linear, llama3 and yarn are)"
			)))
		}
	};
	Ok((theta, scaling))
}

fn yarn(rope: &Fields<'_>, original: u32, max_position_embeddings: u32) -> Result<RopeScaling> {
	let factor = match rope.float("factor")? {
		Some(factor) => factor,
		None => f64::from(max_position_embeddings) / f64::from(original.max(1)),
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

fn encoder(fields: &Fields<'_>) -> Result<EncoderConfig> {
	fields.only("hidden_act", json!("gelu"))?;
	fields.only("position_embedding_type", json!("absolute"))?;
	fields.only("pooling_mode", json!("mean"))?;
	fields.without("is_decoder")?;
	fields.without("add_cross_attention")?;
	fields.without("is_encoder_decoder")?;
	let max_position_embeddings = fields.number("max_position_embeddings")?;
	Ok(EncoderConfig {
		vocab_size: fields.number("vocab_size")?,
		hidden_size: fields.number("hidden_size")?,
		intermediate_size: fields.number("intermediate_size")?,
		num_hidden_layers: fields.number("num_hidden_layers")?,
		num_attention_heads: fields.number("num_attention_heads")?,
		max_position_embeddings,
		type_vocab_size: fields.number_or("type_vocab_size", 2)?,
		layer_norm_eps: fields.float_or("layer_norm_eps", 1e-12)?,
		// These two are not part of BERT's own file: the importer takes them from what sentence-transformers keeps
		// beside it.
		max_seq_length: fields.number_or("max_seq_length", max_position_embeddings)?,
		normalize: fields.flag_or("normalize", true)?,
	})
}

fn eos_ids(value: Option<&Value>) -> Result<Vec<u32>> {
	let ids = match value {
		Some(Value::Array(ids)) if ids.len() <= 64 => ids.iter().map(as_u32).collect(),
		Some(id) => as_u32(id).map(|id| vec![id]),
		None => None,
	};
	let mut ids: Vec<u32> =
		ids.ok_or_else(|| Error::Config("`eos_token_id` must be a token id or a list of them".into()))?;
	ids.sort_unstable();
	ids.dedup();
	Ok(ids)
}
