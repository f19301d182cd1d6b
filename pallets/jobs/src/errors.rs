//! The errors of the pallet.

use frame_support::pallet_macros::pallet_section;

/// The errors of the pallet.
#[pallet_section]
mod errors {
	/// Reasons of refusal. Nothing has changed then.
	///
	/// The index of an error is also the code *n* of `InvalidTransaction::Custom(n)` with which the pool refuses a
	/// message.
	#[pallet::error]
	#[derive(PartialEq, Eq)]
	pub enum Error<T> {
		/// No such model is registered. List them with the runtime API's `models`.
		#[codec(index = 0)]
		UnknownModel,
		/// No listing of the model takes new jobs. List it, or choose another.
		#[codec(index = 1)]
		RetiredModel,
		/// The prompt is empty.
		#[codec(index = 2)]
		EmptyInput,
		/// The prompt is not UTF-8 text.
		#[codec(index = 3)]
		InputNotUtf8,
		/// The prompt is too long for the model's context, or has more than 65536 bytes. Shorten it.
		#[codec(index = 4)]
		InputTooLong,
		/// A sampling parameter is out of range: 1 to 4096 tokens, temperature at most 16, min-p at most 1, at most 4 stops
		/// of 1 to 32 bytes of UTF-8 text.
		#[codec(index = 5)]
		BadParams,
		/// More verifiers than the chain allows. Ask for at most 8.
		#[codec(index = 6)]
		TooManyVerifiers,
		/// `max_fee` does not cover what the job may cost. Get a quote from the runtime API's `quote`.
		#[codec(index = 7)]
		FeeTooLow,
		/// Nobody serves the model in the electorate that is in force. Try later.
		#[codec(index = 8)]
		NoProvider,
		/// Nobody but the executor serves the model, so nobody could check the answer. Ask for no verifier, or try later.
		#[codec(index = 9)]
		NoVerifier,
		/// As many requests wait as the chain takes. Try again in a few blocks.
		#[codec(index = 10)]
		TooManyJobs,
		/// No such job is open.
		#[codec(index = 11)]
		UnknownJob,
		/// The job has another claim: this one was drawn on another fork, or its attempt is over.
		#[codec(index = 12)]
		WrongClaim,
		/// The sender does not execute the job.
		#[codec(index = 13)]
		NotExecutor,
		/// The claim is published already.
		#[codec(index = 14)]
		AlreadyPublished,
		/// The message was made more than 16 blocks ago, or at a block that is not here yet.
		#[codec(index = 15)]
		StaleMessage,
		/// The sender has no inference key. Set one first.
		#[codec(index = 16)]
		NoInferenceKey,
		/// The output has more tokens than the request allows, or more bytes of text than 16 for each token that it allows
		/// and than 1024.
		#[codec(index = 17)]
		OutputTooLong,
		/// The sender's inference key did not sign this message for this chain.
		#[codec(index = 18)]
		BadSignature,
		/// The output's text is not UTF-8.
		#[codec(index = 19)]
		OutputNotUtf8,
		/// No such job has a final receipt.
		#[codec(index = 20)]
		UnknownReceipt,
		/// Only the requester may prune the receipt now; later anyone may.
		#[codec(index = 21)]
		StillRetained,
		/// The job is not final: its answer may still be disputed. Prune its receipt when it is.
		#[codec(index = 22)]
		NotFinal,
		/// The block in which the job became final does not count as finalized yet. Try again later.
		#[codec(index = 23)]
		NotFinalized,
		/// There is no such listing. List those of a model with the runtime API's `model`.
		#[codec(index = 24)]
		UnknownListing,
		/// The listing takes no new jobs. Choose another, or name the model.
		#[codec(index = 25)]
		RetiredListing,
		/// Nobody in the electorate executes at the listing's prices. Choose another listing.
		#[codec(index = 26)]
		NobodyWilling,
		/// Members that execute at the listing's prices hold less than two thirds of the electorate's stake. Choose
		/// another listing, or ask for no verifier.
		#[codec(index = 27)]
		TooFewWilling,
		/// The conversation is not one that models are asked here: it is not JSON, or a part of it is malformed, unknown or
		/// over a limit. `Chat::parse` of the crate `assay-primitives`, with which clients check it, names which part.
		#[codec(index = 28)]
		BadChat,
	}
}
