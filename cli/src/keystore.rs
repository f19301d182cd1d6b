//! Accounts whose secrets are kept in encrypted files, one for each.
//!
//! A file is what the wallets of this ecosystem export and import (polkadot.js, version 3: scrypt and XSalsa20-Poly1305), so
//! that an account is moved by copying it. Files are read by subxt's signer, and written here with the same libraries.

use crate::{
	error::CliError,
	output::Reporter,
	paths::{directory, read, read_secret, write_new},
};
use assay_receipt::Account;
use base64::{engine::general_purpose::STANDARD, Engine};
use clap::Args;
use crypto_secretbox::{
	aead::{Aead, KeyInit},
	Key, Nonce, XSalsa20Poly1305,
};
use rand::{rngs::OsRng, RngCore};
use schnorrkel::{ExpansionMode, MiniSecretKey};
use serde::{Deserialize, Serialize};
use std::{
	io::IsTerminal,
	path::{Path, PathBuf},
	time::SystemTime,
};
use subxt_signer::{bip39::Mnemonic, polkadot_js_compat::decrypt_json, sr25519::Keypair, ExposeSecret, SecretUri};

/// Largest file, in bytes. One has about 600.
const MAX_FILE_BYTES: u64 = 16 * 1024;
/// Shortest text of the encrypted part: its parameters alone take as much.
const MIN_ENCODED: usize = 96;
/// The work that a guess of the passphrase costs: N, p and r of scrypt, the standard of the format.
const SCRYPT: (u32, u32, u32) = (1 << 15, 1, 8);
/// What the format writes before the secret key, and before the public one.
const PKCS8_HEADER: [u8; 16] = [48, 83, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const PKCS8_DIVIDER: [u8; 5] = [161, 35, 3, 33, 0];

/// Where accounts are kept, and what opens them.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KeystoreArgs {
	/// Directory of accounts; without it one of this program in your home
	#[arg(long, env = "ASSAY_KEYSTORE", value_name = "DIR")]
	pub(crate) keystore: Option<PathBuf>,
	/// File whose first line is the passphrase of an account; without it the terminal is asked
	#[arg(long, env = "ASSAY_PASSPHRASE_FILE", value_name = "FILE")]
	pub(crate) passphrase_file: Option<PathBuf>,
}

/// An account's file.
#[derive(Serialize, Deserialize)]
struct File {
	encoded: String,
	encoding: Encoding,
	address: String,
	#[serde(default)]
	meta: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Encoding {
	content: Vec<String>,
	r#type: Vec<String>,
	version: String,
}

/// An account that is kept.
#[derive(Serialize)]
pub(crate) struct Kept {
	/// Its name here.
	pub(crate) name: String,
	/// Its address, as the file states it; the secret decides.
	pub(crate) account: Account,
}

/// A secret that can be kept.
pub(crate) struct Secret {
	pair: schnorrkel::Keypair,
	/// The words that it was made from, if it was made here.
	pub(crate) phrase: Option<String>,
}

impl Secret {
	/// Makes a new one, from 12 random words.
	pub(crate) fn generate() -> Result<Self, CliError> {
		let mut entropy = [0; 16];
		OsRng.fill_bytes(&mut entropy);
		let words = Mnemonic::from_entropy(&entropy).map_err(|e| CliError::File(format!("no words were made: {e}")))?;
		let phrase = words.to_string();
		Ok(Self {
			phrase: Some(phrase.clone()),
			..Self::read(&phrase)?
		})
	}

	/// Reads a phrase, with a `///password` if it has one, or a 0x… seed.
	pub(crate) fn read(text: &str) -> Result<Self, CliError> {
		let wrong = |reason: &str| CliError::Usage(format!("the secret {reason}"));
		let unknown = || wrong("is not a seed phrase or a 0x… seed of 64 hex digits");
		// Without words it would be the public development phrase.
		if text.is_empty() || text.starts_with("///") {
			return Err(unknown());
		}
		let uri: SecretUri = text.parse().map_err(|_| unknown())?;
		if !uri.junctions.is_empty() {
			return Err(wrong(
				"has a derivation path, which a wallet's file cannot keep: export the account from a wallet and copy the file",
			));
		}
		let phrase = uri.phrase.expose_secret();
		let mini = match phrase.strip_prefix("0x") {
			Some(hex) => {
				let bytes: [u8; 32] = const_hex::decode_to_array(hex).map_err(|_| unknown())?;
				MiniSecretKey::from_bytes(&bytes).map_err(|_| unknown())?
			}
			None => {
				let words = Mnemonic::parse(phrase).map_err(|_| unknown())?;
				let password = uri.password.as_ref().map_or("", |password| password.expose_secret());
				substrate_bip39::mini_secret_from_entropy(&words.to_entropy(), password).map_err(|_| unknown())?
			}
		};
		Ok(Self {
			pair: mini.expand_to_keypair(ExpansionMode::Ed25519),
			phrase: None,
		})
	}

