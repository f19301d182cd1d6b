//! JSON-RPC over a WebSocket, for the methods that only a node has: drafts and whole receipt files. polkadot-api speaks
//! only the standard methods to a provider, and ends a subscription that it does not know.

const MAX_MESSAGE_CHARS = 12 * 1024 * 1024;
const TIMEOUT = 30_000;

/** An error that the node returned. */
export class RpcError extends Error {
	constructor(
		readonly code: number,
		message: string,
		readonly data: unknown,
	) {
		super(message);
	}
}

interface Answer {
	id?: number;
	method?: string;
	result?: unknown;
	error?: { code: number; message: string; data?: unknown };
	params?: { subscription: string; result: unknown };
}

/** A connection to one node. */
export class Rpc {
	#socket: WebSocket;
	#open: Promise<void>;
	#next = 1;
	#waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
	#notices = new Map<string, (value: unknown) => void>();
	#early: NonNullable<Answer['params']>[] = [];
	onClose: () => void = () => {};

	constructor(readonly url: string) {
		this.#socket = new WebSocket(url);
		this.#socket.onmessage = ({ data }) => this.#take(data);
		const lost = new Error(`The node at ${url} cannot be reached. Check its address, and that it runs.`);
		this.#open = new Promise((resolve, reject) => {
			this.#socket.onopen = () => resolve();
			this.#socket.onclose = () => {
				reject(lost);
				for (const { reject } of this.#waiting.values()) reject(lost);
				this.#waiting.clear();
				this.onClose();
			};
		});
		this.#open.catch(() => {});
	}

	#take(data: unknown): void {
		if (typeof data !== 'string' || data.length > MAX_MESSAGE_CHARS) return this.close();
		let message: Answer;
		try {
			message = JSON.parse(data);
		} catch {
			return this.close();
		}
		if (typeof message.id === 'number') {
			const waiting = this.#waiting.get(message.id);
			this.#waiting.delete(message.id);
			const { error } = message;
			if (error) waiting?.reject(new RpcError(error.code, String(error.message), error.data));
			else waiting?.resolve(message.result);
		} else if (message.params) {
			const notice = this.#notices.get(message.params.subscription);
			// A node may notify before the answer with the subscription's name is read.
			if (notice) notice(message.params.result);
			else if (this.#early.length < 64) this.#early.push(message.params);
		}
	}

	/** Calls a method. */
	async call<T>(method: string, params: unknown[] = []): Promise<T> {
		await this.#open;
		const id = this.#next++;
		const answered = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
		this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
		const late = setTimeout(() => {
			this.#waiting.get(id)?.reject(new Error(`The node at ${this.url} does not answer ${method}.`));
			this.#waiting.delete(id);
		}, TIMEOUT);
		try {
			return (await answered) as T;
		} finally {
			clearTimeout(late);
		}
	}

	/** Subscribes; the subscription ends with the connection. */
	async subscribe(method: string, params: unknown[], notice: (value: unknown) => void): Promise<void> {
		const subscription = await this.call<string>(method, params);
		this.#notices.set(subscription, notice);
		const early = this.#early.filter((params) => params.subscription === subscription);
		this.#early = [];
		for (const { result } of early) notice(result);
	}

	close(): void {
		this.#socket.close();
	}
}

/** Calls one method of a node, on a connection of its own. */
export async function callOnce<T>(url: string, method: string, params: unknown[] = []): Promise<T> {
	const rpc = new Rpc(url);
	try {
		return await rpc.call<T>(method, params);
	} finally {
		rpc.close();
	}
}
