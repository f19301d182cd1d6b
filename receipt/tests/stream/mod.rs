//! Evidence of a stream: what shows a contradiction, and what does not.

use crate::story::{confirmed, refunded, settled};
use assay_primitives::{
	digest::output_hash,
	job::Failure,
	stream::{StreamChain, StreamToken},
	FinishReason, State, Verdict,
};
use assay_receipt::{
	check, Contradiction, Mismatch, ReceiptFile, SignedChunk, StreamEvidence, MAX_EVIDENCE_CHUNKS, MAX_FILE_BYTES,
};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};

fn keypair(seed: u8) -> Keypair {
	MiniSecretKey::from_bytes(&[seed; 32])
		.unwrap()
		.expand_to_keypair(ExpansionMode::Ed25519)
}

fn draft(tokens: &[(u32, &str)]) -> Vec<StreamToken> {
	let token = |(id, text): &(u32, &str)| StreamToken {
		id: *id,
		text: (*text).into(),
	};
	tokens.iter().map(token).collect()
}

/// Returns a draft that the answer of a published story goes on with.
fn honest() -> Vec<StreamToken> {
	draft(&[(17, "The stored "), (4, ""), (99, "outcome")])
}

/// Returns what was signed of a draft, with the draft itself if it is to be kept.
fn chunk(file: &ReceiptFile, signer: &Keypair, draft: Vec<StreamToken>, keep: bool) -> SignedChunk {
	let claim = check(file).unwrap().claim.unwrap();
	let mut chain = StreamChain::new(&file.genesis, &claim);
	chain.extend(&draft);
	let signature = signer.sign_simple(b"substrate", &chain.message(&file.genesis, &claim));
	SignedChunk {
		tokens: chain.tokens,
		hash: chain.hash,
		signature: signature.to_bytes(),
		draft: keep.then_some(draft),
	}
}

/// Returns a receipt with these chunks of one signer as evidence.
fn with(mut file: ReceiptFile, chunks: Vec<(Vec<StreamToken>, bool)>) -> ReceiptFile {
	let signer = keypair(5);
	let chunks = chunks
		.into_iter()
		.map(|(draft, keep)| chunk(&file, &signer, draft, keep))
		.collect();
	file.stream = Some(StreamEvidence {
		claim: check(&file).unwrap().claim.unwrap(),
		key: signer.public.to_bytes(),
		chunks,
	});
	file
}

fn contradiction(file: &ReceiptFile) -> Option<Contradiction> {
	check(file).unwrap().contradiction
}

#[test]
fn two_signed_drafts_that_differ_are_a_contradiction() {
	let other = draft(&[(17, "The stored "), (5, ""), (99, "outcome")]);
	// As many tokens: the hashes differ, whatever was hashed.
	let equal = with(settled(), vec![(honest(), false), (other.clone(), false)]);
	// Fewer: the longer one is kept.
	let shorter = with(settled(), vec![(other[..2].to_vec(), false), (honest(), true)]);
	for file in [equal, shorter] {
		assert_eq!(contradiction(&file), Some(Contradiction::OfItself));
		let said = check(&file).unwrap().to_string();
		assert!(said.contains("The executor contradicted itself"), "{said}");
	}
}

#[test]
fn a_signed_draft_that_the_answer_does_not_go_on_with_is_one() {
	for wrong in [
		draft(&[(18, "The stored ")]),
		draft(&[(17, "The saved ")]),
		draft(&[(17, "The stored outcome of a job."), (4, "!")]),
		draft(&[(17, ""), (4, ""), (99, ""), (2, ""), (2, "")]),
	] {
		let file = with(confirmed(), vec![(wrong.clone(), true)]);
		assert_eq!(contradiction(&file), Some(Contradiction::OfItsAnswer), "{wrong:?}");
		// Without the draft, nobody knows what was hashed.
		assert_eq!(contradiction(&with(confirmed(), vec![(wrong, false)])), None);
	}
}

#[test]
fn honest_chunks_of_any_size_are_no_contradiction() {
	let chunks = (0..=3).map(|n| (honest()[..n].to_vec(), n % 2 == 1)).collect();
	let file = with(settled(), chunks);
	assert_eq!(contradiction(&file), None);
	let whole = draft(&[(17, "The stored "), (4, "outcome of a "), (99, "job."), (2, "")]);
	let file = with(settled(), vec![(whole, true), (honest()[..1].to_vec(), false)]);
	assert_eq!(contradiction(&file), None);
	assert_eq!(contradiction(&with(settled(), vec![])), None);
}

