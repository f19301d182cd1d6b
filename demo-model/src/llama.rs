//! The model in training: the Llama architecture in f32, differentiable, as Hugging Face defines it.
//!
//! RMSNorm, rotary positions over rotated halves, grouped-query attention, SwiGLU, tied embeddings. Whatever reads the
//! exported directory (candle, transformers, `assay model import`) computes the same function.

use anyhow::{ensure, Result};
use candle_core::{DType, Device, Tensor, Var, D};
use candle_nn::{ops::softmax, rotary_emb::rope_slow};
use rand::{rngs::StdRng, Rng, SeedableRng};

/// The hyperparameters of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LlamaConfig {
	/// Width of the residual stream.
	pub hidden: usize,
	/// Layers.
	pub layers: usize,
	/// Query heads.
	pub heads: usize,
	/// Key and value heads; divides `heads`.
	pub kv_heads: usize,
	/// Width of the feed-forward part.
	pub ffn: usize,
	/// Tokens in the vocabulary.
	pub vocab: usize,
	/// Most tokens of a conversation.
	pub context: usize,
	/// Added to the mean square in RMSNorm.
	pub eps: f64,
	/// Base of the rotary frequencies.
	pub theta: f64,
}

impl LlamaConfig {
	/// Returns the width of one head.
	pub fn head_dim(&self) -> usize {
		self.hidden / self.heads
	}
}

struct Layer {
	attn_norm: Var,
	q: Var,
	k: Var,
	v: Var,
	o: Var,
	mlp_norm: Var,
	gate: Var,
	up: Var,
	down: Var,
}

/// Weights and rotary tables.
pub struct Llama {
	config: LlamaConfig,
	embed: Var,
	layers: Vec<Layer>,
	norm: Var,
	cos: Tensor,
	sin: Tensor,
	mask: Tensor,
}

impl Llama {
	/// Returns a model with random weights; the same for the same seed.
	pub fn new(config: LlamaConfig, seed: u64) -> Result<Self> {
		ensure!(
			config.hidden.is_multiple_of(config.heads),
			"hidden {} is not a multiple of {} heads",
			config.hidden,
			config.heads
		);
		ensure!(
			config.heads.is_multiple_of(config.kv_heads),
			"{} heads, {} kv heads",
			config.heads,
			config.kv_heads
		);
		let rng = &mut StdRng::seed_from_u64(seed);
		let (hidden, kv) = (config.hidden, config.head_dim() * config.kv_heads);
		let fan = |inputs: usize| 1.0 / (inputs as f32).sqrt();
		// Projections into the residual stream start smaller: its variance grows with every addition.
		let residual = 1.0 / (2.0 * config.layers as f32).sqrt();
		let embed = normal(rng, config.vocab, hidden, 0.05)?;
		let layers = (0..config.layers)
			.map(|_| {
				Ok(Layer {
					attn_norm: ones(hidden)?,
					q: normal(rng, hidden, hidden, fan(hidden))?,
					k: normal(rng, kv, hidden, fan(hidden))?,
					v: normal(rng, kv, hidden, fan(hidden))?,
					o: normal(rng, hidden, hidden, fan(hidden) * residual)?,
					mlp_norm: ones(hidden)?,
					gate: normal(rng, config.ffn, hidden, fan(hidden))?,
					up: normal(rng, config.ffn, hidden, fan(hidden))?,
					down: normal(rng, hidden, config.ffn, fan(config.ffn) * residual)?,
				})
			})
			.collect::<Result<_>>()?;
		let (cos, sin) = rotary(&config)?;
		Ok(Self {
			config,
			embed,
			layers,
			norm: ones(hidden)?,
			cos,
			sin,
			mask: causal_mask(config.context)?,
		})
	}

	/// Returns the hyperparameters.
	pub fn config(&self) -> &LlamaConfig {
		&self.config
	}

	/// Returns every weight with its Hugging Face name.
	pub fn weights(&self) -> Vec<(String, &Var)> {
		let mut all = vec![("model.embed_tokens.weight".to_string(), &self.embed)];
		for (i, layer) in self.layers.iter().enumerate() {
			let parts = [
				("input_layernorm", &layer.attn_norm),
				("self_attn.q_proj", &layer.q),
				("self_attn.k_proj", &layer.k),
				("self_attn.v_proj", &layer.v),
				("self_attn.o_proj", &layer.o),
				("post_attention_layernorm", &layer.mlp_norm),
				("mlp.gate_proj", &layer.gate),
				("mlp.up_proj", &layer.up),
				("mlp.down_proj", &layer.down),
			];
			all.extend(parts.map(|(name, var)| (format!("model.layers.{i}.{name}.weight"), var)));
		}
		all.push(("model.norm.weight".to_string(), &self.norm));
		all
	}

	/// Returns the number of weights.
	pub fn parameters(&self) -> usize {
		self.weights().iter().map(|(_, w)| w.elem_count()).sum()
	}

