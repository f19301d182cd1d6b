//! A node that answers what `assay` asks before and after it sends a transaction, and does with the transaction what a test wants.

use assay_primitives::{
	api::{ListingView, ModelView, Quote, QuoteError},
	model::{Prices, Profile},
	receipt::ElectorateSummary,
	JobId, ListingId, ModelId,
};
use assay_receipt::Account;
use codec::{Compact, Encode};
use const_hex::{decode, encode_prefixed};
use futures::{SinkExt, StreamExt};
use serde_json::{json, Value};
use std::{
	collections::BTreeMap,
	sync::{Arc, Mutex},
	time::Duration,
};
use subxt::{
	config::{substrate::BlakeTwo256, Hasher},
	Metadata,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async, tungstenite::Message, WebSocketStream};

const METADATA: &[u8] = include_bytes!("../../metadata.scale");
/// With what the keys of `System::Account` begin.
const ACCOUNT: &str = "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9";
/// The finalized block in which the node is when it gets the transaction.
pub(crate) const SINCE: u32 = 10;
/// The job that a request in a block of this node makes.
pub(crate) const JOB: JobId = JobId([0x5A; 32]);

/// What the node does with a transaction.
#[derive(Clone)]
pub(crate) enum Does {
	/// Takes it and closes the connection without an answer.
	Cuts,
	/// Answers that it watches it, and closes the connection.
	CutsLater,
	/// Answers that it watches it, and reports nothing.
	Nothing,
	/// Answers with an error: code, message, data.
	Refuses(i32, &'static str, &'static str),
	/// Reports one status, which ends the watching.
	Reports(Value),
	/// Puts it into the next block, which it finalizes, with this end.
	Includes(Ends),
}

/// How a transaction ends in a block.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ends {
	/// It succeeds, and makes the job [`JOB`].
	Requested,
	/// The call fails.
	Failed,
}

struct State {
	does: Does,
	best: u32,
	finalized: u32,
	/// The transactions of blocks.
	blocks: BTreeMap<u32, (Vec<u8>, Ends)>,
	/// What was sent, in order.
	sent: Vec<Vec<u8>>,
	/// Whether states of blocks are still there.
	pruned: bool,
	/// Whether blocks can be followed. Where they cannot, the connection is closed instead.
	follows: bool,
	/// Whether it is a public chain, not one for development.
	live: bool,
	/// How often all connections were cut.
	cut: u32,
}

/// The node, which listens until the test ends.
pub(crate) struct Node {
	pub(crate) url: String,
	state: Arc<Mutex<State>>,
}

impl Node {
	pub(crate) async fn start(does: Does) -> Self {
		let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
		let url = format!("ws://{}", listener.local_addr().unwrap());
		let state = Arc::new(Mutex::new(State {
			does,
			best: SINCE,
			finalized: SINCE,
			blocks: BTreeMap::new(),
			sent: Vec::new(),
			pruned: false,
			follows: false,
			live: false,
			cut: 0,
		}));
		let shared = state.clone();
		tokio::spawn(async move {
			while let Ok((stream, _)) = listener.accept().await {
				tokio::spawn(serve(stream, shared.clone()));
			}
		});
		Self { url, state }
	}

	/// Returns the hash of the only transaction that was sent.
	pub(crate) fn sent(&self) -> String {
		let state = self.state.lock().unwrap();
		let [transaction] = &state.sent[..] else {
			panic!("{} transactions were sent", state.sent.len())
		};
		encode_prefixed(hash_of(transaction))
	}

	/// Returns whether a transaction was sent.
	pub(crate) fn got_one(&self) -> bool {
		!self.state.lock().unwrap().sent.is_empty()
	}

	/// Puts the transaction that was sent into a block.
	pub(crate) fn include(&self, number: u32, ends: Ends) {
		let mut state = self.state.lock().unwrap();
		let transaction = state.sent[0].clone();
		state.blocks.insert(number, (transaction, ends));
	}

