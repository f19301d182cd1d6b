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

		// An answer was agreed on: the shares are paid, the rest of the fee ceiling goes back.
		let shares = Shares {
			executor: 300,
			verifier: 50,
			royalty: 25,
			..Default::default()
		};
		assert_ok!(Payments::settle(&JOB, &shares, &executor, &[verifier], &owner));
		assert_eq!(free(payer), MONEY - 300 - 50 - 25 - deposit);

		// The receipt is pruned: the deposit goes back too.
		assert_ok!(Payments::close(&JOB));
		assert_eq!(held(payer), (0, 0));
	});
}

#[docify::export]
#[test]
fn a_job_without_an_answer_is_refunded() {
	build_and_execute(|| {
		let payer = 1;
		assert_ok!(Payments::hold(JOB, &payer, 500, 20));

		// The provider at fault lost 80, of which 50 are due to the payer. The treasury gets the rest.
		assert_eq!(Payments::restitute(&JOB, slashed(80), 50), 50);
		assert_ok!(Payments::refund(&JOB));
		assert_eq!(free(payer), MONEY - 20 + 50);
		assert_eq!(free(TREASURY), 30);
	});
}
