//! The signing secret, from a kept account, the command line, the environment or a file; and the names of development
//! accounts.

use crate::{error::CliError, keystore::KeystoreArgs, output::Reporter, paths::read_secret};
use assay_receipt::Account;
use std::{
	path::PathBuf,
	str::FromStr,
	sync::{Arc, OnceLock},
};
use subxt_signer::{
	sr25519::{dev, Keypair},
	SecretUri,
};

/// The options that choose the signing account.
#[derive(clap::Args, Clone)]
pub(crate) struct KeyArgs {
	/// Name of the signing account, as `assay account list` shows it
	#[arg(long, env = "ASSAY_ACCOUNT", value_name = "NAME", conflicts_with_all = ["suri", "suri_file"])]
	account: Option<String>,
	#[command(flatten)]
	store: KeystoreArgs,
	/// Secret of the signing account: `//Alice`, a seed phrase or a 0x… seed, each with a /derivation//path.
	/// Others on this machine can see a command line: prefer --account, the environment or --suri-file.
	/// On a development chain the default is //Alice
	#[arg(long, env = "ASSAY_SURI", hide_env_values = true, value_name = "SECRET")]
	suri: Option<String>,
	/// File whose first line is the secret
	#[arg(long, value_name = "FILE", conflicts_with = "suri")]
	suri_file: Option<PathBuf>,
	/// Nonce of the transaction: to repeat one of which it is not known whether a block has it. Of an account's transactions with
	/// one nonce, one at most is executed
	#[arg(long, value_name = "N")]
	nonce: Option<u64>,
	/// The kept account, once its passphrase was given: a command may sign twice.
	#[arg(skip)]
	opened: Arc<OnceLock<Keypair>>,
}

/// A key pair that signs.
pub(crate) struct Signer {
	/// The sr25519 pair.
	pub(crate) pair: Keypair,
	/// The nonce to sign with, if not the account's next one.
	pub(crate) nonce: Option<u64>,
	/// Whether the secret is made from the public development phrase.
	pub(crate) well_known: bool,
}

impl Signer {
	/// Returns the account of the pair.
	pub(crate) fn account(&self) -> Account {
		Account(self.pair.public_key().0)
	}
}

impl KeyArgs {
	/// Reads the key pair; without an account and a secret it is `//Alice` on a development chain and an error elsewhere.
	pub(crate) fn signer(&self, development: bool, report: &Reporter) -> Result<Signer, CliError> {
		let signer = match &self.account {
			Some(name) => self.kept(name, report),
			None => self.named(development),
		}?;
		Ok(Signer {
			nonce: self.nonce,
			..signer
		})
	}

	fn kept(&self, name: &str, report: &Reporter) -> Result<Signer, CliError> {
		let pair = match self.opened.get() {
			Some(pair) => pair.clone(),
			None => {
				let pair = self.store.open(name, report)?;
				self.opened.get_or_init(|| pair).clone()
			}
		};
		Ok(Signer {
			pair,
			nonce: None,
			well_known: false,
		})
	}

	fn named(&self, development: bool) -> Result<Signer, CliError> {
		let from_file = self.suri_file.as_ref().map(|path| read_secret(path)).transpose()?;
		match from_file.or_else(|| self.suri.clone()) {
			Some(suri) => signer(&suri),
			None if development => signer("//Alice"),
			None => Err(CliError::Usage(
				"which account signs? Name one that is kept with --account, or give its secret in ASSAY_SURI, with \
				 --suri-file FILE or with --suri"
					.into(),
			)),
		}
	}

	/// Returns the options for the transaction that follows the one signed with these.
	pub(crate) fn next(&self) -> Self {
		Self {
			nonce: self.nonce.map(|nonce| nonce.saturating_add(1)),
			..self.clone()
		}
	}
}

/// Derives a key pair from its secret. The secret never appears in an error.
pub(crate) fn signer(suri: &str) -> Result<Signer, CliError> {
	let wrong = || {
		CliError::Usage("the secret is not a seed phrase, a 0x… seed of 64 hex digits or a path like //Alice".into())
	};
	if suri.is_empty() {
		return Err(wrong());
	}
	let uri = SecretUri::from_str(suri).map_err(|_| wrong())?;
	let pair = Keypair::from_uri(&uri).map_err(|_| wrong())?;
	Ok(Signer {
		pair,
		nonce: None,
		well_known: suri.starts_with('/'),
	})
}

/// Returns the name of a development account, and the SS58 form of any other.
pub(crate) fn name_of(account: &Account) -> String {
	well_known()
		.iter()
		.find(|(_, known)| known == account)
		.map_or_else(|| account.ss58(), |(name, _)| (*name).into())
}

/// Reads a development account's name, SS58 or hex.
pub(crate) fn account(text: &str) -> Result<Account, String> {
	let name = text.trim_start_matches('/');
	let known = well_known()
		.into_iter()
		.find(|(known, _)| known.eq_ignore_ascii_case(name));
	known
		.map(|(_, account)| account)
		.or_else(|| Account::parse(text))
		.ok_or_else(|| format!("`{text}` is not an account: give SS58, 64 hex digits or a development name like Alice"))
}

fn well_known() -> [(&'static str, Account); 6] {
	let account = |pair: Keypair| Account(pair.public_key().0);
	[
		("Alice", account(dev::alice())),
		("Bob", account(dev::bob())),
		("Charlie", account(dev::charlie())),
		("Dave", account(dev::dave())),
		("Eve", account(dev::eve())),
		("Ferdie", account(dev::ferdie())),
	]
}

#[cfg(test)]
mod tests {
	use super::*;

	fn args(suri: Option<&str>, file: Option<PathBuf>) -> KeyArgs {
		KeyArgs {
			account: None,
			store: KeystoreArgs::default(),
			suri: suri.map(Into::into),
			suri_file: file,
			nonce: None,
			opened: Arc::default(),
		}
	}

	#[test]
	fn alice_is_read_in_every_form() {
		let alice = signer("//Alice").unwrap();
		assert!(alice.well_known);
		assert_eq!(name_of(&alice.account()), "Alice");
		for text in ["Alice", "alice", "//Alice", &alice.account().ss58()] {
			assert_eq!(account(text), Ok(alice.account()));
		}
		assert!(account("Mallory").is_err());
	}

	#[test]
	fn a_phrase_is_not_a_well_known_secret() {
		let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
		assert!(!signer(phrase).unwrap().well_known);
	}

	#[test]
	fn a_wrong_secret_is_refused_without_being_shown() {
		for secret in ["hunter2 hunter2", "0x1234", ""] {
			let error = signer(secret).err().unwrap();
			assert_eq!(error.exit_code(), 2);
			assert!(secret.is_empty() || !error.to_string().contains(secret));
		}
	}

	#[test]
	fn without_a_secret_only_a_development_chain_has_a_default() {
		assert_eq!(
			name_of(&args(None, None).signer(true, &Reporter::quiet()).unwrap().account()),
			"Alice"
		);
		assert_eq!(
			args(None, None)
				.signer(false, &Reporter::quiet())
				.err()
				.unwrap()
				.exit_code(),
			2
		);
	}

	#[test]
	fn the_first_line_of_a_file_is_the_secret() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("secret");
		std::fs::write(&path, "//Bob\n# not this\n").unwrap();
		let bob = args(None, Some(path)).signer(false, &Reporter::quiet()).unwrap();
		assert_eq!(name_of(&bob.account()), "Bob");
		let missing = args(None, Some(dir.path().join("none")))
			.signer(true, &Reporter::quiet())
			.err()
			.unwrap();
		assert!(missing.to_string().contains("none"));
	}
}
