//! Rehearses an upgrade: a chain of the last release, with jobs in all stages, becomes one of this release.
//!
//! `scripts/upgrade-test.sh` builds the last release, whose commit is in `runtime/last-release`, and names its Wasm in
//! `ASSAY_LAST_RELEASE`. Without it this release is upgraded to itself, as if it were a new one, which rehearses
//! everything but a change.

mod common;

use assay_primitives::{model::Prices, receipt::Audit, state::State, traits::ProviderSet, ClaimId, JobId, Verdict};
use assay_runtime::{
	configs::system::RuntimeBlockWeights, migrations::Migrations, AccountId, AllPalletsWithSystem, Balances, Jobs,
	Models, Providers, Runtime, RuntimeCall, System, VERSION, WASM_BINARY,
};
use codec::{Decode, Encode};
use common::{
	check_state,
	claims::{claim, open_claim, opening, publish, receipt, run_until, truth, vote_all, TRUTH},
	keyring,
	released::{self, bytes, check_storage, decode_metadata, field, Released, ReleasedChain},
	Chain,
};
use frame_support::{storage::unhashed, traits::OnRuntimeUpgrade};
use sp_core::storage::{well_known_keys::CODE, StateVersion};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Ferdie};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

/// Jobs of the last release that are open when the upgrade comes, and one that is settled.
struct OldJobs {
	settled: JobId,
	in_window: JobId,
	voting: JobId,
	requested: JobId,
}

/// Returns the last release, or this one if the last one's Wasm is not there.
fn last_release() -> Released {
	if let Some(path) = std::env::var_os("ASSAY_LAST_RELEASE") {
		let code = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
		return Released::last(code);
	}
	println!(
		"NOT REHEARSED: the last release's Wasm is not there, so this release is upgraded to itself. Run \
		 `make upgrade-test`."
	);
	let code =
		WASM_BINARY.expect("this test needs a Wasm runtime: build without SKIP_WASM_BUILD, or set ASSAY_LAST_RELEASE");
	Released::this(code.to_vec())
}

/// Requests a job on the last release's chain and returns its name.
fn request(chain: &mut ReleasedChain, verifiers: u8) -> JobId {
	let before = chain.map("Jobs", "Jobs");
	let model = chain.model();
	let call = released::request(&chain.released, model, verifiers);
	let transaction = chain.signed(Ferdie, call);
	chain.good_block(vec![transaction]);
	let after = chain.map("Jobs", "Jobs");
	let mut new = after.keys().filter(|key| !before.contains_key(*key));
	let key = new.next().expect("the job is stored");
	assert!(new.next().is_none());
	JobId(key[..].try_into().expect("the map's keys are names"))
}

/// Publishes the answer of a job on the last release's chain, once its executor is drawn, and returns the claim.
fn publish_old(chain: &mut ReleasedChain, job: JobId) -> ClaimId {
	chain.idle(1);
	let jobs = chain.map("Jobs", "Jobs");
	let record = &jobs[&job.0.to_vec()];
	let part = |name| bytes(field(record, &["engagement", name]).expect("an executor was drawn"));
	let executor = AccountId::decode(&mut &part("executor")[..]).expect("an account");
	let claim = ClaimId(part("claim")[..].try_into().expect("a name"));
	let publication = pallet_jobs::Publication::<AccountId, u32> {
		seal: claim.seal(&executor, &claim.bind(&TRUTH)),
		executor: executor.clone(),
		claim,
		job,
		output: truth().into(),
		at: chain.number,
	};
	let transaction = common::claims::publication_signed(publication, &[1; 32], keyring(&executor));
	chain.good_block(vec![transaction.encode()]);
	claim
}

/// Makes blocks in which all providers stay alive.
fn live(chain: &mut ReleasedChain, blocks: u32) {
	for n in 0..blocks {
		let mut beats = Vec::new();
		if n % 20 == 0 {
			for who in [Alice, Bob, Charlie, Dave] {
				let batch = pallet_verification::Batch {
					voter: who.to_account_id(),
					at: chain.number,
					messages: Default::default(),
				};
				beats.push(common::claims::batch_signed(batch, &[1; 32], who).encode());
			}
		}
		// One that is not due yet is refused.
		let _ = chain.block(beats);
	}
}

