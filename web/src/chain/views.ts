//! What the runtime API returns, as polkadot-api decodes it from the chain's own metadata.

/** An enum: which one, and what it holds. */
export interface Variant<T extends string = string, V = unknown> {
	type: T;
	value: V;
}

/** Prices in base units for a token. */
export interface Prices {
	price_in: bigint;
	price_out: bigint;
}

/** Somebody's terms for a model. */
export interface Listing {
	listing: number;
	owner: string;
	prices: Prices;
	next_prices?: { prices: Prices; at: number };
	royalty: number;
	listed_at: number;
	willing: bigint;
	takes_checked_jobs: boolean;
}

/** A model of the catalog. */
export interface Model {
	id: string;
	name: string;
	architecture: string;
	profile: Variant;
	parameters: bigint;
	weight_bytes: bigint;
	context_length: number;
	parent?: string;
	providers: number;
	stake: bigint;
	listings: Listing[];
}

/** A provider of a model. */
export interface Provider {
	provider: string;
	least: Prices;
	bond: bigint;
	capacity: number;
	load: number;
	sealed: bigint;
	ready: boolean;
	available: boolean;
	endpoint?: Uint8Array;
}

/** The record of a provider, of which the page shows these fields. */
export interface ProviderRecord {
	jailed_until?: number;
	last_seen?: number;
	suspensions: number;
	suspended_at?: number;
	lost_bond: bigint;
}

/** The price of a job before it is requested. */
export interface Quote {
	listing: number;
	fee_ceiling: bigint;
	deposit: bigint;
	input_tokens: number;
	output_tokens: number;
	seat_fee: bigint;
	electorate: { members: number; stake: bigint };
	jobs_ahead: number;
	longest_wait: number;
	t_max: number;
}

/** A drawn seat and its vote. */
export interface Seat {
	provider: string;
	tranche: number;
	vote?: { tranche: number; vote: Variant<'Approve' | 'Reject'> };
	fault?: Variant;
}

/** What is published of a job. */
export interface Output {
	input_tokens: number;
	tokens: number[];
	text: Uint8Array;
	finish: Variant<'Eos' | 'Stop' | 'Length' | 'Failed', Variant | undefined>;
}

/** A job, open or closed. */
export interface Job {
	id: string;
	requester: string;
	model: string;
	listing: number;
	params: { max_tokens: number };
	verifiers: number;
	state: Variant;
	verdict?: Variant<'Confirmed' | 'Unchecked' | 'Unverified' | 'Overturned' | 'Refunded', Variant | undefined>;
	verdict_at?: number;
	attempt: number;
	executor?: string;
	claim?: string;
	seats: Seat[];
	deadline?: number;
	input: Variant<'Text' | 'Chat', Uint8Array>;
	output?: Output;
	requested_at: number;
}

/** Who makes a job's draft. */
export interface Execution {
	attempt: number;
	executor: string;
	key?: string;
	claim: string;
	endpoint?: Uint8Array;
	published: boolean;
}

/** What a receipt says of a job, of which the page shows these fields. */
export interface Receipt {
	verdict: NonNullable<Job['verdict']>;
	state: Variant;
	fee: bigint;
	requested_at: number;
	verdict_at: number;
	closed_at?: number;
	claim?: { seats: Seat[]; executor: string };
}

/** Tranches from this one on are auditors'. */
export const AUDIT = 128;
