//! Text that is not the JSON form of a receipt, or not written as it has to be.

use super::{accepted::small, Case};
use assay_receipt::{ReadError, ReceiptFile};

/// Returns a case in which a piece of a good file is replaced.
fn edited(name: &'static str, reason: &'static str, from: &str, to: &str) -> Case {
	let chain = small();
	let good = serde_json::to_string(&chain.bundle()).unwrap();
	assert!(good.contains(from), "{name}: {from}");
	Case::text(name, good.replacen(from, to, 1), chain.anchor(), reason)
}

fn whole(name: &'static str, reason: &'static str, text: &str) -> Case {
	Case::text(name, text.into(), small().anchor(), reason)
}

pub(super) fn cases() -> Vec<Case> {
	[not_json(), malformed()].into_iter().flatten().collect()
}

fn not_json() -> Vec<Case> {
	let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
	vec![
		Case {
			repeat: assay_receipt::MAX_FILE_BYTES + 1,
			..whole("too_long", "too_long", " ")
		},
		Case {
			repeat: assay_receipt::MAX_FILE_BYTES,
			..whole("as_long_as_a_file_may_be", "not_json", " ")
		},
		whole("empty", "not_json", ""),
		whole("cut_off", "not_json", r#"{"format":5,"genesis":"0x"#),
		whole("byte_order_mark", "not_json", "\u{feff}{}"),
		edited("space_of_another_kind", "not_json", r#"{"format""#, "{\u{a0}\"format\""),
		edited("comment", "not_json", r#"{"format""#, r#"{/**/"format""#),
		edited("bytes_left", "not_json", r#"{"format""#, r#"{}{"format""#),
		edited(
			"trailing_comma",
			"not_json",
			r#""finalized":true}"#,
			r#""finalized":true,}"#,
		),
		edited("duplicate_key", "not_json", r#""format":5"#, r#""format":5,"format":5"#),
		edited(
			"duplicate_key_deep_inside",
			"not_json",
			r#""count":5"#,
			r#""count":5,"count":6"#,
		),
		edited(
			"duplicate_key_written_otherwise",
			"not_json",
			r#""count":5"#,
			r#""count":5,"\u0063ount":5"#,
		),
		edited("lone_surrogate", "not_json", "What is", r"\ud800What is"),
		edited("lone_low_surrogate", "not_json", "What is", r"\udc00What is"),
		edited("surrogates_swapped", "not_json", "What is", r"\ude00\ud83dWhat is"),
		edited(
			"lone_surrogate_in_a_key",
			"not_json",
			r#""format":5"#,
			r#""format":5,"\ud800":1"#,
		),
		edited("control_character", "not_json", "What is", "What\u{1}is"),
		edited("float", "not_json", r#""count":5"#, r#""count":5.0"#),
		edited("exponent", "not_json", r#""count":5"#, r#""count":5e0"#),
		edited("negative_number", "not_json", r#""count":5"#, r#""count":-5"#),
		edited("negative_zero", "not_json", r#""attempt":0"#, r#""attempt":-0"#),
		edited("leading_zero", "not_json", r#""count":5"#, r#""count":05"#),
		edited(
			"number_beyond_2_53",
			"not_json",
			r#""count":5"#,
			r#""count":9007199254740992"#,
		),
		edited(
			"number_beyond_64_bits",
			"not_json",
			r#""count":5"#,
			r#""count":36893488147419103232"#,
		),
		whole("nested_too_deep", "not_json", &nested(33)),
		whole("nested_as_deep_as_allowed", "malformed", &nested(32)),
		edited("format_unknown", "format", r#""format":5"#, r#""format":6"#),
		edited(
			"format_unknown_and_malformed",
			"format",
			r#""format":5"#,
			r#""format":3,"committee":[]"#,
		),
	]
}

fn malformed() -> Vec<Case> {
	let long_header = format!(r#""header":"0x{}"#, "00".repeat(64 * 1024));
	vec![
		whole("null", "malformed", "null"),
		edited("format_is_text", "malformed", r#""format":5"#, r#""format":"5""#),
		edited("format_missing", "malformed", r#""format":5,"#, ""),
		edited("unknown_key", "malformed", r#""format":5"#, r#""format":5,"note":1"#),
		edited(
			"unknown_key_deep_inside",
			"malformed",
			r#""count":5"#,
			r#""count":5,"note":1"#,
		),
		edited(
			"unknown_key_in_the_evidence",
			"malformed",
			r#""set_id":1"#,
			r#""set_id":1,"note":1"#,
		),
		edited("missing_key", "malformed", r#""count":5,"#, ""),
		edited("missing_key_that_may_be_null", "malformed", r#","dispute":null"#, ""),
		edited(
			"null_that_has_to_be_left_out",
			"malformed",
			r#""format":5"#,
			r#""format":5,"stream":null"#,
		),
		edited("format_4_with_evidence", "malformed", r#""format":5"#, r#""format":4"#),
		list_for_a_map(),
		hex_with_capitals(),
		edited("hex_without_0x", "malformed", r#""genesis":"0x"#, r#""genesis":""#),
		edited("hex_after_0X", "malformed", r#""header":"0x"#, r#""header":"0X"#),
		edited("odd_hex", "malformed", r#""header":"0x"#, r#""header":"0x0"#),
		edited("amount_with_a_leading_zero", "malformed", r#""fee":""#, r#""fee":"0"#),
		edited(
			"amount_as_a_number",
			"malformed",
			r#""fee":"6370000000""#,
			r#""fee":6370000000"#,
		),
		edited(
			"number_too_large_for_its_field",
			"malformed",
			r#""attempt":0"#,
			r#""attempt":256"#,
		),
		edited(
			"unknown_word",
			"malformed",
			r#""verdict":"confirmed""#,
			r#""verdict":"agreed""#,
		),
		edited(
			"more_handovers_than_sets",
			"malformed",
			r#""set_id":1"#,
			r#""set_id":0"#,
		),
		edited("header_too_long", "malformed", r#""header":"0x"#, &long_header),
		edited("lookalike_key", "malformed", r#""count""#, "\"\u{441}ount\""),
		edited("lookalike_word", "malformed", r#""confirmed""#, "\"\u{441}onfirmed\""),
		// A map that a library takes for a number of any length.
		edited(
			"number_as_a_map",
			"malformed",
			r#""count":5"#,
			r#""count":{"$serde_json::private::Number":"5"}"#,
		),
		edited(
			"account_of_another_network",
			"malformed",
			&account(1, 42),
			&account(1, 0),
		),
	]
}

fn list_for_a_map() -> Case {
	let block = small().bundle().read_at;
	let map = serde_json::to_string(&block).unwrap();
	let hash = const_hex::encode_prefixed(block.hash);
	edited(
		"list_for_a_map",
		"malformed",
		&map,
		&format!(r#"[{},"{hash}",true]"#, block.number),
	)
}

fn hex_with_capitals() -> Case {
	let header = const_hex::encode(small().bundle().finality.unwrap().header);
	edited("hex_with_capitals", "malformed", &header, &header.to_uppercase())
}

/// Returns the SS58 form of an account on a network.
fn account(who: u8, network: u8) -> String {
	let body = [&[network][..], &[who; 32]].concat();
	let sum = sp_crypto_hashing::blake2_512(&[&b"SS58PRE"[..], &body].concat());
	bs58::encode([&body[..], &sum[..2]].concat()).into_string()
}

#[test]
fn what_is_said_of_a_file_commands_no_terminal_and_is_short() {
	let good = serde_json::to_string(&small().bundle()).unwrap();
	let long = "x".repeat(1 << 20);
	for key in [
		r"\u001b[2K\rFINAL",
		r"a\nFINAL. All is well",
		r"\u202eLANIF",
		r"\u009b2K",
		&long,
	] {
		let twice = format!("{{\"{key}\":1,\"{key}\":2}}");
		let unknown = good.replacen('{', &format!("{{\"{key}\":1,"), 1);
		let word = good.replace("\"confirmed\"", &format!("\"{key}\""));
		for text in [twice, unknown, word] {
			let said = match ReceiptFile::from_json(&text) {
				Err(ReadError::NotJson(why) | ReadError::Malformed(why)) => why,
				other => unreachable!("{other:?}"),
			};
			assert!(said.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{said:?}");
			assert!(said.len() <= 2_000, "{} bytes", said.len());
		}
	}
}
