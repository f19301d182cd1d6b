//! The models of the catalog.

import { cheapest, models } from '../chain/catalog';
import type { Connection } from '../chain/connection';
import type { Listing, Model } from '../chain/views';
import { asy, bytes, count, name } from '../format';
import { Facts, Hash } from '../parts/facts';
import { Badge, Problem } from '../parts/status';
import { useLoaded } from '../parts/use';

function Terms({ of }: { of: Listing }) {
	return (
		<li>
			Listing {of.listing}: {asy(of.prices.price_in)} for a token read, {asy(of.prices.price_out)} for a token made; royalty{' '}
			{of.royalty / 10_000} %; by <Hash value={of.owner} of="owner’s address" />.{' '}
			{of.next_prices
				? `From block ${of.next_prices.at}: ${asy(of.next_prices.prices.price_in)} and ${asy(of.next_prices.prices.price_out)}. `
				: ''}
			<Badge kind={of.takes_checked_jobs ? 'good' : 'open'}>
				{of.takes_checked_jobs ? 'takes checked jobs' : 'takes only unchecked jobs'}
			</Badge>
		</li>
	);
}

function ModelCard({ of }: { of: Model }) {
	const price = cheapest(of);
	return (
		<article class="card">
			<h2>{name(of.name)}</h2>
			<Facts
				of={[
					['Id', <Hash value={of.id} of="model’s id" />],
					['Price', price ? `${asy(price.price_out)} for a token of the answer, ${asy(price.price_in)} for one of the question` : 'takes no jobs'],
					['Architecture', `${name(of.architecture)}, arithmetic ${of.profile.type}`],
					['Size', `${of.parameters.toLocaleString('en-US')} parameters, ${bytes(of.weight_bytes)}`],
					['Context', count(of.context_length, 'token')],
					['Made from', of.parent ? <Hash value={of.parent} of="parent’s id" /> : null],
					['Served by', `${count(of.providers, 'provider')} with ${asy(of.stake)}`],
				]}
			/>
			<details>
				<summary>{count(of.listings.length, 'listing')}</summary>
				<ul class="plain">{of.listings.map((listing) => <Terms key={listing.listing} of={listing} />)}</ul>
			</details>
		</article>
	);
}

/** All models. */
export function Models({ connection }: { connection: Connection }) {
	const { value, problem } = useLoaded(() => models(connection), [connection]);
	return (
		<>
			<h1>Models</h1>
			<p>
				A model’s id is the hash of its weights, tokenizer, chat template and arithmetic. The facts here are proved by it; the
				name is not, and other models may have the same.
			</p>
			{problem ? <Problem>{problem}</Problem> : null}
			{value === null && !problem ? <p class="note">Reading the catalog.</p> : null}
			{value?.length === 0 ? <p class="note">No model is registered on this chain yet.</p> : null}
			{value?.map((model) => <ModelCard key={model.id} of={model} />)}
		</>
	);
}
