//! Views of jobs for tests.

use super::Job;
use assay_primitives::{
	receipt::{SeatRecord, SeatVote},
	Approval, ClaimId, FinishReason, JobId, ModelId, Output, SamplingParams, State, UncheckedInput, Vote,
};
use assay_receipt::Account;

/// Returns a view of a job with these seats: each its tranche and whether it has voted.
pub(crate) fn job(state: State, attempt: u8, seats: &[(u8, bool)]) -> Job {
	let seat = |(i, (tranche, voted)): (usize, &(u8, bool))| SeatRecord {
		provider: Account([u8::try_from(i).unwrap(); 32]),
		tranche: *tranche,
		vote: voted.then_some(SeatVote {
			tranche: *tranche,
			vote: Vote::Approve(Approval([0; 32])),
		}),
		fault: None,
	};
	let drawn = state != State::Waiting;
	let output = Output {
		input_tokens: 3,
		tokens: vec![1, 2].try_into().unwrap(),
		text: b"yes".to_vec().try_into().unwrap(),
		finish: FinishReason::Eos,
	};
	Job {
		id: JobId([1; 32]),
		requester: Account([9; 32]),
		model: ModelId([2; 32]),
		listing: Default::default(),
		params: SamplingParams::greedy(2),
		verifiers: 2,
		state,
		verdict: None,
		verdict_at: None,
		attempt,
		executor: drawn.then_some(Account([8; 32])),
		claim: drawn.then_some(ClaimId([7; 32])),
		seats: seats
			.iter()
			.enumerate()
			.map(seat)
			.collect::<Vec<_>>()
			.try_into()
			.unwrap(),
		deadline: Some(50),
		input: UncheckedInput::Text(b"hi".to_vec()),
		output: (!matches!(state, State::Waiting | State::Executing)).then_some(output),
		requested_at: 1,
		genesis: [0; 32],
	}
}
