//! The canonical forward pass against a plain float one, written down from the architecture and sharing nothing with it.

use crate::common::{config, model, values, Tiny};
use assay_model_folder::{
	config::{DecoderConfig, ModelConfig},
	layout::source_layout,
};
use std::collections::HashMap;

type Matrix<'a> = &'a [f32];

fn matmul(x: &[f32], w: Matrix<'_>) -> Vec<f32> {
	w.chunks(x.len())
		.map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
		.collect()
}

fn norm(x: &[f32], w: Matrix<'_>, eps: f32) -> Vec<f32> {
	let r = 1.0 / (x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32 + eps).sqrt();
	x.iter().zip(w).map(|(x, w)| x * r * w).collect()
}

fn rope(x: &mut [f32], head_dim: usize, position: usize, theta: f32) {
	for head in x.chunks_mut(head_dim) {
		for i in 0..head_dim / 2 {
			let angle = position as f32 * theta.powf(-2.0 * i as f32 / head_dim as f32);
			let (a, b) = (head[i], head[i + head_dim / 2]);
			head[i] = a * angle.cos() - b * angle.sin();
			head[i + head_dim / 2] = b * angle.cos() + a * angle.sin();
		}
	}
}

/// Returns the logits of every position.
fn forward(weights: &HashMap<String, Vec<f32>>, n: &DecoderConfig, tokens: &[u32]) -> Vec<Vec<f32>> {
	let (hidden, head_dim, eps) = (n.hidden_size as usize, n.head_dim as usize, n.rms_norm_eps.0);
	let group = (n.num_attention_heads / n.num_key_value_heads) as usize;
	let embedding = &weights["model.embed_tokens.weight"];
	let mut rows: Vec<Vec<f32>> = tokens
		.iter()
		.map(|t| embedding[*t as usize * hidden..][..hidden].to_vec())
		.collect();
	for layer in 0..n.num_hidden_layers {
		let w = |name: &str| weights[&format!("model.layers.{layer}.{name}.weight")].as_slice();
		let (mut keys, mut vals) = (Vec::new(), Vec::new());
		for (position, x) in rows.iter_mut().enumerate() {
			let h = norm(x, w("input_layernorm"), eps);
			let (mut q, mut k) = (matmul(&h, w("self_attn.q_proj")), matmul(&h, w("self_attn.k_proj")));
			rope(&mut q, head_dim, position, n.rope_theta.0);
			rope(&mut k, head_dim, position, n.rope_theta.0);
			keys.push(k);
			vals.push(matmul(&h, w("self_attn.v_proj")));
			let mut attended = Vec::new();
			for (head, q) in q.chunks(head_dim).enumerate() {
				let at = head / group * head_dim;
				let dot = |k: &Vec<f32>| q.iter().zip(&k[at..at + head_dim]).map(|(a, b)| a * b).sum::<f32>();
				let scores: Vec<f32> = keys.iter().map(|k| (dot(k) / (head_dim as f32).sqrt()).exp()).collect();
				let total: f32 = scores.iter().sum();
				attended.extend(
					(0..head_dim).map(|d| scores.iter().zip(&vals).map(|(s, v)| s * v[at + d]).sum::<f32>() / total),
				);
			}
			x.iter_mut()
				.zip(matmul(&attended, w("self_attn.o_proj")))
				.for_each(|(x, o)| *x += o);
			let h = norm(x, w("post_attention_layernorm"), eps);
			let (gate, up) = (matmul(&h, w("mlp.gate_proj")), matmul(&h, w("mlp.up_proj")));
			let intermediate: Vec<f32> = gate.iter().zip(&up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
			x.iter_mut()
				.zip(matmul(&intermediate, w("mlp.down_proj")))
				.for_each(|(x, o)| *x += o);
		}
	}
	let head = weights.get("lm_head.weight").unwrap_or(embedding);
	rows.iter()
		.map(|x| matmul(&norm(x, &weights["model.norm.weight"], eps), head))
		.collect()
}

#[test]
fn logits_are_within_three_per_cent_of_a_plain_float_forward() {
	for tiny in [
		Tiny::default(),
		Tiny {
			seed: 2,
			tied: false,
			..Tiny::default()
		},
	] {
		let hyperparameters = ModelConfig::parse(config(tiny).to_string().as_bytes())
			.unwrap()
			.hyperparameters;
		let weights = source_layout(&hyperparameters)
			.iter()
			.map(|t| (t.name.clone(), values(tiny, t)))
			.collect();
		let tokens: Vec<u32> = (0..60u32).map(|i| (i * 31 + 7) % 256).collect();
		let truth = forward(&weights, hyperparameters.decoder().unwrap(), &tokens).concat();

		let model = model(tiny);
		let logits = crate::rows::logits(&model, &tokens);
		let squares = |it: &mut dyn Iterator<Item = f32>| it.map(|v| f64::from(v).powi(2)).sum::<f64>();
		let distance =
			squares(&mut logits.iter().zip(&truth).map(|(a, b)| a - b)) / squares(&mut truth.iter().copied());
		assert!(distance.sqrt() < 0.03, "relative distance {}", distance.sqrt());
		assert!(distance > 0.0);
	}
}
