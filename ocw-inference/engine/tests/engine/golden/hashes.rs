//! What is no operation on f32: the sampler, the hashes, and the functions in f64.

use super::{compare, floats, stream, Cases};
use assay_numerics::sampler::Sampler;
use assay_primitives::{
	digest::{input_hash, output_hash},
	job::{Failure, FinishReason, Input, Output},
	Hash32, SamplingParams,
};
use codec::Encode;
use serde_json::{json, Value};
use sp_crypto_hashing::blake2_256;

#[test]
fn the_sampler_gives_the_golden_tokens() {
	const ONE: u32 = 1 << 16;
	let mut cases = Cases::new();
	let quarters = |v: &f32| (v * 4.0).round() / 4.0;
	for (name, exponent, tied, temperature, top_k, min_p, every) in [
		("greedy", 3, false, 0, 0, 0, 1),
		("greedy, ties", 1, true, 0, 3, ONE, 1),
		("warm", 3, false, ONE, 0, 0, 1),
		("hot", 3, false, 16 * ONE, 0, 0, 1),
		("cool", 3, false, ONE / 8, 0, 0, 1),
		("top-k", 3, false, ONE, 5, 0, 1),
		("top-k cuts a tie", 1, true, 4 * ONE, 30, 0, 1),
		("top-k of all", 3, false, ONE, 300, 0, 1),
		("min-p", 3, false, 2 * ONE, 0, ONE / 20, 1),
		("min-p of one", 1, true, 2 * ONE, 0, ONE, 1),
		("least min-p", 3, false, 2 * ONE, 0, 1, 1),
		("min-p at the border", 1, true, 16 * ONE, 0, 64_520, 1),
		("min-p beside the border", 1, true, ONE, 0, 39_750, 1),
		("both filters", 3, false, ONE, 100, 1 << 10, 1),
		("saturated", 20, false, ONE, 0, ONE / 2, 1),
		// Logits that differ by less than l does, and such as l does not hold.
		("greedy, near ties", -16, false, 0, 0, 0, 1),
		("greedy, saturated", 20, false, 0, 0, 0, 1),
		("top-k cuts a near tie", -14, false, ONE, 5, 0, 1),
		// Under a mask, filters look at what it allows.
		("greedy under a mask", 3, false, 0, 0, 0, 7),
		("top-k under a mask", 3, false, ONE, 5, 0, 3),
		("min-p under a mask", 3, false, 2 * ONE, 0, ONE / 20, 3),
	] {
		let mut logits = floats(&format!("sampler/{name}"), 300, exponent);
		if tied {
			logits = logits.iter().map(quarters).collect();
		}
		let sampler = Sampler::new(temperature, top_k, min_p, *blake3::hash(name.as_bytes()).as_bytes());
		// One bit for each token, from the lowest of the first word on.
		let mut mask = [0u32; 10];
		(0..300).step_by(every).for_each(|v| mask[v / 32] |= 1 << (v % 32));
		let chosen = |t: u32| match every {
			1 => sampler.sample(&logits, t),
			_ => sampler.sample_allowed(&logits, t, &mask),
		};
		let tokens: Vec<u32> = (0..16).map(|t| chosen(t).unwrap()).collect();
		let mut case = json!({
			"exponent": exponent, "quarters": tied, "temperature": temperature, "top_k": top_k, "min_p": min_p, "tokens": tokens,
		});
		if every > 1 {
			case["every"] = json!(every);
		}
		cases.insert(name.into(), case);
	}
	cases.insert("noise".into(), noise());
	compare("sampler", &Value::Object(cases));
}

/// The noise of 300 tokens at 16 steps: of a logit that is 0, at temperature 1, the score is 65 536 times it.
fn noise() -> Value {
	let sampler = Sampler::new(1 << 16, 0, 0, *blake3::hash(b"noise").as_bytes());
	let steps = (0..16).flat_map(|t| (0..300).map(move |v| (t, v)));
	let all: Vec<i64> = steps.map(|(t, v)| sampler.score(0, t, v) >> 16).collect();
	let bytes: Vec<u8> = all.iter().flat_map(|g| g.to_le_bytes()).collect();
	json!({ "first": all[..8], "all": blake3::hash(&bytes).to_hex().to_string() })
}