	/// Returns its account.
	pub(crate) fn account(&self) -> Account {
		Account(self.pair.public.to_bytes())
	}

	/// Encrypts it as a file.
	fn file(&self, name: &str, passphrase: &str) -> Result<File, CliError> {
		let failed = || CliError::File("the secret could not be encrypted".into());
		let (n, p, r) = SCRYPT;
		let (mut salt, mut nonce) = ([0; 32], [0; 24]);
		OsRng.fill_bytes(&mut salt);
		OsRng.fill_bytes(&mut nonce);
		let log_n = u8::try_from(n.ilog2()).map_err(|_| failed())?;
		let params = scrypt::Params::new(log_n, r, p, 32).map_err(|_| failed())?;
		let mut key = Key::default();
		scrypt::scrypt(passphrase.as_bytes(), &salt, &params, &mut key).map_err(|_| failed())?;
		let secret = self.pair.secret.to_ed25519_bytes();
		let plain = [&PKCS8_HEADER[..], &secret, &PKCS8_DIVIDER, &self.pair.public.to_bytes()].concat();
		let cipher = XSalsa20Poly1305::new(&key)
			.encrypt(Nonce::from_slice(&nonce), &plain[..])
			.map_err(|_| failed())?;
		let numbers = [n, p, r].map(u32::to_le_bytes).concat();
		let since = SystemTime::now()
			.duration_since(SystemTime::UNIX_EPOCH)
			.unwrap_or_default();
		let text = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
		Ok(File {
			encoded: STANDARD.encode([&salt[..], &numbers, &nonce, &cipher].concat()),
			encoding: Encoding {
				content: text(&["pkcs8", "sr25519"]),
				r#type: text(&["scrypt", "xsalsa20-poly1305"]),
				version: "3".into(),
			},
			address: self.account().ss58(),
			meta: serde_json::json!({ "name": name, "whenCreated": u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }),
		})
	}
}

impl KeystoreArgs {
	fn directory(&self) -> Result<PathBuf, CliError> {
		directory(self.keystore.as_deref(), "accounts")
	}

	fn path(&self, name: &str) -> Result<PathBuf, CliError> {
		let letters = name
			.bytes()
			.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
		if name.is_empty() || name.len() > 64 || !letters {
			return Err(CliError::Usage(format!(
				"`{name}` cannot name an account: use 1 to 64 letters, digits, `-` and `_`"
			)));
		}
		Ok(self.directory()?.join(format!("{name}.json")))
	}

	/// Keeps a secret under a name that is free.
	pub(crate) fn keep(&self, name: &str, secret: &Secret, report: &Reporter) -> Result<PathBuf, CliError> {
		let path = self.path(name)?;
		if path.exists() {
			return Err(CliError::Usage(format!(
				"there is an account `{name}` already ({}): choose another name",
				path.display()
			)));
		}
		let passphrase = self.new_passphrase(report)?;
		let file = secret.file(name, &passphrase)?;
		let json = serde_json::to_string_pretty(&file).map_err(|e| CliError::file(&path, e))?;
		// What cannot be read back must not be all that is left of a secret.
		open(&path, &json, &passphrase)?;
		write_new(&path, json.as_bytes())?;
		Ok(path)
	}

