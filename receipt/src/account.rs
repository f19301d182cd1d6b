//! Accounts as people write them: SS58 with prefix 42, or 64 hex digits.

use alloc::string::String;
use assay_primitives::hash;
use codec::{Decode, Encode};
use core::fmt;

/// A 32-byte account id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Account(pub [u8; 32]);

/// The generic Substrate network, which this chain uses.
const PREFIX: u8 = 42;
const CHECKSUM_BYTES: usize = 2;
/// Longest text that is decoded; the SS58 form of an account has at most 50 characters.
const MAX_CHARS: usize = 64;

impl Account {
	/// Reads an account from SS58 (of any network) or from 64 hex digits, with or without `0x`.
	pub fn parse(text: &str) -> Option<Self> {
		if let Ok(bytes) = hash::parse(text) {
			return Some(Self(bytes));
		}
		if text.len() > MAX_CHARS {
			return None;
		}
		let raw = bs58::decode(text).into_vec().ok()?;
		let (body, sum) = raw.split_at_checked(raw.len().checked_sub(CHECKSUM_BYTES)?)?;
		// Prefixes below 64 take one byte, others two.
		let prefix_bytes = if *body.first()? < 64 { 1 } else { 2 };
		let account = <[u8; 32]>::try_from(body.get(prefix_bytes..)?).ok()?;
		(checksum(body) == sum).then_some(Self(account))
	}

	/// Returns the SS58 form with prefix 42.
	pub fn ss58(&self) -> String {
		let body = [&[PREFIX][..], &self.0].concat();
		bs58::encode([&body[..], &checksum(&body)].concat()).into_string()
	}
}

/// The first two bytes of SS58's hash over prefix and account.
fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
	let [first, second, ..] = sp_crypto_hashing::blake2_512(&[&b"SS58PRE"[..], body].concat());
	[first, second]
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
	fn accounts_with_leading_zeros_or_ones_are_read_back() {
		for bytes in [[0u8; 32], [255; 32], core::array::from_fn(|i| i as u8)] {
			assert_eq!(Account::parse(&Account(bytes).ss58()), Some(Account(bytes)));
		}
	}

	#[test]
	fn mistyped_accounts_are_refused() {
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
