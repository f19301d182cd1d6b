//! Hugging Face's `config.json`, with the meaning and the defaults that each family's code in transformers gives it.

use super::{
	fields::{as_u32, refused, shown, Fields},
	keys::{self, Keys},
	rope::{self, LayerType},
	Architecture, DecoderConfig, EncoderConfig, Hyperparameters, ModelConfig,
};
use crate::{files, Error, Result};
use serde_json::{json, Value};

/// The classes of transformers whose function a decoder's is, and an encoder's. Their heads differ; what makes an
/// encoder's vector does not.
const DECODER_CLASSES: [&str; 5] = [
	"LlamaForCausalLM",
	"LLaMAForCausalLM",
	"MistralForCausalLM",
	"Qwen2ForCausalLM",
	"Qwen3ForCausalLM",
];
const ENCODER_CLASSES: [&str; 4] = [
	"BertModel",
	"BertForMaskedLM",
	"BertForPreTraining",
	"BertForNextSentencePrediction",
];

/// Reads a `config.json`. `ends` are the tokens that end an answer, if another file names them.
pub(super) fn config(json: &[u8], ends: Option<Vec<u32>>) -> Result<ModelConfig> {
	let root: Value = files::CONFIG_LIMITS.parse(json).map_err(Error::Config)?;
	let root = root
		.as_object()
		.ok_or_else(|| Error::Config("it is not a JSON object".into()))?;
	let fields = Fields::new(root);
	let model_type = fields.text("model_type")?;
	let architecture = Architecture::of(model_type).ok_or_else(|| {
		Error::Config(format!(
			"`model_type` is \"{model_type}\"; c2 knows {}",
			Architecture::names()
		))
	})?;
	Keys::check(&keys::of_family(architecture), root, files::CONFIG, "").map_err(Error::Config)?;
	classes(&fields, architecture)?;
	let hyperparameters = match architecture {
		Architecture::Bert => Hyperparameters::Encoder(encoder(&fields)?),
		family => Hyperparameters::Decoder(decoder(&fields, family, ends)?),
	};
	Ok(ModelConfig {
		architecture,
		hyperparameters,
	})
}

/// Refuses a file that is a model of another class than its family's: a classifier has the same layers and another
/// function. As in transformers, `model_type` alone decides the family.
fn classes(fields: &Fields<'_>, family: Architecture) -> Result<()> {
	let (known, what): (&[&str], _) = match family {
		Architecture::Bert => (&ENCODER_CLASSES, "a sentence encoder"),
		_ => (&DECODER_CLASSES, "a model that writes text"),
	};
	let Some(named) = fields.get("architectures") else {
		return Ok(());
	};
	let all = |list: &Vec<Value>| list.iter().all(|c| c.as_str().is_some_and(|c| known.contains(&c)));
	if named.as_array().is_some_and(all) {
		return Ok(());
	}
	Err(Error::Config(format!(
		"`architectures` is {}, which is not {what}: an embedding model, a reward model or a classifier has the same \
		 layers and another function. Of {}, c2 computes {}; import such a model",
		shown(named),
		family.name(),
		known.join(", ")
	)))
}

fn decoder(fields: &Fields<'_>, family: Architecture, ends: Option<Vec<u32>>) -> Result<DecoderConfig> {
	fields.only("hidden_act", json!("silu"))?;
	fields.only("partial_rotary_factor", json!(1.0))?;
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
	let num_hidden_layers = fields.number("num_hidden_layers")?;
	let (sliding_window, layer_type) = sliding_window(fields, family, num_hidden_layers)?;
	let (rope_theta, rope_scaling) = rope::read(fields, max_position_embeddings, layer_type)?;
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
		sliding_window,
		attention_bias: qkv,
		output_bias: output,
		mlp_bias: mlp,
		qk_norm: family == Architecture::Qwen3,
		tie_word_embeddings: fields.flag_or("tie_word_embeddings", false)?,
		eos_token_ids: match ends {
			Some(ends) => ends,
			None => own_ends(fields)?,
		},
	})
}

fn mixed() -> Error {
	Error::Config(
		"`layer_types`: layers with and without a sliding window in one model are not part of c2; take another model"
			.into(),
	)
}

/// Returns whether all layers have a window by `layer_types`, if it is there.
fn listed_window(fields: &Fields<'_>, layers: u32) -> Result<Option<bool>> {
	let Some(types) = fields.get("layer_types") else {
		return Ok(None);
	};
	let list = types
		.as_array()
		.ok_or_else(|| refused("layer_types", types, "a list"))?;
	if list.len() != layers as usize {
		return Err(Error::Config(format!(
			"`layer_types` names {} layers and must name every layer of {layers}; correct it",
			list.len()
		)));
	}
	let all = |kind: &str| list.iter().all(|t| t == kind);
	match (all("full_attention"), all("sliding_attention")) {
		(true, _) => Ok(Some(false)),
		(_, true) => Ok(Some(true)),
		_ => Err(mixed()),
	}
}

/// Returns the window of all layers, and what transformers calls such layers where it distinguishes them. A model in
/// which some layers have a window and others do not is refused.
fn sliding_window(fields: &Fields<'_>, family: Architecture, layers: u32) -> Result<(Option<u32>, Option<LayerType>)> {
	let listed = listed_window(fields, layers)?;
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
					window in one model are not part of c2"
				)));
			} else {
				Some(fields.number_or("sliding_window", 4096)?)
			}
		}
	};
	// Llama and Mistral have no types of layers unless the file lists them.
	let typed = listed.is_some() || matches!(family, Architecture::Qwen2 | Architecture::Qwen3);
	let layer_type = typed.then_some(if window.is_some() {
		"sliding_attention"
	} else {
		"full_attention"
	});
	match listed {
		// The list and the window must not contradict each other.
		Some(sliding) if sliding != window.is_some() => Err(mixed()),
		_ => Ok((window, layer_type)),
	}
}

fn encoder(fields: &Fields<'_>) -> Result<EncoderConfig> {
	fields.only("hidden_act", json!("gelu"))?;
	fields.only("position_embedding_type", json!("absolute"))?;
	fields.only("pooling_mode", json!("mean"))?;
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

fn own_ends(fields: &Fields<'_>) -> Result<Vec<u32>> {
	let missing =
		"`eos_token_id` is missing, so no token would end an answer: add it, here or in generation_config.json";
	let ids = fields
		.get("eos_token_id")
		.ok_or_else(|| Error::Config(missing.into()))?;
	eos_token_ids(ids).map_err(Error::Config)
}

/// Returns the tokens of an `eos_token_id`, ascending, or why it names none.
pub(super) fn eos_token_ids(value: &Value) -> std::result::Result<Vec<u32>, String> {
	let ids = match value {
		Value::Array(ids) if ids.len() <= 64 => ids.iter().map(as_u32).collect(),
		id => as_u32(id).map(|id| vec![id]),
	};
	let mut ids: Vec<u32> = ids.ok_or_else(|| {
		format!(
			"`eos_token_id` is {}, not a token id or a list of at most 64 of them; correct it",
			shown(value)
		)
	})?;
	ids.sort_unstable();
	ids.dedup();
	Ok(ids)
}