	pub(crate) fn go_on(&self, best: u32, finalized: u32) {
		let mut state = self.state.lock().unwrap();
		(state.best, state.finalized) = (best, finalized);
	}

	/// Lets blocks be followed.
	pub(crate) fn follow(&self) {
		self.state.lock().unwrap().follows = true;
	}

	/// Becomes a node of a public chain.
	pub(crate) fn is_live(&self) {
		self.state.lock().unwrap().live = true;
	}

	/// Does something else with the transactions that come next.
	pub(crate) fn now(&self, does: Does) {
		self.state.lock().unwrap().does = does;
	}

	/// Closes all connections, as a restart does.
	pub(crate) fn cut(&self) {
		self.state.lock().unwrap().cut += 1;
	}

	/// Returns everything that was sent.
	pub(crate) fn all_sent(&self) -> Vec<Vec<u8>> {
		self.state.lock().unwrap().sent.clone()
	}

	/// Discards the states of all blocks.
	pub(crate) fn prune(&self) {
		self.state.lock().unwrap().pruned = true;
	}
}

fn hash_of(transaction: &[u8]) -> [u8; 32] {
	let metadata = Metadata::decode_from(METADATA).unwrap();
	BlakeTwo256::new(&metadata).hash(transaction).0
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
	let Ok(mut socket) = accept_async(stream).await else {
		return;
	};
	let (cut, mut best) = (state.lock().unwrap().cut, 0);
	let mut followed: Vec<String> = Vec::new();
	loop {
		let next = tokio::time::timeout(Duration::from_millis(50), socket.next());
		let message = match next.await {
			Ok(Some(Ok(message))) => message,
			Ok(_) => return,
			Err(_) => {
				let (now, cuts) = {
					let state = state.lock().unwrap();
					(state.best, state.cut)
				};
				if cuts != cut {
					return;
				}
				if now != best {
					best = now;
					for id in &followed {
						new_head(&mut socket, id, now).await;
					}
				}
				continue;
			}
		};
		let Message::Text(text) = message else { continue };
		let request: Value = serde_json::from_str(text.as_str()).unwrap();
		let method = request["method"].as_str().unwrap();
		if method == "author_submitAndWatchExtrinsic" {
			if !take(&mut socket, &request, &state).await {
				return;
			}
			continue;
		}
		// Nothing is followed here: the connection is lost before.
		if method.starts_with("chain_subscribe") {
			if !state.lock().unwrap().follows {
				return;
			}
			let id = format!("blocks-{}", followed.len());
			send(
				&mut socket,
				&json!({ "jsonrpc": "2.0", "id": request["id"], "result": id }),
			)
			.await;
			best = state.lock().unwrap().best;
			new_head(&mut socket, &id, best).await;
			followed.push(id);
			continue;
		}
		let found = answer(&state.lock().unwrap(), method, &request["params"]);
		let reply = match found {
			Ok(result) => json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
			Err(message) => {
				json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": -32000, "message": message } })
			}
		};
		send(&mut socket, &reply).await;
	}
}

async fn send(socket: &mut WebSocketStream<TcpStream>, json: &Value) {
	let _ = socket.send(Message::text(json.to_string())).await;
}

/// Reports a new best block to who follows them.
async fn new_head(socket: &mut WebSocketStream<TcpStream>, subscription: &str, number: u32) {
	let params = json!({ "subscription": subscription, "result": header(number) });
	send(
		socket,
		&json!({ "jsonrpc": "2.0", "method": "chain_newHead", "params": params }),
	)
	.await;
}

