//! What clients read, field by field.

use super::*;
use assay_primitives::{receipt::SeatVote, vote::Defect, BoundRoot, FinishReason, Vote};
use status::PublishedOutput;

#[test]
fn an_update_reads_like_its_description() {
	let status = JobStatus {
		job: JobId([1; 32]),
		requester: [2; 32].into(),
		model: ModelId([3; 32]),
		listing: ListingId(7),
		verifiers: 1,
		state: State::Window,
		attempt: 1,
		deadline: Some(209),
		executor: Some([4; 32].into()),
		claim: Some(ClaimId([5; 32])),
		seats: vec![SeatRecord {
			provider: [6; 32].into(),
			tranche: 1,
			vote: Some(SeatVote {
				tranche: 1,
				vote: Vote::Reject {
					defect: Defect::Output(7),
					root: BoundRoot([8; 32]),
				},
			}),
			fault: None,
		}],
		output: Some(PublishedOutput {
			input_tokens: 1,
			output_tokens: 2,
			text: "Hi.".into(),
			finish: FinishReason::Eos,
		}),
		verdict: Some(Verdict::Refunded(RefundReason::NoOutput)),
		requested_at: 5,
		verdict_at: Some(9),
		closed_at: None,
		finalized: true,
		closed: false,
	};
	let hex = |byte: &str| format!("0x{}", byte.repeat(32));
	let mut json = serde_json::json!({
		"job": hex("01"), "requester": AccountId::from([2; 32]), "model": hex("03"), "listing": 7, "verifiers": 1,
		"state": "window", "attempt": 1, "deadline": 209, "executor": AccountId::from([4; 32]), "claim": hex("05"),
		"seats": [{
			"provider": AccountId::from([6; 32]), "tranche": 1,
			"vote": { "tranche": 1, "vote": { "reject": { "defect": { "output": 7 }, "root": hex("08") } } },
			"fault": null,
		}],
		"output": { "inputTokens": 1, "outputTokens": 2, "text": "Hi.", "finish": "eos" },
		"verdict": { "refunded": "no_output" }, "requestedAt": 5, "verdictAt": 9, "closedAt": null, "finalized": true,
		"closed": false,
	});
	assert_eq!(serde_json::to_value(&status).unwrap(), json);
	assert_eq!(serde_json::from_value::<JobStatus>(json.clone()).unwrap(), status);

	for (ended, name) in [
		(None, serde_json::Value::Null),
		(Some(EndReason::Final), "final".into()),
		(Some(EndReason::Pruned), "pruned".into()),
		(Some(EndReason::Lost), "lost".into()),
		(Some(EndReason::Expired), "expired".into()),
	] {
		let update = JobUpdate {
			status: status.clone(),
			ended,
		};
		json["ended"] = name;
		assert_eq!(serde_json::to_value(&update).unwrap(), json);
		assert_eq!(serde_json::from_value::<JobUpdate>(json.clone()).unwrap(), update);
	}
}