	/// Returns the normalized hidden states `[batch × length, hidden]` of token ids `[batch, length]`.
	pub fn hidden_states(&self, tokens: &Tensor) -> Result<Tensor> {
		let (batch, length) = tokens.dims2()?;
		ensure!(
			length <= self.config.context,
			"{length} tokens, but the context holds {}",
			self.config.context
		);
		let mut x = self.embed.as_tensor().index_select(&tokens.flatten_all()?, 0)?;
		for layer in &self.layers {
			let y = self.rms_norm(&x, &layer.attn_norm)?;
			x = (x + self.attention(layer, &y, batch, length)?)?;
			let y = self.rms_norm(&x, &layer.mlp_norm)?;
			let gated = (linear(&y, &layer.gate)?.silu()? * linear(&y, &layer.up)?)?;
			x = (x + linear(&gated, &layer.down)?)?;
		}
		self.rms_norm(&x, &self.norm)
	}

	/// Returns the logits of normalized hidden states.
	pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
		linear(hidden, &self.embed)
	}

	fn attention(&self, layer: &Layer, x: &Tensor, batch: usize, length: usize) -> Result<Tensor> {
		let LlamaConfig {
			heads,
			kv_heads,
			hidden,
			..
		} = self.config;
		let (dim, group) = (self.config.head_dim(), heads / kv_heads);
		let split = |w: &Var, n: usize| -> Result<Tensor> {
			Ok(linear(x, w)?
				.reshape((batch, length, n, dim))?
				.transpose(1, 2)?
				.contiguous()?)
		};
		let (cos, sin) = (self.cos.narrow(0, 0, length)?, self.sin.narrow(0, 0, length)?);
		let q = rope_slow(&split(&layer.q, heads)?, &cos, &sin)?;
		let k = rope_slow(&split(&layer.k, kv_heads)?, &cos, &sin)?;
		let v = split(&layer.v, kv_heads)?;
		// Query heads of one group share a kv head: their rows are stacked instead of copying keys and values.
		let q = (q.reshape((batch, kv_heads, group * length, dim))? / (dim as f64).sqrt())?;
		let scores = q
			.matmul(&k.transpose(2, 3)?.contiguous()?)?
			.reshape((batch, heads, length, length))?;
		let mask = self.mask.narrow(0, 0, length)?.narrow(1, 0, length)?;
		let weights = softmax(&scores.broadcast_add(&mask)?, D::Minus1)?;
		let mixed = weights.reshape((batch, kv_heads, group * length, length))?.matmul(&v)?;
		let mixed = mixed
			.reshape((batch, heads, length, dim))?
			.transpose(1, 2)?
			.reshape((batch * length, hidden))?;
		linear(&mixed, &layer.o)
	}

	fn rms_norm(&self, x: &Tensor, weight: &Var) -> Result<Tensor> {
		let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + self.config.eps)?.sqrt()?;
		Ok(x.broadcast_div(&scale)?.broadcast_mul(weight)?)
	}
}

fn linear(x: &Tensor, weight: &Var) -> Result<Tensor> {
	Ok(x.matmul(&weight.t()?)?)
}

fn ones(n: usize) -> Result<Var> {
	Ok(Var::ones(n, DType::F32, &Device::Cpu)?)
}