	/// Returns all accounts that are kept, by name.
	pub(crate) fn list(&self) -> Result<Vec<Kept>, CliError> {
		let directory = self.directory()?;
		let entries = std::fs::read_dir(&directory).map_err(|e| CliError::file(&directory, e))?;
		let mut kept = Vec::new();
		for entry in entries {
			let path = entry.map_err(|e| CliError::file(&directory, e))?.path();
			let name = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
			let is_json = path.extension().is_some_and(|extension| extension == "json");
			if let (Some(name), true) = (name, is_json) {
				let account = stated(&path)?;
				kept.push(Kept { name, account });
			}
		}
		kept.sort_by(|a, b| a.name.cmp(&b.name));
		Ok(kept)
	}

	/// Returns the address of an account that is kept; none if there is none of that name.
	pub(crate) fn address(&self, name: &str) -> Result<Option<Account>, CliError> {
		match self.path(name) {
			Ok(path) if path.exists() => stated(&path).map(Some),
			Ok(_) | Err(CliError::Usage(_)) => Ok(None),
			Err(e) => Err(e),
		}
	}

	/// Opens an account with its passphrase.
	pub(crate) fn open(&self, name: &str, report: &Reporter) -> Result<Keypair, CliError> {
		let path = self.path(name)?;
		if !path.exists() {
			return Err(CliError::Usage(format!(
				"there is no account `{name}`: `assay account list` lists those that are kept, `assay account new` makes one"
			)));
		}
		let json = read(&path, MAX_FILE_BYTES)?;
		let passphrase = self.passphrase(&format!("Passphrase of {name}: "), report)?;
		open(&path, &json, &passphrase)
	}

	fn passphrase(&self, prompt: &str, report: &Reporter) -> Result<String, CliError> {
		if let Some(path) = &self.passphrase_file {
			return read_secret(path);
		}
		if !std::io::stdin().is_terminal() {
			return Err(CliError::Usage(
				"the account needs a passphrase, and there is no terminal to ask: give --passphrase-file FILE".into(),
			));
		}
		let asked = report.suspended(|| rpassword::prompt_password(prompt));
		asked.map_err(|e| {
			CliError::Usage(format!(
				"the terminal gave no passphrase ({e}): give --passphrase-file FILE"
			))
		})
	}

