//! Who signs: the development accounts of a chain whose keys are public, or a wallet of the browser.

import { sr25519CreateDerive } from '@polkadot-labs/hdkd';
import { DEV_MINI_SECRET, ss58Address, ss58Decode } from '@polkadot-labs/hdkd-helpers';
import type { PolkadotSigner } from 'polkadot-api';
import { connectInjectedExtension, getInjectedExtensions } from 'polkadot-api/pjs-signer';
import { getPolkadotSigner } from 'polkadot-api/signer';

/** An account that can sign. */
export interface Account {
	address: string;
	name: string;
	/** Where its key is. */
	from: string;
	signer: PolkadotSigner;
}

const NAMES = ['Alice', 'Bob', 'Charlie', 'Dave', 'Eve', 'Ferdie'];
const PREFIX = 42;

/** Returns the development accounts, whose keys everybody knows. */
export function developmentAccounts(): Account[] {
	const derive = sr25519CreateDerive(DEV_MINI_SECRET);
	return NAMES.map((name) => {
		const pair = derive(`//${name}`);
		return {
			address: ss58Address(pair.publicKey, PREFIX),
			name,
			from: 'development account',
			signer: getPolkadotSigner(pair.publicKey, 'Sr25519', pair.sign),
		};
	});
}

/** Returns an address in the form that receipt files have: wallets may show that of another network. */
export function canonical(address: string): string {
	return ss58Address(ss58Decode(address)[0], PREFIX);
}

/** Returns the names of the wallets in this browser. */
export function wallets(): string[] {
	return getInjectedExtensions();
}

/** Asks a wallet for its accounts; it asks its owner. */
export async function accountsOf(wallet: string): Promise<Account[]> {
	const extension = await connectInjectedExtension(wallet, 'Assay');
	return extension.getAccounts().map((account) => ({
		address: account.address,
		name: account.name ?? account.address,
		from: wallet,
		signer: account.polkadotSigner,
	}));
}
