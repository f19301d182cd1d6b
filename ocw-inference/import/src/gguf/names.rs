//! llama.cpp's names of tensors, and Hugging Face's.

/// Parts of a layer: llama.cpp's name and Hugging Face's.
const PARTS: [(&str, &str); 11] = [
	("attn_norm", "input_layernorm"),
	("ffn_norm", "post_attention_layernorm"),
	("attn_q", "self_attn.q_proj"),
	("attn_k", "self_attn.k_proj"),
	("attn_v", "self_attn.v_proj"),
	("attn_output", "self_attn.o_proj"),
	("attn_q_norm", "self_attn.q_norm"),
	("attn_k_norm", "self_attn.k_norm"),
	("ffn_gate", "mlp.gate_proj"),
	("ffn_up", "mlp.up_proj"),
	("ffn_down", "mlp.down_proj"),
];

/// Hugging Face's name of a decoder's tensor.
pub(super) fn published(name: &str) -> Option<String> {
	match name {
		"token_embd.weight" => return Some("model.embed_tokens.weight".into()),
		"output_norm.weight" => return Some("model.norm.weight".into()),
		"output.weight" => return Some("lm_head.weight".into()),
		_ => {}
	}
	let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
	// One way to write a number, so that no two names become one.
	let layer: u32 = layer.parse().ok().filter(|n: &u32| n.to_string() == layer)?;
	let (part, kind) = rest.rsplit_once('.')?;
	let (_, theirs) = PARTS.iter().find(|(ours, _)| *ours == part)?;
	matches!(kind, "weight" | "bias").then(|| format!("model.layers.{layer}.{theirs}.{kind}"))
}

/// Whether llama.cpp's converter interleaves the rows of this tensor of a Llama, by Hugging Face's name.
pub(super) fn is_interleaved(name: &str) -> bool {
	[".q_proj.weight", ".q_proj.bias", ".k_proj.weight", ".k_proj.bias"]
		.iter()
		.any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn names_become_those_of_hugging_face() {
		assert_eq!(
			published("blk.12.attn_q.weight").unwrap(),
			"model.layers.12.self_attn.q_proj.weight"
		);
		assert_eq!(
			published("blk.0.attn_k.bias").unwrap(),
			"model.layers.0.self_attn.k_proj.bias"
		);
		assert_eq!(published("output.weight").unwrap(), "lm_head.weight");
		for unknown in [
			"blk.00.attn_q.weight",
			"blk.+1.attn_q.weight",
			"blk.1.attn_q.scale",
			"blk.1.ffn_gate_exps.weight",
			"x",
		] {
			assert_eq!(published(unknown), None, "{unknown}");
		}
	}
}
