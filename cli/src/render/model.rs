//! Models, listings and providers as text for people and as JSON.

use super::{boxed, short};
use crate::{
	amount::Asy,
	chain::{Listing, Model, Provider},
	keys::name_of,
};
use assay_primitives::{model::Prices, Balance};
use serde::Serialize;
use serde_json::{json, Value};

/// Draws a table of models and their listings.
pub(crate) fn models(models: &[Model]) -> String {
	if models.is_empty() {
		return "No model is registered. Register one: `assay model register DIR --price-in … --price-out …`".into();
	}
	let mut out = format!(
		"{:<20} {:>9} {:>9}  {:>7}  {:<16} {:<16} {}\n",
		"name", "providers", "context", "listing", "ASY in", "ASY out", "id"
	);
	for m in models {
		let model = format!("{:<20} {:>9} {:>9}", m.name, m.providers, m.context_length);
		let id = short(&m.id.0);
		if m.listings.is_empty() {
			out.push_str(&format!("{model}  {:>7}  {:<16} {:<16} {id}\n", "none", "", ""));
		}
		for listing in &m.listings {
			let [price_in, price_out] = [listing.prices.price_in, listing.prices.price_out].map(|price| {
				let price = Asy(price).to_string();
				price.trim_end_matches(" ASY").to_owned()
			});
			let number = listing.listing.0;
			out.push_str(&format!("{model}  {number:>7}  {price_in:<16} {price_out:<16} {id}\n"));
		}
	}
	out
}

/// Returns a model as JSON, with amounts in ASY.
pub(crate) fn model_json(model: &Model) -> Value {
	let mut json = with_asy(model, &[("stake", model.stake)]);
	json["listings"] = model.listings.iter().map(listing_json).collect();
	json
}

/// Returns a listing as JSON, with amounts in ASY.
fn listing_json(listing: &Listing) -> Value {
	let prices = |prices: &Prices| [("price_in", prices.price_in), ("price_out", prices.price_out)];
	let amounts = [("deposit", listing.deposit), ("willing", listing.willing)];
	let mut json = with_asy(listing, &[amounts, prices(&listing.prices)].concat());
	if let Some(next) = &listing.next_prices {
		json["next_prices"] = with_asy(next, &prices(&next.prices));
	}
	json
}

/// Returns a provider of a model as JSON, with the stakes in ASY.
pub(crate) fn provider_json(provider: &Provider) -> Value {
	with_asy(provider, &[("bond", provider.bond), ("sealed", provider.sealed)])
}

/// Returns a view's JSON in which amounts, which views give in base units, are in ASY.
fn with_asy(view: &impl Serialize, amounts: &[(&str, Balance)]) -> Value {
	let mut json = json!(view);
	for (name, amount) in amounts {
		json[*name] = json!(Asy(*amount));
	}
	json
}

/// Draws a model, its listings and its providers.
pub(crate) fn model(m: &Model, providers: &[Provider]) -> String {
	let mut lines = vec![
		("model", m.name.clone()),
		("id", m.id.to_string()),
		(
			"kind",
			format!(
				"{}, {} parameters, {} bytes",
				m.architecture, m.parameters, m.weight_bytes
			),
		),
		(
			"context",
			format!(
				"{} tokens, up to {} of them from the chat template",
				m.context_length, m.prompt_overhead
			),
		),
	];
	let unlisted = m.listings.is_empty();
	lines.extend(unlisted.then(|| ("state", "no listing takes jobs".into())));
	lines.extend(m.listings.iter().map(|listing| ("listing", listing_line(listing))));
	for p in providers {
		let state = match (p.available, p.ready) {
			(true, _) => "free",
			(false, true) => "no free place",
			(false, false) => "not ready",
		};
		let load = format!(
			"{}: {} of {} jobs, bond {}, sealed {}, {state}",
			name_of(&p.provider),
			p.load,
			p.capacity,
			Asy(p.bond),
			Asy(p.sealed)
		);
		lines.push(("provider", load));
	}
	boxed("model", &lines)
}

/// Describes a listing in one line.
fn listing_line(listing: &Listing) -> String {
	let percent = f64::from(listing.royalty.deconstruct()) / 10_000.0;
	let prices = |prices: &Prices| format!("{} in, {} out", Asy(prices.price_in), Asy(prices.price_out));
	let next = listing.next_prices.as_ref().map_or_else(String::new, |next| {
		format!(", from block {} on {}", next.at, prices(&next.prices))
	});
	let willing = Asy(listing.willing);
	let checked = if listing.takes_checked_jobs {
		format!("stake of {willing} executes")
	} else {
		format!("only stake of {willing} executes: takes no checked jobs")
	};
	format!(
		"{} by {}: {}{next}, royalty {percent} %, deposit {}, {checked}",
		listing.listing,
		name_of(&listing.owner),
		prices(&listing.prices),
		Asy(listing.deposit)
	)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn an_empty_catalog_names_the_command_that_registers() {
		assert!(models(&[]).contains("assay model register"));
	}
}
