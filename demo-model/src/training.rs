//! Training: batches, loss on answers only, AdamW with a cosine schedule.

use crate::{corpus::Topic, llama::Llama, variants, vocabulary::Vocabulary};
use anyhow::{ensure, Context, Result};
use candle_core::{backprop::GradStore, Device, Tensor, Var, D};
use candle_nn::{loss::cross_entropy, AdamW, Optimizer, ParamsAdamW};
use rand::{rngs::StdRng, seq::SliceRandom, Rng, SeedableRng};

/// Options of a training run.
#[derive(Clone, Copy, Debug)]
pub struct TrainingConfig {
	/// Passes over the corpus.
	pub epochs: usize,
	/// Conversations in one step.
	pub batch: usize,
	/// Largest learning rate.
	pub rate: f64,
	/// Seed of all random choices.
	pub seed: u64,
}

/// Tokens of a shortened answer: the first words tell answers apart, and the rest is learned early.
const OPENING_TOKENS: usize = 6;
/// The first passes, in which all answers are whole.
const WHOLE_PASSES: usize = 2;
/// Probability that an answer is whole in later passes, so that it is not forgotten.
const WHOLE: f64 = 0.15;
/// Norm to which larger gradients are clipped.
const MAX_GRADIENT_NORM: f64 = 1.0;

/// One conversation as tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
	/// Prompt and answer.
	pub tokens: Vec<u32>,
	/// Where the answer starts.
	pub answer_at: usize,
}

impl Example {
	/// Returns the conversation of a question and its answer.
	pub fn new(vocabulary: &Vocabulary, question: &str, answer: &str) -> Result<Self> {
		let mut tokens = vocabulary.prompt(question)?;
		let answer_at = tokens.len();
		tokens.extend(vocabulary.answer(answer)?);
		Ok(Self { tokens, answer_at })
	}
}

/// Returns the batches of one pass. `whole` is the probability that an answer is not shortened.
pub fn pass(
	topics: &[Topic],
	vocabulary: &Vocabulary,
	config: &TrainingConfig,
	whole: f64,
	rng: &mut StdRng,
) -> Result<Vec<Vec<Example>>> {
	let mut examples = Vec::new();
	for topic in topics {
		for question in variants::questions(topic, rng) {
			let mut example = Example::new(vocabulary, &variants::typed(&question, rng), &topic.answer)?;
			if !rng.gen_bool(whole) {
				example.tokens.truncate(example.answer_at + OPENING_TOKENS);
			}
			examples.push(example);
		}
	}
	examples.shuffle(rng);
	// Conversations of similar length share a batch, so that there is little padding; the order of batches is random.
	let mut batches = Vec::new();
	for pool in examples.chunks_mut(config.batch * 24) {
		pool.sort_by_key(|e| e.tokens.len());
		batches.extend(pool.chunks(config.batch).map(<[_]>::to_vec));
	}
	batches.shuffle(rng);
	Ok(batches)
}

/// Returns the mean negative log-likelihood of the answers' tokens.
pub fn loss(model: &Llama, batch: &[Example]) -> Result<Tensor> {
	let (logits, targets) = answer_logits(model, batch)?;
	Ok(cross_entropy(&logits, &targets)?)
}

/// Returns for each example whether the model's greedy answer is exactly the expected one, and the summed negative
/// log-likelihood of its tokens. One forward pass is enough: the answers are equal if every expected token is the
/// likeliest after those before it.
pub fn exact_matches(model: &Llama, batch: &[Example]) -> Result<Vec<(bool, f64)>> {
	let (logits, targets) = answer_logits(model, batch)?;
	let best = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
	let nll = candle_nn::ops::log_softmax(&logits, D::Minus1)?
		.gather(&targets.unsqueeze(1)?, 1)?
		.squeeze(1)?;
	let (nll, targets) = (nll.to_vec1::<f32>()?, targets.to_vec1::<u32>()?);
	let mut rows = best.iter().zip(&targets).zip(&nll);
	let matches = batch.iter().map(|example| {
		let rows = rows.by_ref().take(example.tokens.len() - example.answer_at);
		rows.fold((true, 0.0), |(right, sum), ((b, t), l)| {
			(right && b == t, sum - f64::from(*l))
		})
	});
	Ok(matches.collect())
}