	fn new_passphrase(&self, report: &Reporter) -> Result<String, CliError> {
		let passphrase = self.passphrase("Passphrase of the new account: ", report)?;
		if passphrase.is_empty() {
			return Err(CliError::Usage(
				"the passphrase is empty: it is all that protects the secret from who reads the file".into(),
			));
		}
		if self.passphrase_file.is_none() && self.passphrase("The same again: ", report)? != passphrase {
			return Err(CliError::Usage("the two passphrases differ: nothing was kept".into()));
		}
		Ok(passphrase)
	}
}

/// Returns the address that a file states.
fn stated(path: &Path) -> Result<Account, CliError> {
	let file: File = serde_json::from_str(&read(path, MAX_FILE_BYTES)?)
		.map_err(|e| CliError::file(path, format!("it is no account's file: {e}")))?;
	Account::parse(&file.address).ok_or_else(|| CliError::file(path, "its address is not one of this ecosystem"))
}

/// Opens a file.
fn open(path: &Path, json: &str, passphrase: &str) -> Result<Keypair, CliError> {
	let file: File =
		serde_json::from_str(json).map_err(|e| CliError::file(path, format!("it is no account's file: {e}")))?;
	if file.encoded.len() < MIN_ENCODED {
		return Err(CliError::file(
			path,
			"its encrypted part is cut off: it must be restored from a copy",
		));
	}
	decrypt_json(json, passphrase).map_err(|e| match e {
		subxt_signer::polkadot_js_compat::Error::Secretbox(_) => {
			CliError::file(path, "the passphrase does not open it; the file may also be damaged")
		}
		other => CliError::file(path, other),
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use subxt_signer::sr25519::dev;

	fn store(dir: &Path, passphrase: &str) -> KeystoreArgs {
		let file = dir.join("passphrase");
		std::fs::write(&file, passphrase).unwrap();
		KeystoreArgs {
			keystore: Some(dir.join("accounts")),
			passphrase_file: Some(file),
		}
	}

	#[test]
	fn a_kept_account_opens_with_its_passphrase_only() {
		let dir = tempfile::tempdir().unwrap();
		let (right, report) = (store(dir.path(), "correct horse"), Reporter::quiet());
		let secret = Secret::generate().unwrap();
		right.keep("main", &secret, &report).unwrap();
		assert_eq!(right.open("main", &report).unwrap().public_key().0, secret.account().0);
		assert_eq!(right.address("main").unwrap(), Some(secret.account()));
		assert_eq!(right.list().unwrap().len(), 1);
		// The words open it everywhere else.
		let words = secret.phrase.unwrap();
		assert_eq!(
			crate::keys::signer(&words).unwrap().account(),
			right.list().unwrap()[0].account
		);

		let again = right.keep("main", &Secret::generate().unwrap(), &report).unwrap_err();
		assert!(again.to_string().contains("already"), "{again}");
		let wrong = store(dir.path(), "battery staple").open("main", &report).err().unwrap();
		assert!(wrong.to_string().contains("passphrase"), "{wrong}");
	}

	#[test]
	fn secrets_are_read_as_other_programs_read_them() {
		let seed = format!("0x{}", "07".repeat(32));
		let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
		for text in [seed.as_str(), phrase, &format!("{phrase}///extra")] {
			let expected = crate::keys::signer(text).unwrap().account();
			assert_eq!(Secret::read(text).unwrap().account(), expected);
		}
		for (text, word) in [
			("//Alice", "path"),
			("hunter2", "not a seed"),
			("", "not a seed"),
			("///extra", "not a seed"),
			("0x12", "not a seed"),
		] {
			let error = Secret::read(text).err().unwrap().to_string();
			assert!(error.contains(word) && !error.contains("hunter2"), "{error}");
		}
	}

	#[test]
	fn an_export_of_a_wallet_is_an_account_once_it_is_copied() {
		let export = r#"{"encoded":"J2FFcPHAY11Pmq/38eqbwfUv9OPitYJs+oYgahBvlagAAAIAAQAAAAgAAAB5o0DwXCWDblsH+9pc++RaBO4fpHBHzUirHFHFE9yS3sDzgAIQjhgvPqJ3ODrMR2gy7vk0VZg1fyirIvmsrfjGbWnOI8YU0joX0tYytroyWaykFKtZJMmE0pNKcJ5dJmDxscbK53Ac+7ld2UdH07yKPXxmPuYNNw3vKx8cg9CdQgifKfzQxHnC+EUpOoHPLwGlHsFEYtIlQtngqd9n","encoding":{"content":["pkcs8","sr25519"],"type":["scrypt","xsalsa20-poly1305"],"version":"3"},"address":"5CfWTDh7XxJ2yrayqQ2aJnnZAH5v5XaF1oJFfH5QCpbfP9v8","meta":{"genesisHash":"","name":"Bob (Dev)","whenCreated":1768916488918}}"#;
		let dir = tempfile::tempdir().unwrap();
		let store = store(dir.path(), "whoisbob");
		let path = store.path("bob").unwrap();
		std::fs::write(&path, export).unwrap();
		let opened = store.open("bob", &Reporter::quiet()).unwrap();
		assert_eq!(Account(opened.public_key().0), store.list().unwrap()[0].account);
		assert_ne!(opened.public_key().0, dev::alice().public_key().0);
	}

	#[test]
	fn damaged_files_and_bad_names_are_errors_that_say_so() {
		let dir = tempfile::tempdir().unwrap();
		let (store, report) = (store(dir.path(), "x"), Reporter::quiet());
		for name in ["", "../x", "a b", "é"] {
			assert!(store
				.open(name, &report)
				.err()
				.unwrap()
				.to_string()
				.contains("cannot name"));
		}
		assert!(store
			.open("nobody", &report)
			.err()
			.unwrap()
			.to_string()
			.contains("account list"));
		let path = store.path("broken").unwrap();
		for text in [
			"{",
			"{}",
			r#"{"encoded":"AAAA","encoding":{"content":["pkcs8","sr25519"],"type":["scrypt","xsalsa20-poly1305"],"version":"3"},"address":"5CfWTDh7XxJ2yrayqQ2aJnnZAH5v5XaF1oJFfH5QCpbfP9v8"}"#,
		] {
			std::fs::write(&path, text).unwrap();
			let error = store.open("broken", &report).err().unwrap().to_string();
			assert!(error.contains("broken.json"), "{error}");
		}
		assert_eq!(store.address("no such name").unwrap(), None);
	}
}