#[test]
fn hashes_give_the_golden_bytes() {
	let stop = |s: &str| s.as_bytes().to_vec().try_into().unwrap();
	let plain = SamplingParams::greedy(7);
	let full = SamplingParams {
		max_tokens: 1024,
		temperature: 1 << 20,
		top_k: 40,
		min_p: 1 << 16,
		stop: vec![stop("."), stop("ende, länger als ein Byte")].try_into().unwrap(),
	};
	let mut cases = Cases::new();
	for (name, params, tokens, text, finish) in [
		("eos", &plain, vec![1, 2, 263], "ja", FinishReason::Eos),
		("stop", &full, (0..64).collect(), "räöü", FinishReason::Stop),
		(
			"length",
			&plain,
			(0..70).map(|i| i * 60_000_000).collect(),
			&*"x".repeat(16_384),
			FinishReason::Length,
		),
		(
			"prompt too long",
			&full,
			vec![],
			"",
			FinishReason::Failed(Failure::PromptTooLong),
		),
		(
			"not finite",
			&plain,
			vec![u32::MAX],
			"\u{fffd}",
			FinishReason::Failed(Failure::NonFinite),
		),
		(
			"template refuses",
			&plain,
			vec![],
			"",
			FinishReason::Failed(Failure::Template),
		),
		(
			"template raises",
			&plain,
			vec![],
			"Roles must alternate.",
			FinishReason::Failed(Failure::Template),
		),
		(
			"a part left out",
			&plain,
			vec![],
			"messages[0]",
			FinishReason::Failed(Failure::PartLeftOut),
		),
		("no grammar", &plain, vec![], "", FinishReason::Failed(Failure::Grammar)),
		("no tokens", &plain, vec![], "", FinishReason::Failed(Failure::NoTokens)),
		(
			"an encoder",
			&plain,
			vec![],
			"",
			FinishReason::Failed(Failure::NotGenerative),
		),
	] {
		let output: Output = Output {
			input_tokens: 77,
			tokens: tokens.try_into().unwrap(),
			text: text.as_bytes().to_vec().try_into().unwrap(),
			finish,
		};
		cases.insert(
			name.into(),
			json!({
				"params": params_json(params), "scale of params": hex::encode(params.encode()), "input_tokens": 77,
				"tokens": output.tokens.to_vec(), "text": text, "finish": finish,
				"input_hash": hex::encode(input_hash(&Input::Text(name))),
				"chat_hash": hex::encode(input_hash(&Input::Chat(name))), "output_hash": hex::encode(output_hash(&output)),
			}),
		);
	}
	compare("hashes", &Value::Object(cases));
}

/// How many bytes of text an answer may have (§5).
#[test]
fn limits_of_a_text_are_the_golden_ones() {
	let limit = |max_tokens: u32| json!({ "max_text_bytes": SamplingParams::greedy(max_tokens).max_text_bytes() });
	let cases = [1, 63, 64, 65, 1_024, 4_095, 4_096].map(|max_tokens| (max_tokens.to_string(), limit(max_tokens)));
	compare("limits", &Value::Object(cases.into_iter().collect()));
}

/// What binds a run to its job, attempt, seats and dispute (§6.2).
#[test]
fn bound_hashes_give_the_golden_bytes() {
	let derive = |context: &str, parts: &[&[u8]]| -> Hash32 {
		let mut hasher = blake3::Hasher::new_derive_key(context);
		parts.iter().for_each(|part| {
			hasher.update(part);
		});
		*hasher.finalize().as_bytes()
	};
	let mut cases = Cases::new();
	for (name, count, listing, attempt, block, tranche, round, seats) in [
		("first attempt", 0u64, None, 0u8, 1u32, 1u8, 1u8, 2usize),
		("third attempt", 1 << 40, None, 2, 70_000, 4, 2, 70),
		("nobody", u64::MAX, None, 255, u32::MAX, 255, 255, 0),
		("a listing", 7, Some(70_000u32), 0, 1, 1, 1, 2),
	] {
		let filled = |byte: u8| -> Hash32 { [byte; 32] };
		let (genesis, requester, model, executor, voter) = (filled(1), filled(2), filled(3), filled(4), filled(5));
		let (acc, later, input, output, top) = (filled(6), filled(7), filled(8), filled(9), filled(10));
		let params = SamplingParams::greedy(7);
		let seats: Vec<Hash32> = (0..seats).map(|seat| filled(100 + seat as u8)).collect();
		let mut named = (b"assay/v2/job", genesis, requester, count, model, input, params).encode();
		listing.iter().for_each(|listing| listing.encode_to(&mut named));
		let job = blake2_256(&named);
		let execution = (
			b"assay/v2/execution",
			genesis,
			job,
			attempt,
			block,
			acc,
			executor,
			model,
		);
		let execution = blake2_256(&execution.encode());
		let seed = blake2_256(&(b"assay/v2/seed", execution).encode());
		let claim = blake2_256(&(b"assay/v2/claim", execution).encode());
		let first_root = derive("assay/v2/root", &[&claim, &top]);
		let seal = blake2_256(&(b"assay/v2/seal", claim, executor, first_root).encode());
		let drawn = (
			b"assay/v2/seats",
			claim,
			tranche,
			block,
			later,
			output,
			seal,
			seats.clone(),
		);
		let drawn = blake2_256(&drawn.encode());
		let vote = blake2_256(&(b"assay/v2/vote", drawn, voter, first_root).encode());
		let dispute = blake2_256(&(b"assay/v2/dispute", claim).encode());
		let second_root = derive("assay/v2/root", &[&dispute, &[round], &top]);
		let mut case = json!({
			"count": count.to_string(), "attempt": attempt, "block": block, "tranche": tranche, "round": round,
			"seats": seats.len(), "job": hex::encode(job), "execution": hex::encode(execution),
			"seed": hex::encode(seed), "claim": hex::encode(claim), "T1": hex::encode(first_root),
			"seal": hex::encode(seal), "V": hex::encode(drawn), "vote": hex::encode(vote),
			"dispute": hex::encode(dispute), "T2": hex::encode(second_root),
		});
		if let Some(listing) = listing {
			case["listing"] = json!(listing);
		}
		cases.insert(name.into(), case);
	}
	compare("bound", &Value::Object(cases));
}