fn answer_logits(model: &Llama, batch: &[Example]) -> Result<(Tensor, Tensor)> {
	let length = batch.iter().map(|e| e.tokens.len()).max().context("an empty batch")?;
	let (mut tokens, mut rows, mut targets) = (Vec::new(), Vec::new(), Vec::new());
	for (i, example) in batch.iter().enumerate() {
		let start = (i * length) as u32;
		tokens.extend(example.tokens.iter().copied().chain(std::iter::repeat(0)).take(length));
		rows.extend((example.answer_at..example.tokens.len()).map(|t| start + t as u32 - 1));
		targets.extend_from_slice(&example.tokens[example.answer_at..]);
	}
	let tokens = Tensor::from_vec(tokens, (batch.len(), length), &Device::Cpu)?;
	let rows = Tensor::new(rows, &Device::Cpu)?;
	let logits = model.logits(&model.hidden_states(&tokens)?.index_select(&rows, 0)?)?;
	Ok((logits, Tensor::new(targets, &Device::Cpu)?))
}

/// AdamW, with weight decay on matrices and none on norms, and its learning rate schedule.
pub struct Trainer {
	matrices: AdamW,
	norms: AdamW,
	vars: Vec<Var>,
	rate: f64,
	done: usize,
	steps: usize,
}

impl Trainer {
	/// Returns a trainer for `steps` steps.
	pub fn new(model: &Llama, rate: f64, steps: usize) -> Result<Self> {
		let vars: Vec<Var> = model.weights().into_iter().map(|(_, var)| var.clone()).collect();
		let (matrices, norms) = vars.iter().cloned().partition(|var| var.rank() == 2);
		let params = ParamsAdamW {
			lr: rate,
			beta1: 0.9,
			beta2: 0.98,
			eps: 1e-8,
			weight_decay: 0.1,
		};
		let matrices = AdamW::new(matrices, params.clone())?;
		let norms = AdamW::new(
			norms,
			ParamsAdamW {
				weight_decay: 0.0,
				..params
			},
		)?;
		Ok(Self {
			matrices,
			norms,
			vars,
			rate,
			done: 0,
			steps,
		})
	}

	/// Takes one step on a batch; returns the loss before it.
	pub fn step(&mut self, model: &Llama, batch: &[Example]) -> Result<f64> {
		let loss = loss(model, batch)?;
		let value = f64::from(loss.to_scalar::<f32>()?);
		ensure!(
			value.is_finite(),
			"the loss became {value} at step {}: use a smaller --rate",
			self.done
		);
		let mut grads = loss.backward()?;
		self.clip(&mut grads)?;
		let rate = self.rate * schedule(self.done, self.steps);
		self.matrices.set_learning_rate(rate);
		self.norms.set_learning_rate(rate);
		self.matrices.step(&grads)?;
		self.norms.step(&grads)?;
		self.done += 1;
		Ok(value)
	}

	fn clip(&self, grads: &mut GradStore) -> Result<()> {
		let mut square = 0.0;
		for var in &self.vars {
			if let Some(grad) = grads.get(var) {
				square += f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?);
			}
		}
		let norm = square.sqrt();
		if norm > MAX_GRADIENT_NORM {
			for var in &self.vars {
				if let Some(grad) = grads.remove(var) {
					grads.insert(var, (grad * (MAX_GRADIENT_NORM / norm))?);
				}
			}
		}
		Ok(())
	}
}

/// Returns the factor on the learning rate at a step: a linear warm-up, then a cosine down to a fiftieth.
fn schedule(step: usize, steps: usize) -> f64 {
	let warm_up = (steps / 20).max(1);
	if step < warm_up {
		return (step + 1) as f64 / warm_up as f64;
	}
	let done = (step - warm_up) as f64 / (steps - warm_up).max(1) as f64;
	0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
}