/// Takes a transaction; returns whether the connection stays.
async fn take(socket: &mut WebSocketStream<TcpStream>, request: &Value, state: &Mutex<State>) -> bool {
	let transaction = decode(request["params"][0].as_str().unwrap()).unwrap();
	let does = {
		let mut state = state.lock().unwrap();
		state.sent.push(transaction.clone());
		if let Does::Includes(ends) = state.does {
			state.blocks.insert(SINCE + 1, (transaction, ends));
			(state.best, state.finalized) = (SINCE + 1, SINCE + 1);
		}
		state.does.clone()
	};
	let watches = json!({ "jsonrpc": "2.0", "id": request["id"], "result": "watch" });
	let block = encode_prefixed(block_hash(SINCE + 1));
	let stays = !matches!(does, Does::CutsLater);
	let statuses = match does {
		Does::Cuts => return false,
		Does::Refuses(code, message, data) => {
			let error = json!({ "code": code, "message": message, "data": data });
			send(
				socket,
				&json!({ "jsonrpc": "2.0", "id": request["id"], "error": error }),
			)
			.await;
			return true;
		}
		Does::CutsLater | Does::Nothing => vec![],
		Does::Reports(status) => vec![json!("ready"), status],
		Does::Includes(_) => vec![
			json!("ready"),
			json!({ "inBlock": block }),
			json!({ "finalized": block }),
		],
	};
	send(socket, &watches).await;
	for status in statuses {
		let params = json!({ "subscription": "watch", "result": status });
		let update = json!({ "jsonrpc": "2.0", "method": "author_extrinsicUpdate", "params": params });
		send(socket, &update).await;
	}
	stays
}

/// Returns the hash of a block of this node's chain.
pub(crate) fn block_hash(number: u32) -> [u8; 32] {
	let mut hash = [0xB1; 32];
	hash[28..].copy_from_slice(&number.to_be_bytes());
	hash
}

/// Returns the number of the block that a parameter names by its hash.
fn number_of(hash: &Value) -> u32 {
	let bytes = decode(hash.as_str().unwrap()).unwrap();
	u32::from_be_bytes(bytes[28..].try_into().unwrap())
}

fn answer(state: &State, method: &str, params: &Value) -> Result<Value, String> {
	Ok(match method {
		"system_chain" => json!("Development"),
		"system_chainType" if state.live => json!("Live"),
		"system_chainType" => json!("Development"),
		"system_health" => json!({ "peers": 0, "isSyncing": false, "shouldHavePeers": false }),
		"system_accountNextIndex" => json!(7 + state.blocks.len()),
		"state_getRuntimeVersion" => json!({ "specName": "assay", "specVersion": 1, "transactionVersion": 1 }),
		"chain_getFinalizedHead" => json!(encode_prefixed(block_hash(state.finalized))),
		"chain_getBlockHash" => match params.get(0).and_then(Value::as_u64) {
			Some(number) if number > u64::from(state.best) => Value::Null,
			Some(number) => json!(encode_prefixed(block_hash(number as u32))),
			None => json!(encode_prefixed(block_hash(state.best))),
		},
		"chain_getHeader" => header(number_of(&params[0])),
		"chain_getBlock" => {
			let number = number_of(&params[0]);
			let transactions = state.blocks.get(&number).map(|(bytes, _)| encode_prefixed(bytes));
			let transactions: Vec<_> = transactions.into_iter().collect();
			json!({ "block": { "header": header(number), "extrinsics": transactions }, "justifications": null })
		}
		"state_getStorage" if state.pruned => return Err("State already discarded".into()),
		"state_getStorage" if params[0].as_str().is_some_and(|key| key.starts_with(ACCOUNT)) => {
			// Nonce, references, free balance, and nothing that is held or frozen.
			let account = (7u32, [1u32; 3], 1_000u128, [0u128; 2], 1u128 << 127);
			json!(encode_prefixed(account.encode()))
		}
		"state_getStorage" => {
			let block = state.blocks.get(&number_of(&params[1]));
			json!(encode_prefixed(events(block.map(|(_, ends)| *ends))))
		}
		"state_call" => json!(encode_prefixed(call(params[0].as_str().unwrap())?)),
		other => return Err(format!("this node knows no {other}")),
	})
}