/// Parameters as the files write them: stop strings as text.
pub(super) fn params_json(params: &SamplingParams) -> Value {
	let stop: Vec<_> = params.stop.iter().map(|s| String::from_utf8_lossy(s)).collect();
	json!({
		"max_tokens": params.max_tokens, "temperature": params.temperature, "top_k": params.top_k, "min_p": params.min_p, "stop": stop,
	})
}

#[test]
fn the_functions_in_f64_give_the_golden_bits() {
	let hex = |values: &[f64]| hex::encode(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
	// Any 52 bits between these exponents.
	let between = |name: &str, count: usize, low: u64, span: u64| -> Vec<f64> {
		let float = |b: &[u8]| {
			let r = u64::from_le_bytes(b.try_into().unwrap());
			f64::from_bits((1023 + (r >> 52) % span - low) << 52 | r & ((1 << 52) - 1))
		};
		stream(name, 8 * count).chunks_exact(8).map(float).collect()
	};
	let logs = between("f64/log", 400, 54, 60);
	let angles = between("f64/angle", 400, 30, 50);
	// Near multiples of a quarter turn, where reduction is hard.
	let times = |n: i32| f64::from(n) * std::f64::consts::FRAC_PI_4;
	let quarters: Vec<f64> = (1..400).map(|i| times(i * i)).collect();
	// All exceptions of the reduction are among these.
	let multiples: Vec<f64> = (1..400).map(times).collect();
	let bases: Vec<f64> = between("f64/base", 400, 0, 24)
		.iter()
		.map(|v| f64::from(*v as f32))
		.collect();
	let exponents: Vec<f64> = (0..400).map(|i| -f64::from(i % 127 + 1) / 128.0).collect();
	let powers: Vec<f64> = bases.iter().zip(&exponents).map(|(b, e)| libm::pow(*b, *e)).collect();
	let each = |f: fn(f64) -> f64, x: &[f64]| {
		let mut hasher = blake3::Hasher::new();
		x.iter().for_each(|v| {
			hasher.update(&f(*v).to_le_bytes());
		});
		hasher.finalize().to_hex().to_string()
	};
	let mut cases = Cases::new();
	cases.insert("log".into(), json!({ "x": hex(&logs[..8]), "y": hex(&logs[..8].iter().map(|v| libm::log(*v)).collect::<Vec<_>>()), "all": each(libm::log, &logs) }));
	cases.insert(
		"pow".into(),
		json!({ "x": hex(&bases[..8]), "y": hex(&powers[..8]), "all": each(|v| v, &powers) }),
	);
	for (name, x) in [("angles", &angles), ("quarters", &quarters), ("multiples", &multiples)] {
		cases.insert(
			name.into(),
			json!({
				"x": hex(&x[..8]), "cos": hex(&x[..8].iter().map(|v| libm::cos(*v)).collect::<Vec<_>>()),
				"sin": hex(&x[..8].iter().map(|v| libm::sin(*v)).collect::<Vec<_>>()),
				"all cos": each(libm::cos, x), "all sin": each(libm::sin, x),
			}),
		);
	}
	compare("f64", &Value::Object(cases));
}