/// Draws normally distributed weights by the Box–Muller method, because candle's generator takes no seed on a CPU.
fn normal(rng: &mut StdRng, rows: usize, columns: usize, deviation: f32) -> Result<Var> {
	let values: Vec<f32> = (0..rows * columns)
		.map(|_| {
			let (radius, angle): (f32, f32) = (1.0 - rng.gen::<f32>(), rng.gen());
			deviation * (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
		})
		.collect();
	Ok(Var::from_tensor(&Tensor::from_vec(
		values,
		(rows, columns),
		&Device::Cpu,
	)?)?)
}

fn rotary(config: &LlamaConfig) -> Result<(Tensor, Tensor)> {
	let (dim, half) = (config.head_dim(), config.head_dim() / 2);
	let angles = |f: fn(f64) -> f64| -> Result<Tensor> {
		let values: Vec<f32> = (0..config.context)
			.flat_map(|t| {
				(0..half).map(move |i| f(t as f64 * config.theta.powf(-((2 * i) as f64) / dim as f64)) as f32)
			})
			.collect();
		Ok(Tensor::from_vec(values, (config.context, half), &Device::Cpu)?)
	};
	Ok((angles(f64::cos)?, angles(f64::sin)?))
}

fn causal_mask(context: usize) -> Result<Tensor> {
	let values: Vec<f32> = (0..context)
		.flat_map(|i| (0..context).map(move |j| if j > i { -1e9 } else { 0.0 }))
		.collect();
	Ok(Tensor::from_vec(values, (context, context), &Device::Cpu)?)
}

#[cfg(test)]
pub(crate) mod tests {
	use super::*;

	pub(crate) const TINY: LlamaConfig = LlamaConfig {
		hidden: 32,
		layers: 2,
		heads: 4,
		kv_heads: 2,
		ffn: 64,
		vocab: 40,
		context: 24,
		eps: 1e-5,
		theta: 10_000.0,
	};

	fn logits(model: &Llama, tokens: &[u32]) -> Vec<Vec<f32>> {
		let tokens = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
		model
			.logits(&model.hidden_states(&tokens).unwrap())
			.unwrap()
			.to_vec2()
			.unwrap()
	}

	#[test]
	fn a_later_token_never_changes_earlier_logits() {
		let model = Llama::new(TINY, 7).unwrap();
		let (a, b) = (logits(&model, &[1, 2, 3, 4, 5]), logits(&model, &[1, 2, 3, 4, 39]));
		assert_eq!(a[..4], b[..4]);
		assert_ne!(a[4], b[4]);
	}

	#[test]
	fn a_conversation_longer_than_the_context_is_refused() {
		let model = Llama::new(TINY, 7).unwrap();
		let tokens = Tensor::zeros((1, 25), DType::U32, &Device::Cpu).unwrap();
		assert!(model
			.hidden_states(&tokens)
			.unwrap_err()
			.to_string()
			.contains("context"));
	}

	/// The same function in plain loops, after Hugging Face's `modeling_llama.py`.
	fn reference(model: &Llama, tokens: &[u32]) -> Vec<Vec<f32>> {
		let s = *model.config();
		let (dim, half) = (s.head_dim(), s.head_dim() / 2);
		let w: std::collections::HashMap<_, Vec<f32>> = model
			.weights()
			.into_iter()
			.map(|(n, v)| (n, v.flatten_all().unwrap().to_vec1().unwrap()))
			.collect();
		let matvec = |name: &str, x: &[f32]| -> Vec<f32> {
			w[name]
				.chunks(x.len())
				.map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
				.collect()
		};
		let norm = |name: &str, x: &[f32]| -> Vec<f32> {
			let mean = x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32;
			x.iter()
				.zip(&w[name])
				.map(|(v, g)| v / (mean + s.eps as f32).sqrt() * g)
				.collect()
		};
		let rope = |x: &mut [f32], t: usize| {
			for head in x.chunks_mut(dim) {
				for i in 0..half {
					let angle = t as f64 / s.theta.powf(2.0 * i as f64 / dim as f64);
					let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
					let (a, b) = (head[i], head[i + half]);
					(head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
				}
			}
		};
		let mut xs: Vec<Vec<f32>> = tokens
			.iter()
			.map(|t| {
				w["model.embed_tokens.weight"]
					.chunks(s.hidden)
					.nth(*t as usize)
					.unwrap()
					.to_vec()
			})
			.collect();
		for l in 0..s.layers {
			let name = |part: &str| format!("model.layers.{l}.{part}.weight");
			let (mut keys, mut values): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (vec![], vec![]);
			for (t, x) in xs.iter_mut().enumerate() {
				let y = norm(&name("input_layernorm"), x);
				let mut q = matvec(&name("self_attn.q_proj"), &y);
				let mut k = matvec(&name("self_attn.k_proj"), &y);
				rope(&mut q, t);
				rope(&mut k, t);
				keys.push(k);
				values.push(matvec(&name("self_attn.v_proj"), &y));
				let mut mixed = vec![0.0; s.hidden];
				for h in 0..s.heads {
					let kv = h / (s.heads / s.kv_heads) * dim;
					let score = |k: &Vec<f32>| -> f32 {
						(0..dim).map(|i| q[h * dim + i] * k[kv + i]).sum::<f32>() / (dim as f32).sqrt()
					};
					let exps: Vec<f32> = keys.iter().map(|k| score(k).exp()).collect();
					let total: f32 = exps.iter().sum();
					for (e, v) in exps.iter().zip(&values) {
						(0..dim).for_each(|i| mixed[h * dim + i] += e / total * v[kv + i]);
					}
				}
				let out = matvec(&name("self_attn.o_proj"), &mixed);
				x.iter_mut().zip(out).for_each(|(a, b)| *a += b);
				let y = norm(&name("post_attention_layernorm"), x);
				let gate = matvec(&name("mlp.gate_proj"), &y);
				let up = matvec(&name("mlp.up_proj"), &y);
				let act: Vec<f32> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
				let down = matvec(&name("mlp.down_proj"), &act);
				x.iter_mut().zip(down).for_each(|(a, b)| *a += b);
			}
		}
		xs.iter()
			.map(|x| matvec("model.embed_tokens.weight", &norm("model.norm.weight", x)))
			.collect()
	}

	#[test]
	fn the_batched_forward_equals_the_plain_reference() {
		let model = Llama::new(TINY, 11).unwrap();
		let tokens = [3, 1, 4, 1, 5, 9, 2, 6];
		for (fast, plain) in logits(&model, &tokens).iter().zip(reference(&model, &tokens)) {
			for (a, b) in fast.iter().zip(plain) {
				assert!((a - b).abs() < 1e-4, "{a} and {b}");
			}
		}
	}
}