fn header(number: u32) -> Value {
	let root = encode_prefixed([0; 32]);
	json!({ "parentHash": encode_prefixed(block_hash(number.saturating_sub(1))), "number": format!("{number:#x}"),
		"stateRoot": root, "extrinsicsRoot": root, "digest": { "logs": [] } })
}

/// Returns the events of a block with one transaction that ends so, as the state has them.
fn events(ends: Option<Ends>) -> Vec<u8> {
	let metadata = Metadata::decode_from(METADATA).unwrap();
	let event = |pallet: &str, name: &str, fields: Vec<u8>| {
		let pallet = metadata.pallet_by_name(pallet).unwrap();
		let variants = pallet.event_variants().unwrap();
		let index = variants.iter().find(|variant| variant.name == name).unwrap().index;
		// Phase `ApplyExtrinsic(0)`, the event, no topics.
		let mut bytes = vec![0, 0, 0, 0, 0, pallet.event_index(), index];
		bytes.extend(fields);
		bytes.push(0);
		bytes
	};
	let dispatched = (Compact(1u64), Compact(1u64), 0u8, 0u8).encode();
	let all = match ends {
		None => vec![],
		Some(Ends::Requested) => {
			let fields = (JOB, [1u8; 32], ModelId([2; 32]), ListingId(0), 2u8, 5u128).encode();
			vec![
				event("Jobs", "Requested", fields),
				event("System", "ExtrinsicSuccess", dispatched),
			]
		}
		// `DispatchError::BadOrigin`.
		Some(Ends::Failed) => vec![event("System", "ExtrinsicFailed", [vec![2], dispatched].concat())],
	};
	[Compact(all.len() as u32).encode(), all.concat()].concat()
}

/// Returns the result of a method of the runtime's API.
fn call(method: &str) -> Result<Vec<u8>, String> {
	let version = u32::from(METADATA[4]);
	Ok(match method {
		// Its first fields are names, then the versions of authoring, runtime and implementation, its last ones other versions.
		"Core_version" => ("assay", "assay", 1u32, 1u32, 1u32, Vec::<u64>::new(), 1u32, 1u8).encode(),
		"AccountNonceApi_account_nonce" => 7u32.encode(),
		"Metadata_metadata_versions" => vec![version].encode(),
		"Metadata_metadata_at_version" => Some(METADATA.to_vec()).encode(),
		"AssayApi_models" => vec![model()].encode(),
		"AssayApi_quote" => Ok::<_, QuoteError>(quote()).encode(),
		other => return Err(format!("this runtime has no {other}")),
	})
}

fn model() -> ModelView<Account, u32> {
	let prices = Prices {
		price_in: 1,
		price_out: 1,
	};
	ModelView {
		id: ModelId([2; 32]),
		name: "assay-demo".into(),
		architecture: "llama".into(),
		profile: Profile::C2,
		parameters: 1,
		weight_bytes: 2,
		context_length: 512,
		prompt_overhead: 4,
		parent: None,
		providers: 4,
		stake: 40,
		listings: vec![ListingView {
			listing: ListingId(0),
			model: ModelId([2; 32]),
			owner: Account([1; 32]),
			prices,
			next_prices: None,
			royalty: Default::default(),
			deposit: 3,
			listed_at: 1,
			retired_at: None,
			willing: 40,
			takes_checked_jobs: true,
		}],
	}
}

fn quote() -> Quote {
	Quote {
		listing: ListingId(0),
		willing: 40,
		fee_ceiling: 5,
		deposit: 2,
		input_tokens: 3,
		output_tokens: 4,
		seat_fee: 5,
		electorate: ElectorateSummary {
			members: 4,
			stake: 40,
			largest: 10,
			executor: 10,
			chain: 50,
		},
		median_stake: 10,
		jobs_ahead: 0,
		longest_wait: 600,
		t_max: 1000,
	}
}
