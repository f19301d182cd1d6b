//! The examples of the pallet's documentation.

use super::*;
use frame_support::assert_ok;

#[docify::export]
#[test]
fn a_job_is_held_settled_and_closed() {
	build_and_execute(|| {
		let (payer, executor, verifier, owner) = (1, 2, 3, 4);
		let (fee_ceiling, deposit) = (500, 20);
		assert_ok!(Payments::hold(JOB, &payer, fee_ceiling, deposit));
		assert_eq!(held(payer), (500, 20));

		// The answer was confirmed: the shares are paid, the rest of the fee ceiling goes back.
		let shares = Shares {
			executor: 300,
			seat: 50,
			seats: 1,
			royalty: 25,
			pool: 4,
			..Default::default()
		};
		assert_ok!(Payments::settle(&JOB, &shares, &executor, &[verifier], &owner));
		assert_eq!(free(payer), MONEY - 300 - 50 - 25 - 4 - deposit);

		// The receipt is pruned: the deposit goes back too.
		assert_ok!(Payments::close(&JOB));
		assert_eq!(held(payer), (0, 0));
	});
}

#[docify::export]
#[test]
fn a_fine_pays_an_audit() {
	build_and_execute(|| {
		let auditor = 2;
		// A provider that did not vote was fined 80.
		Payments::collect(slashed(80));
		assert_eq!(free(POOL), ENDOWMENT + 80);

		assert_eq!(Payments::pay(&auditor, 50), 50);
		assert_eq!(free(auditor), MONEY + 50);
	});
}