/// Makes a chain of the last release with a job in every stage.
fn old_chain(released: Released) -> (ReleasedChain, OldJobs) {
	let mut chain = ReleasedChain::new(released, "development");
	// Three of them, because the lottery may send one to an audit.
	let early: Vec<_> = (0..3)
		.map(|_| {
			let job = request(&mut chain, 0);
			(job, publish_old(&mut chain, job))
		})
		.collect();
	live(&mut chain, 30);
	let openings = early.iter().map(|(_, claim)| opening(*claim, TRUTH).encode());
	let openings = openings.collect();
	let _ = chain.block(openings);
	live(&mut chain, 200);
	let receipts = chain.map("Jobs", "Receipts");
	let settled = early.iter().find(|(job, _)| receipts.contains_key(job.0.as_slice()));
	let (settled, _) = *settled.expect("one of three was settled");

	let in_window = request(&mut chain, 0);
	publish_old(&mut chain, in_window);
	let voting = request(&mut chain, 2);
	publish_old(&mut chain, voting);
	chain.idle(3);
	let requested = request(&mut chain, 1);
	chain.idle(1);
	let jobs = OldJobs {
		settled,
		in_window,
		voting,
		requested,
	};
	(chain, jobs)
}

fn call(who: Sr25519Keyring, call: impl Into<RuntimeCall>, chain: &mut ReleasedChain) -> Vec<u8> {
	let call = call.into().encode();
	chain.signed(who, call)
}

/// Sets the new code as a real chain does: root authorizes its hash, and anybody uploads it.
fn upgrade(chain: &mut ReleasedChain, code: &[u8]) {
	let code_hash = BlakeTwo256::hash(code);
	let authorize = frame_system::Call::authorize_upgrade { code_hash };
	let sudo = pallet_sudo::Call::sudo {
		call: Box::new(authorize.into()),
	};
	let transaction = call(Alice, sudo, chain);
	chain.good_block(vec![transaction]);
	let apply = frame_system::Call::apply_authorized_upgrade { code: code.to_vec() };
	let transaction = call(Ferdie, apply, chain);
	chain.good_block(vec![transaction]);
	let set = chain.ext.execute_with(|| unhashed::get_raw(CODE));
	assert!(set.as_deref() == Some(code), "the last release accepts the new code");
}

/// Returns the name of a job's claim, as this release stores it.
fn claim_of(chain: &mut Chain, job: JobId) -> ClaimId {
	common::claims::executor(chain, job).1
}

