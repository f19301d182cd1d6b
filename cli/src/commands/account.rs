//! `assay account`: accounts that are kept on this machine.

use super::Context;
use crate::{
	amount::Asy,
	args::AccountCommand,
	error::CliError,
	keys::{account, name_of},
	keystore::{KeystoreArgs, Secret},
	output::Outcome,
	paths::read_secret,
};
use serde_json::json;
use std::path::Path;

/// Runs a command of `assay account`.
pub(crate) async fn run(cx: &Context, command: AccountCommand) -> Result<Outcome, CliError> {
	match command {
		AccountCommand::New { name, suri_file, store } => new(cx, &name, suri_file.as_deref(), &store),
		AccountCommand::List { store } => list(&store),
		AccountCommand::Show { name, store } => show(cx, &name, &store).await,
	}
}

fn new(cx: &Context, name: &str, from: Option<&Path>, store: &KeystoreArgs) -> Result<Outcome, CliError> {
	let secret = match from {
		Some(path) => Secret::read(&read_secret(path)?)?,
		None => Secret::generate()?,
	};
	let path = store.keep(name, &secret, &cx.report)?;
	let address = secret.account().ss58();
	let words = secret.phrase.as_deref().map_or_else(String::new, |words| {
		format!("\n\nWrite these words down, they are shown only now. Whoever has them has the account:\n\n    {words}")
	});
	let text = format!(
		"Account {name} is {address}, kept in {}. Commands sign with it by --account {name}.{words}",
		path.display()
	);
	let json = json!({ "name": name, "account": secret.account(), "file": path, "phrase": secret.phrase });
	Ok(Outcome::new(text, json))
}

fn list(store: &KeystoreArgs) -> Result<Outcome, CliError> {
	let kept = store.list()?;
	if kept.is_empty() {
		let text = "No account is kept here. `assay account new NAME` makes one.";
		return Ok(Outcome::new(text, json!({ "accounts": [] })));
	}
	let lines = kept
		.iter()
		.map(|kept| format!("{:<20} {}\n", kept.name, kept.account.ss58()));
	Ok(Outcome::new(lines.collect::<String>(), json!({ "accounts": kept })))
}

async fn show(cx: &Context, name: &str, store: &KeystoreArgs) -> Result<Outcome, CliError> {
	let who = match store.address(name)? {
		Some(kept) => kept,
		None => {
			account(name).map_err(|e| CliError::Usage(format!("{e}; `assay account list` lists those kept here")))?
		}
	};
	let chain = cx.chain().await?;
	let balance = chain.balance(&chain.best().await?, &who).await?;
	let text = format!(
		"account  {}\naddress  {}\nfree     {}\nheld     {}\n",
		name_of(&who),
		who.ss58(),
		Asy(balance.free),
		Asy(balance.held)
	);
	let json = json!({ "account": who, "free": Asy(balance.free), "held": Asy(balance.held) });
	Ok(Outcome::new(text, json))
}
