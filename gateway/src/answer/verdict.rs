//! What an ending is to a client: a word, or an error.

use super::NO_ANSWER;
use crate::error::ApiError;
use assay_primitives::{receipt::RefundReason, Failure, Verdict};
use axum::http::StatusCode;

/// Returns the word for a verdict.
pub(super) fn name(verdict: &Verdict) -> &'static str {
	match verdict {
		Verdict::Confirmed => "confirmed",
		Verdict::Unchecked => "unchecked",
		Verdict::Unverified => "unverified",
		Verdict::Overturned => "overturned",
		Verdict::Refunded(_) => "refunded",
	}
}

/// Returns the error of a job that has no answer and costs nothing.
pub(super) fn refunded(verdict: Verdict) -> ApiError {
	let reason = match verdict {
		Verdict::Refunded(RefundReason::QueueTimeOver) => "no provider had a free place within the quoted time",
		Verdict::Refunded(RefundReason::NoOutput) => "no executor published an answer in time",
		Verdict::Refunded(RefundReason::Undecided) => {
			return ApiError::new(
				StatusCode::BAD_GATEWAY,
				"answer_rejected",
				"a verifier rejected the answer, and the electorate did not decide. The job was refunded: discard the text, \
				 and ask again under a new `Idempotency-Key`",
			)
		}
		_ => {
			return ApiError::new(
				StatusCode::BAD_GATEWAY,
				"answer_overturned",
				"verifiers found the answer false. The job was refunded: discard the text, and ask again under a new \
				 `Idempotency-Key`",
			)
		}
	};
	ApiError::unavailable(
		NO_ANSWER,
		format!("{reason}. The job was refunded: ask again, under a new `Idempotency-Key` if you gave one"),
	)
}

/// Returns the error of a request that every honest machine refuses for the same reason.
pub(super) fn failed(failure: Failure, part: &str) -> ApiError {
	let bad = |code, message: String, param: &str| ApiError::new(StatusCode::BAD_REQUEST, code, message).param(param);
	match failure {
		Failure::PromptTooLong => bad(
			"context_length_exceeded",
			"prompt is too long: it fills the model's context and leaves nothing for an answer; shorten the conversation".into(),
			"messages",
		),
		Failure::NonFinite => ApiError::new(
			StatusCode::BAD_GATEWAY,
			"model_failed",
			"the model computed no finite numbers for this prompt; change the prompt or choose another model",
		),
		Failure::Template => bad(
			"template_refused",
			match part {
				"" => "the model's chat template refuses this conversation; check the order of its roles, and whether the model \
				       knows tools"
					.into(),
				// The template's own words.
				why => format!("the model's chat template refuses this conversation: {why}"),
			},
			"messages",
		),
		Failure::NoTokens => bad("empty_prompt", "the rendered prompt has no tokens; ask something".into(), "messages"),
		Failure::NotGenerative => bad(
			"model_not_generative",
			"this model generates no text; choose another one".into(),
			"model",
		),
		Failure::PartLeftOut => bad(
			"part_left_out",
			format!("the model's chat template leaves out a part of the request: `{part}`; leave it out, or choose another model"),
			part,
		),
		Failure::Grammar => bad(
			"grammar_refused",
			format!("the answer cannot be held to `{part}`; simplify it, or leave it out"),
			part,
		),
	}
}