#[test]
fn a_chain_of_the_last_release_becomes_one_of_this_with_its_jobs() {
	let released = last_release();
	let differs = !released.is_this;
	let version = released.version();
	let (mut old, jobs) = old_chain(released);
	let model = old.model();

	// Before: all that is stored is the last release's.
	let metadata = old.released.metadata();
	let values = check_storage(&mut old.ext, &metadata);
	println!(
		"spec_version {}: {values} values in storage at block {}",
		version.spec_version, old.number
	);
	let issuance = old.ext.execute_with(Balances::total_issuance);
	assert_eq!(version.spec_name, VERSION.spec_name);
	if differs {
		assert!(
			version.spec_version < VERSION.spec_version,
			"raise spec_version in runtime/src/lib.rs: the last release has {} too",
			version.spec_version
		);
		match WASM_BINARY {
			Some(code) => upgrade(&mut old, code),
			None => println!("the new code is not uploaded, only run: there is no Wasm of it in this build"),
		}
	} else {
		let before = frame_system::LastRuntimeUpgradeInfo {
			spec_version: (VERSION.spec_version - 1).into(),
			spec_name: VERSION.spec_name,
		};
		old.ext
			.execute_with(|| frame_system::LastRuntimeUpgrade::<Runtime>::put(before));
	}

	// The upgrade: the first block of this release.
	let ReleasedChain {
		ext,
		parent,
		number,
		slot,
		..
	} = old;
	let mut chain = Chain::resume(ext, parent, number, slot);
	chain.idle(1);
	chain.read(|| {
		let upgraded = frame_system::LastRuntimeUpgrade::<Runtime>::get().expect("set by the upgrade");
		assert_eq!(upgraded.spec_version.0, VERSION.spec_version, "the migrations have run");
		assert!(
			System::block_weight()
				.total()
				.all_lte(RuntimeBlockWeights::get().max_block),
			"the migrations fit in a block"
		);
		check_state();
		assert_eq!(Balances::total_issuance(), issuance);
		let view = Models::view(&model).expect("the model is in the catalog");
		let [listing] = &view.listings[..] else {
			panic!("the model has one listing: its terms of before")
		};
		for job in [jobs.settled, jobs.in_window, jobs.voting, jobs.requested] {
			let job = Jobs::view(job).expect("the job is there");
			assert_eq!(job.listing, listing.listing);
		}
		for sealed in <Providers as ProviderSet<AccountId>>::sealed(&model) {
			assert_eq!(sealed.least, Prices::default(), "all execute at any price");
		}
	});

	// After: all that is stored is this release's, and nothing is left of what was.
	let (mut ext, parent, number, slot) = chain.suspend();
	let metadata = ext.execute_with(|| Runtime::metadata_at_version(16).expect("this version is served"));
	let values = check_storage(&mut ext, &decode_metadata(&metadata));
	println!(
		"spec_version {}: {values} values in storage at block {number}",
		VERSION.spec_version
	);

	// Running the migrations again changes nothing.
	ext.execute_with(|| {
		let root = sp_io::storage::root(StateVersion::V1);
		<(Migrations, AllPalletsWithSystem) as OnRuntimeUpgrade>::on_runtime_upgrade();
		assert_eq!(
			sp_io::storage::root(StateVersion::V1),
			root,
			"a migration is not idempotent"
		);
	});

	// The jobs go on, each from its stage.
	let mut chain = Chain::resume(ext, parent, number, slot);
	assert_eq!(receipt(&mut chain, jobs.settled).state, State::Settled);
	assert_eq!(receipt(&mut chain, jobs.in_window).verdict, Verdict::Unchecked);
	let voting = claim_of(&mut chain, jobs.voting);
	run_until(&mut chain, voting, |claim| claim.state == State::Voting);
	vote_all(&mut chain, voting, |_| Some(TRUTH));
	assert_eq!(receipt(&mut chain, jobs.voting).verdict, Verdict::Confirmed);
	let requested = publish(&mut chain, jobs.requested, truth(), TRUTH);
	run_until(&mut chain, requested, |claim| claim.state == State::Voting);
	vote_all(&mut chain, requested, |_| Some(TRUTH));
	let in_window = claim_of(&mut chain, jobs.in_window);
	let claims = [in_window, voting, requested];
	for id in claims {
		run_until(&mut chain, id, |claim| {
			claim.state == State::Auditing || claim.record.audit == Audit::Spared
		});
		if claim(&mut chain, id).state == State::Auditing {
			vote_all(&mut chain, id, |_| Some(TRUTH));
		}
		if claim(&mut chain, id).record.root.is_none() {
			chain.good_block(vec![opening(id, TRUTH)]);
		}
	}
	for id in claims {
		run_until(&mut chain, id, |_| false);
		assert!(open_claim(&mut chain, id).is_none());
	}
	for job in [jobs.settled, jobs.in_window, jobs.voting, jobs.requested] {
		assert_eq!(receipt(&mut chain, job).state, State::Settled);
	}
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn a_value_that_does_not_decode_or_belongs_to_no_pallet_is_found() {
	let metadata = || {
		let mut ext = common::genesis("development");
		let metadata = ext.execute_with(|| Runtime::metadata_at_version(16).expect("this version is served"));
		decode_metadata(&metadata)
	};
	let fails = |damage: fn()| {
		let mut ext = common::genesis("development");
		ext.execute_with(damage);
		let metadata = metadata();
		std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check_storage(&mut ext, &metadata))).is_err()
	};
	assert!(!fails(|| ()), "nothing is wrong with the genesis");
	assert!(fails(|| unhashed::put_raw(&[7; 40], &[1])), "storage of no pallet");
	assert!(
		fails(|| {
			let key = pallet_providers::Providers::<Runtime>::hashed_key_for(Alice.to_account_id());
			let mut value = unhashed::get_raw(&key).expect("Alice is a provider");
			value.push(0);
			unhashed::put_raw(&key, &value);
		}),
		"a byte too many"
	);
	assert!(
		fails(|| {
			let key = pallet_providers::Providers::<Runtime>::hashed_key_for(Alice.to_account_id());
			unhashed::put_raw(&key, &[1, 2, 3]);
		}),
		"too few bytes"
	);
}