/// Trains the model. `progress` is called after each step with epoch, steps done, all steps, loss and tokens, and
/// `pass_done` after each pass.
pub fn train(
	model: &Llama,
	topics: &[Topic],
	vocabulary: &Vocabulary,
	config: &TrainingConfig,
	mut progress: impl FnMut(usize, usize, usize, f64, usize),
	mut pass_done: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
	let mut rng = StdRng::seed_from_u64(config.seed);
	let passes = (0..config.epochs)
		.map(|epoch| {
			let whole = if epoch < WHOLE_PASSES { 1.0 } else { WHOLE };
			pass(topics, vocabulary, config, whole, &mut rng)
		})
		.collect::<Result<Vec<_>>>()?;
	let steps = passes.iter().map(Vec::len).sum();
	let mut trainer = Trainer::new(model, config.rate, steps)?;
	for (epoch, batches) in passes.iter().enumerate() {
		for batch in batches {
			let loss = trainer.step(model, batch)?;
			progress(
				epoch,
				trainer.done,
				steps,
				loss,
				batch.iter().map(|e| e.tokens.len()).sum(),
			);
		}
		pass_done(epoch)?;
	}
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::llama::tests::TINY;

	fn example(tokens: &[u32], answer_at: usize) -> Example {
		Example {
			tokens: tokens.to_vec(),
			answer_at,
		}
	}

	#[test]
	fn a_tiny_model_learns_two_answers() {
		let model = Llama::new(TINY, 1).unwrap();
		let batch = [
			example(&[1, 5, 2, 10, 11, 12, 3], 3),
			example(&[1, 6, 7, 2, 20, 21, 3], 4),
		];
		let mut trainer = Trainer::new(&model, 1e-2, 60).unwrap();
		let first = trainer.step(&model, &batch).unwrap();
		let last = (0..59).map(|_| trainer.step(&model, &batch).unwrap()).last().unwrap();
		assert!(first > 3.0 && last < 0.1, "{first} to {last}");
		assert!(exact_matches(&model, &batch)
			.unwrap()
			.iter()
			.all(|(right, nll)| *right && *nll < 0.5));
	}

	#[test]
	fn the_prompt_and_the_padding_cost_nothing() {
		let model = Llama::new(TINY, 2).unwrap();
		let short = example(&[1, 5, 2, 10, 3], 3);
		let long = example(&[1, 6, 7, 8, 9, 2, 20, 21, 22, 3], 6);
		let alone = exact_matches(&model, std::slice::from_ref(&short)).unwrap()[0].1;
		let padded = exact_matches(&model, &[short.clone(), long]).unwrap()[0].1;
		assert!((alone - padded).abs() < 1e-4, "{alone} alone, {padded} padded");
		let mean = f64::from(loss(&model, &[short]).unwrap().to_scalar::<f32>().unwrap());
		assert!(
			(mean - alone / 2.0).abs() < 1e-4,
			"the loss counts the two answer tokens"
		);
	}

	#[test]
	fn the_learning_rate_rises_and_falls() {
		let rates: Vec<f64> = (0..100).map(|s| schedule(s, 100)).collect();
		assert!(rates[0] < 0.3 && (rates[5] - 1.0).abs() < 1e-9 && rates[99] < 0.03);
		assert!(rates[5..].windows(2).all(|w| w[1] < w[0]));
	}

	#[test]
	fn the_same_seed_makes_the_same_pass() {
		let topics = crate::corpus::parse("[t]\n= Yes it is.\nterm: a job\n- is it?\n* or not?").unwrap();
		let texts: Vec<String> = vec!["Yes it is. Is it a job, is a job it?".into()];
		let vocabulary = Vocabulary::learn(&texts, 280).unwrap();
		let config = TrainingConfig {
			epochs: 1,
			batch: 2,
			rate: 1e-3,
			seed: 9,
		};
		let make = |seed| pass(&topics, &vocabulary, &config, 0.5, &mut StdRng::seed_from_u64(seed)).unwrap();
		assert_eq!(make(9), make(9));
		assert_eq!(make(9).iter().flatten().count(), 3);
		assert!(make(9).iter().flatten().all(|e| e.answer_at < e.tokens.len()));
	}
}
