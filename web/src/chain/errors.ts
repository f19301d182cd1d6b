//! Errors of the chain in words: their names, what they mean, and what to do.

const NEXT_STEP: Record<string, string> = {
	UnknownModel: 'Nobody registered this model. Choose another one.',
	RetiredModel: 'No listing of this model takes new jobs. Choose another one.',
	UnknownListing: 'There is no such listing. Choose the model again.',
	RetiredListing: 'This listing takes no new jobs. Choose the model again.',
	EmptyInput: 'The question is empty. Write something.',
	InputTooLong: 'The question is longer than the chain or the model takes. Ask something shorter.',
	InputNotUtf8: 'The question is not valid text. Type it again.',
	BadParams: 'The number of tokens is outside of the limits. Choose from 1 to 4096.',
	TooManyVerifiers: 'A job has at most 8 verifiers. Ask for fewer.',
	FeeTooLow: 'The price rose since the quote. Read the new quote and ask again.',
	NoProvider: 'Nobody serves this model now. Choose another one, or come back later.',
	NoVerifier: 'Only one provider serves this model, so nobody could check it. Ask without verifiers, or another model.',
	TooManyJobs: 'Too many jobs wait. Come back in some minutes.',
	NobodyWilling: 'Nobody executes at these prices now. Choose another model.',
	TooFewWilling: 'Too few execute at these prices for a checked job. Ask without verifiers, or another model.',
	BadChat: 'The conversation is malformed.',
	FundsUnavailable: 'The account has too little money for fee ceiling and deposit. Choose another account, or fill it.',
	Payment: 'The account cannot pay the transaction. Choose another account, or fill it.',
	Stale: 'The transaction’s number was used already. Ask again.',
	UserWasNotKnown: 'The wallet did not sign.',
};

interface Named {
	type: string;
	value?: unknown;
}

const isNamed = (value: unknown): value is Named => typeof (value as Named | null)?.type === 'string';

/** Returns the names in a decoded error, as `Module`, `Jobs`, `FeeTooLow`. */
function names(error: unknown): string[] {
	const found: string[] = [];
	let at: unknown = error;
	while (isNamed(at) && found.length < 8) {
		found.push(at.type);
		at = at.value;
	}
	return found;
}

/** Says what an error of the chain means: its name, and what to do. */
export function chainError(error: unknown): string {
	const path = names(error).filter((name) => !['Module', 'Err', 'Invalid'].includes(name));
	const name = path.at(-1);
	if (!name) return message(error);
	const step = NEXT_STEP[name] ?? 'See “Errors” in docs/dapp.md for what it means.';
	return `${path.join('.')}: ${step}`;
}

/** Returns the text of whatever was thrown. */
export function message(error: unknown): string {
	if (error instanceof Error) {
		// polkadot-api throws what the pool refuses with the decoded reason in the message.
		const inner = (error as { error?: unknown }).error;
		if (isNamed(inner)) return chainError(inner);
		return error.message || error.name;
	}
	return typeof error === 'string' ? error : 'Something went wrong, and nothing says what. Reload the page.';
}

const FAILURES: Record<string, string> = {
	PromptTooLong: 'the prompt fills the model’s context. Ask something shorter.',
	NonFinite: 'this prompt drives the model’s numbers out of range. Ask in other words.',
	Template: 'the model’s chat template refuses this prompt. Ask in other words.',
	NoTokens: 'this prompt has no tokens. Ask in other words.',
	NotGenerative: 'this model generates no text. Choose another one.',
	PartLeftOut: 'the model’s chat template leaves out a part of this conversation. Ask without it, or another model.',
	Grammar: 'it cannot be held to these tools or this schema. Ask with simpler ones.',
};

/** Says why a model gave no answer. */
export function noAnswer(failure: string): string {
	return `No answer: ${FAILURES[failure] ?? failure}`;
}

const REFUNDS: Record<string, string> = {
	QueueTimeOver: 'no provider had a free place in time',
	NoOutput: 'no executor published an answer in time',
	Undecided: 'a verifier rejected the answer, and the electorate did not decide',
};

/** Says why a job was refunded. */
export function refund(reason: string): string {
	return `${REFUNDS[reason] ?? reason}. You have your money back; ask again.`;
}
