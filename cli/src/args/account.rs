//! The options of `assay account`.

use crate::keystore::KeystoreArgs;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum AccountCommand {
	/// Make an account, and keep its secret in a file that a passphrase encrypts
	///
	/// Its twelve words are shown once. Write them down: they are the only other copy of the secret. The file is one that wallets
	/// import; an account that a wallet exports is kept here once its file is copied to DIR/NAME.json.
	New {
		/// Its name here: letters, digits, `-` and `_`
		name: String,
		/// Keep the secret in the first line of this file instead of a new one: a seed phrase or a 0x… seed
		#[arg(long, value_name = "FILE")]
		suri_file: Option<PathBuf>,
		#[command(flatten)]
		store: KeystoreArgs,
	},
	/// List the accounts that are kept here
	List {
		#[command(flatten)]
		store: KeystoreArgs,
	},
	/// Show an account's address and balance
	Show {
		/// Its name here, SS58, hex or a development name
		name: String,
		#[command(flatten)]
		store: KeystoreArgs,
	},
}
