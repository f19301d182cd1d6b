//! An account as people write it: SS58 with prefix 42, or 64 hex digits.

use alloc::{string::String, vec, vec::Vec};
use codec::{Decode, Encode};
use core::fmt;

/// A 32-byte account id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Account(pub [u8; 32]);

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const PREFIX: u8 = 42;
const LONGEST: usize = 64;

impl Account {
	/// Reads an account from SS58 (of any network) or from 64 hex digits, with or without `0x`.
	pub fn parse(text: &str) -> Option<Self> {
		let digits = text.strip_prefix("0x").unwrap_or(text);
		if digits.len() == 64 {
			let mut bytes = [0u8; 32];
			for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
				*byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
			}
			return Some(Self(bytes));
		}
		let raw = from_base58(text)?;
		// One byte of prefix below 64, two from there; then the account; then two bytes of checksum.
		let prefix = if *raw.first()? < 64 { 1 } else { 2 };
		let (body, sum) = raw.split_at_checked(raw.len().checked_sub(2)?)?;
		let account = <[u8; 32]>::try_from(body.get(prefix..)?).ok()?;
		(checksum(body) == sum).then_some(Self(account))
	}

	/// SS58 with prefix 42.
	pub fn ss58(&self) -> String {
		let mut raw = vec![PREFIX];
		raw.extend(self.0);
		raw.extend(checksum(&raw));
		to_base58(&raw)
	}
}

fn checksum(body: &[u8]) -> Vec<u8> {
	let preimage: Vec<u8> = b"SS58PRE".iter().chain(body).copied().collect();
	sp_crypto_hashing::blake2_512(&preimage)
		.iter()
		.take(2)
		.copied()
		.collect()
}

/// Multiplies a big-endian number in base `to` by `from` and adds `carry`.
fn push_digit(number: &mut Vec<u32>, from: u32, to: u32, mut carry: u32) {
	for digit in number.iter_mut().rev() {
		let value = digit.saturating_mul(from).saturating_add(carry);
		*digit = value.checked_rem(to).unwrap_or(0);
		carry = value.checked_div(to).unwrap_or(0);
	}
	while carry > 0 {
		number.insert(0, carry.checked_rem(to).unwrap_or(0));
		carry = carry.checked_div(to).unwrap_or(0);
	}
}

fn to_base58(raw: &[u8]) -> String {
	let mut number = Vec::new();
	raw.iter()
		.for_each(|byte| push_digit(&mut number, 256, 58, (*byte).into()));
	let zeros = raw.iter().take_while(|b| **b == 0).map(|_| 0u32);
	zeros
		.chain(number)
		.filter_map(|d| ALPHABET.get(d as usize))
		.map(|c| char::from(*c))
		.collect()
}

fn from_base58(text: &str) -> Option<Vec<u8>> {
	if text.len() > LONGEST {
		return None;
	}
	let mut number = Vec::new();
	for c in text.bytes() {
		let digit = ALPHABET.iter().position(|a| *a == c)?;
		push_digit(&mut number, 58, 256, u32::try_from(digit).ok()?);
	}
	let zeros = text.bytes().take_while(|c| *c == b'1').map(|_| 0u32);
	zeros.chain(number).map(|d| u8::try_from(d).ok()).collect()
}

impl fmt::Display for Account {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(&self.ss58())
	}
}

impl fmt::Debug for Account {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		fmt::Display::fmt(self, f)
	}
}

#[cfg(feature = "std")]
impl serde::Serialize for Account {
	fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
		s.collect_str(self)
	}
}

#[cfg(feature = "std")]
impl<'de> serde::Deserialize<'de> for Account {
	fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
		let text = String::deserialize(d)?;
		Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected an SS58 account or 64 hex digits"))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
	const ALICE_HEX: &str = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";

	#[test]
	fn ss58_and_hex_name_the_same_account() {
		let alice = Account::parse(ALICE).unwrap();
		assert_eq!(Account::parse(ALICE_HEX), Some(alice));
		assert_eq!(alice.ss58(), ALICE);
		// The same account under Polkadot's prefix 0.
		assert_eq!(
			Account::parse("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"),
			Some(alice)
		);
	}

	#[test]
	fn accounts_with_leading_zeros_and_ones_survive() {
		for bytes in [[0u8; 32], [255; 32], core::array::from_fn(|i| i as u8)] {
			assert_eq!(Account::parse(&Account(bytes).ss58()), Some(Account(bytes)));
		}
	}

	#[test]
	fn a_typing_error_is_no_account() {
		for text in [
			"",
			"5",
			"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ",
			"0x12",
			"5Grwva0",
			&ALICE[1..],
			&"1".repeat(999),
		] {
			assert_eq!(Account::parse(text), None, "{text}");
		}
	}
}