#[test]
fn a_grammar_that_leaves_no_token_takes_its_draft_back() {
	assert_eq!(contradiction(&failed(Failure::Grammar)), None);
	assert_eq!(
		contradiction(&failed(Failure::NoTokens)),
		Some(Contradiction::OfItsAnswer)
	);
}

/// Returns a receipt of this failure, with an honest draft as evidence.
fn failed(failure: Failure) -> ReceiptFile {
	let mut file = confirmed();
	file.receipt.verdict = Verdict::Unchecked;
	file.receipt.state = State::Window;
	let output = file.output.as_mut().unwrap();
	output.tokens = Default::default();
	output.text = Default::default();
	output.finish = FinishReason::Failed(failure);
	let claim = file.receipt.claim.as_mut().unwrap();
	(claim.output_hash, claim.verifiers) = (output_hash(output), 0);
	(claim.tranches, claim.seats) = Default::default();
	let answer = file.receipt.answer.as_mut().unwrap();
	(answer.input_tokens, answer.output_tokens, answer.finish) = (0, 0, output.finish);
	file.receipt.verdict_at = claim.published_at;
	with(file, vec![(honest(), true)])
}

#[test]
fn evidence_that_proves_nothing_is_refused_by_name() {
	type Change = fn(&mut StreamEvidence);
	let cases: [(Change, Mismatch); 8] = [
		(|e| e.claim.0[0] ^= 1, Mismatch::StreamClaim),
		(|e| e.key = [255; 32], Mismatch::StreamKey),
		(|e| e.key = keypair(6).public.to_bytes(), Mismatch::StreamSignature(0)),
		(|e| e.chunks[1].signature[0] ^= 1, Mismatch::StreamSignature(1)),
		(|e| e.chunks[1].tokens += 1, Mismatch::StreamSignature(1)),
		(|e| e.chunks[0].hash[0] ^= 1, Mismatch::StreamSignature(0)),
		(
			|e| e.chunks[1].draft.as_mut().unwrap()[0].text.push('!'),
			Mismatch::StreamDraft(1),
		),
		(
			|e| e.chunks = vec![e.chunks[0].clone(); MAX_EVIDENCE_CHUNKS + 1],
			Mismatch::StreamLength,
		),
	];
	let honest = with(settled(), vec![(honest()[..2].to_vec(), false), (honest(), true)]);
	assert_eq!(contradiction(&honest), None);
	for (change, expected) in cases {
		let mut file = honest.clone();
		change(file.stream.as_mut().unwrap());
		assert_eq!(check(&file).map(drop), Err(expected));
		assert!(expected.to_string().starts_with("stream."));
	}
	// A signature is for one chain and one claim, and a job without an answer has none.
	let mut refunded = refunded();
	refunded.stream = honest.stream.clone();
	assert_eq!(check(&refunded).map(drop), Err(Mismatch::StreamClaim));
}

#[test]
fn evidence_is_read_as_it_is_written() {
	let file = with(settled(), vec![(honest()[..2].to_vec(), false), (honest(), true)]);
	let json = file.to_json().unwrap();
	assert_eq!(ReceiptFile::from_json(&json).unwrap(), file);
	let mut json = serde_json::to_value(&file).unwrap();
	json["stream"]["chunks"][0]["signature"] = "0x12".into();
	assert!(serde_json::from_value::<ReceiptFile>(json).is_err());
}

#[test]
fn the_largest_receipt_with_two_drafts_fits_in_a_file() {
	let mut file = settled();
	let bytes = vec![1u8; 65_536];
	file.input = assay_primitives::Input::Text(bytes.clone().try_into().unwrap());
	let output = file.output.as_mut().unwrap();
	output.text = bytes.try_into().unwrap();
	output.tokens = vec![u32::MAX; 4_096].try_into().unwrap();
	let token = StreamToken {
		id: u32::MAX,
		text: "\u{1}".repeat(16),
	};
	let chunk = SignedChunk {
		tokens: 4_096,
		hash: [1; 32],
		signature: [2; 64],
		draft: Some(vec![token; 4_096]),
	};
	file.stream = Some(StreamEvidence {
		claim: Default::default(),
		key: [3; 32],
		chunks: vec![chunk; 2],
	});
	let json = file.to_json().unwrap();
	// Room for all seats, tranches, audits and the proof, which are small.
	assert!(json.len() + 256 * 1024 < MAX_FILE_BYTES, "{} bytes", json.len());
	assert_eq!(ReceiptFile::from_json(&json).unwrap(), file);
}
