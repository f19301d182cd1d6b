//! Measures how large the inputs of a decoder's matrices are over a text, so that an importer can weight errors of weights
//! by it. The arithmetic is the profile's, so every machine finds the same.

use crate::{
	model::decoder::{moments::InputMoments, Batch},
	Error, Model, Result,
};
use assay_numerics::{kv::Segment, trace::CHUNK};

/// A piece of text to measure with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'t> {
	/// What a user asks, if the text is a model's answer: the chat template goes around it.
	pub question: Option<&'t str>,
	/// The text.
	pub text: &'t str,
}

/// Most tokens that are computed together, each seeing those before it.
const WINDOW: usize = 512;

/// Returns the moments of the inputs over documents. Each is cut into windows of at most 512 tokens; a line that the
/// tokenizer has no tokens for is left out.
pub fn measure(model: &Model, documents: &[Document<'_>]) -> Result<InputMoments> {
	let decoder = model.decoder()?;
	let window = WINDOW.min(decoder.config().max_position_embeddings as usize).max(1);
	let mut pool = decoder.pool(window.div_ceil(CHUNK))?;
	let pages: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
	let mut moments = decoder.moments();
	for document in documents {
		for tokens in tokens(model, document).chunks(window) {
			let segments = [Segment {
				rows: 0..tokens.len(),
				start: 0,
				pages: &pages,
			}];
			let batch = Batch {
				tokens,
				segments: &segments,
			};
			decoder.add_moments(&batch, &mut pool, &mut moments)?;
		}
	}
	if moments.rows == 0 {
		return Err(Error::Compute(
			"the tokenizer has no tokens for plain English, so there is nothing to measure the model with; import it with \
			 --weights w8"
				.into(),
		));
	}
	Ok(moments)
}

/// Returns the tokens of a document: of a question that the template refuses none, and of a text that the tokenizer
/// refuses those of the lines that it takes.
fn tokens(model: &Model, document: &Document<'_>) -> Vec<u32> {
	let of = |text: &str| model.tokenizer().encode(text);
	let question = document.question.and_then(|question| model.prompt(question).ok());
	let lines = || document.text.split_inclusive('\n').filter_map(|line| of(line).ok());
	let text = of(document.text).unwrap_or_else(|_| lines().flatten().collect());
	question.into_iter().flatten().chain(text).collect()
}
