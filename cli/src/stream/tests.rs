//! Streams of nodes that do what a test wants.

use super::{
	draft::{Draft, Fault},
	wire::Chunk,
	*,
};
use assay_primitives::{stream::StreamChain, FinishReason, Output, WorkId};
use assay_receipt::SignedChunk;
use serde_json::{json, Value};
use subxt_signer::sr25519::{dev, Keypair};
use tokio::net::TcpListener;
use tokio_tungstenite::{accept_async, tungstenite::Message as Frame};

const GENESIS: Hash32 = [9; 32];
const JOB: JobId = JobId([1; 32]);

fn claim() -> ClaimId {
	ClaimId([7; 32])
}

fn execution(endpoint: Option<String>) -> ExecutionView<Account> {
	ExecutionView {
		attempt: 1,
		executor: Account([2; 32]),
		key: Some(dev::bob().public_key().0),
		claim: claim(),
		work: WorkId([3; 32]),
		endpoint: endpoint.map(String::into_bytes),
		published: false,
	}
}

fn draft() -> Draft {
	Draft::new(GENESIS, &execution(None)).unwrap()
}

fn words(text: &str) -> Vec<StreamToken> {
	text.split_inclusive(' ')
		.zip(10..)
		.map(|(text, id)| StreamToken { id, text: text.into() })
		.collect()
}

/// Returns the chunk of a text's tokens in this range, signed.
fn chunk_by(pair: &Keypair, text: &str, from: usize, to: usize) -> Chunk {
	let tokens = words(text);
	let mut chain = StreamChain::new(&GENESIS, &claim());
	chain.extend(&tokens[..to]);
	Chunk {
		claim: claim(),
		first: from as u32,
		tokens: tokens[from..to].to_vec(),
		hash: chain.hash,
		signature: pair.sign(&chain.message(&GENESIS, &claim())).0,
	}
}

fn chunk(text: &str, from: usize, to: usize) -> Chunk {
	chunk_by(&dev::bob(), text, from, to)
}

fn output(text: &str) -> Output {
	let tokens: Vec<u32> = words(text).iter().map(|token| token.id).collect();
	Output {
		input_tokens: 3,
		tokens: tokens.try_into().unwrap(),
		text: text.as_bytes().to_vec().try_into().unwrap(),
		finish: FinishReason::Eos,
	}
}

const TEXT: &str = "one two three four";
const OTHER: &str = "one two drei vier";

#[test]
fn signed_chunks_of_any_size_grow_a_draft() {
	let mut draft = draft();
	assert_eq!(draft.take(chunk(TEXT, 0, 1)).unwrap(), words(TEXT)[..1]);
	assert_eq!(draft.take(chunk(TEXT, 1, 3)).unwrap(), words(TEXT)[1..3]);
	// What is known already adds only what is new.
	assert_eq!(draft.take(chunk(TEXT, 0, 4)).unwrap(), words(TEXT)[3..]);
	assert!(draft.take(chunk(TEXT, 2, 3)).unwrap().is_empty());
	assert_eq!(draft.len(), 4);
}

#[test]
fn a_chunk_that_proves_nothing_is_not_taken() {
	let honest = || chunk(TEXT, 0, 2);
	let with = |change: &dyn Fn(&mut Chunk)| {
		let mut chunk = honest();
		change(&mut chunk);
		draft().take(chunk)
	};
	for fault in [
		with(&|c| c.claim = ClaimId([8; 32])),
		with(&|c| c.signature[5] ^= 1),
		with(&|c| c.hash[5] ^= 1),
		with(&|c| c.first = 1),
		with(&|c| c.tokens.clear()),
		with(&|c| c.tokens = vec![c.tokens[0].clone(); 65]),
		draft().take(chunk_by(&dev::eve(), TEXT, 0, 2)),
	] {
		assert!(matches!(fault, Err(Fault::Invalid(_))), "{fault:?}");
	}
	// Signed, and not what the tokens are: nobody can say what was signed.
	let fault = with(&|c| c.tokens[1].text = "zwei ".into());
	assert_eq!(fault, Err(Fault::OtherBeginning));
}

#[test]
fn a_draft_is_never_longer_than_an_answer_can_be() {
	let mut draft = draft();
	let long = "x".repeat(40_000);
	let text = format!("{long} {long}");
	assert!(draft.take(chunk(&text, 0, 1)).is_ok());
	assert!(matches!(draft.take(chunk(&text, 1, 2)), Err(Fault::Invalid(_))));
	assert_eq!(draft.len(), 1);
}

#[test]
fn two_drafts_that_contradict_each_other_are_a_proof() {
	let mut draft = draft();
	draft.take(chunk(TEXT, 0, 4)).unwrap();
	let Err(Fault::Contradiction(proof)) = draft.take(chunk(OTHER, 1, 3)) else {
		panic!("it was taken")
	};
	assert_eq!(
		(proof.evidence.claim, proof.evidence.key),
		(claim(), dev::bob().public_key().0)
	);
	let tokens: Vec<u32> = proof.evidence.chunks.iter().map(|chunk| chunk.tokens).collect();
	assert_eq!(tokens, [4, 3]);
	for chunk in &proof.evidence.chunks {
		let draft = chunk.draft.as_ref().unwrap();
		let mut chain = StreamChain::new(&GENESIS, &claim());
		chain.extend(draft);
		assert_eq!(chain, chunk.chain());
	}
	// The draft stays as it was.
	assert_eq!(draft.len(), 4);
}

#[test]
fn a_publication_extends_the_draft_or_is_a_proof() {
	let mut draft = draft();
	assert_eq!(draft.against(&output(OTHER)), None);
	draft.take(chunk(TEXT, 0, 3)).unwrap();
	assert_eq!(draft.against(&output(TEXT)), None);
	for other in [OTHER, "one two", "one two three "] {
		let proof = draft.against(&output(other)).map(|proof| proof.evidence.chunks);
		let expected = other != "one two three ";
		assert_eq!(proof.is_some(), expected, "{other}");
		assert!(proof.is_none_or(|chunks: Vec<SignedChunk>| chunks.len() == 1));
	}
	let mut failed = output(OTHER);
	failed.finish = FinishReason::Failed(assay_primitives::Failure::NonFinite);
	assert_eq!(draft.against(&failed), None);
}

/// What a node does with a connection.
#[derive(Clone)]
enum Does {
	/// Sends these messages and closes the connection.
	Sends(Vec<Value>),
	/// Sends these, and nothing more.
	Stays(Vec<Value>),
}

fn notice(result: Value) -> Value {
	json!({ "jsonrpc": "2.0", "method": "assay_stream", "params": { "subscription": "s", "result": result } })
}

fn sent(chunk: &Chunk) -> Value {
	notice(json!({
		"attempt": 1, "claim": chunk.claim, "executor": "?", "key": "?", "first": chunk.first, "tokens": chunk.tokens,
		"hash": const_hex::encode_prefixed(chunk.hash), "signature": const_hex::encode_prefixed(chunk.signature),
	}))
}

fn end(how: &str) -> Value {
	notice(json!({ "ended": how }))
}

/// Starts a node that treats one connection after the other so; returns its address and the tokens that it was asked from.
async fn node(connections: Vec<Does>) -> (String, mpsc::UnboundedReceiver<u64>) {
	let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
	let url = format!("ws://{}", listener.local_addr().unwrap());
	let (asked, questions) = mpsc::unbounded_channel();
	tokio::spawn(async move {
		let mut open = Vec::new();
		for does in connections {
			let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
			let Some(Ok(Frame::Text(request))) = socket.next().await else {
				panic!("no request")
			};
			let request: Value = serde_json::from_str(&request).unwrap();
			assert_eq!(
				(&request["method"], &request["params"][0]),
				(&json!("assay_streamJob"), &json!(JOB))
			);
			let _ = asked.send(request["params"][1].as_u64().unwrap());
			let taken = json!({ "jsonrpc": "2.0", "id": 1, "result": "s" });
			let (Does::Sends(messages) | Does::Stays(messages)) = does.clone();
			for message in [taken].iter().chain(&messages) {
				let _ = socket.send(Frame::text(message.to_string())).await;
			}
			if matches!(does, Does::Stays(_)) {
				open.push(socket);
			}
		}
		std::future::pending::<()>().await;
	});
	(url, questions)
}

fn drafts(url: &str, private: bool) -> Drafts {
	let sources = Sources {
		genesis: GENESIS,
		url: url.into(),
		private,
	};
	Drafts::new(JOB, sources)
}

/// Waits for events until the draft has so many tokens; returns its text.
async fn text(drafts: &mut Drafts, tokens: usize) -> String {
	let (mut text, mut count) = (String::new(), 0);
	while count < tokens {
		let event = tokio::time::timeout(Duration::from_secs(20), drafts.next())
			.await
			.unwrap();
		let DraftEvent::Tokens { attempt: 1, tokens } = event else {
			panic!("{event:?}")
		};
		count += tokens.len();
		text.extend(tokens.iter().map(|token| token.text.as_str()));
	}
	text
}

async fn silence(drafts: &mut Drafts) -> String {
	match tokio::time::timeout(Duration::from_secs(30), drafts.next())
		.await
		.unwrap()
	{
		DraftEvent::Silent { attempt: 1, reason } => reason,
		event => panic!("{event:?}"),
	}
}

#[tokio::test]
async fn a_lost_connection_goes_on_at_the_first_missing_token() {
	let (url, mut questions) = node(vec![
		Does::Sends(vec![sent(&chunk(TEXT, 0, 2))]),
		Does::Sends(vec![
			sent(&chunk(TEXT, 2, 3)),
			sent(&chunk(TEXT, 3, 4)),
			end("complete"),
		]),
	])
	.await;
	let mut drafts = drafts(&url, false);
	drafts.read(&execution(None));
	assert!(drafts.reads(claim()) && !drafts.reads(ClaimId([8; 32])));
	assert_eq!(text(&mut drafts, 4).await, TEXT);
	assert_eq!((questions.recv().await, questions.recv().await), (Some(0), Some(2)));
	assert_eq!(drafts.against(claim(), &output(TEXT)), None);
	assert!(drafts.against(claim(), &output(OTHER)).is_some());
	assert_eq!(drafts.against(ClaimId([8; 32]), &output(OTHER)), None);
}

#[tokio::test]
async fn another_beginning_behind_a_lost_connection_is_proved() {
	let (url, mut questions) = node(vec![
		Does::Sends(vec![sent(&chunk(TEXT, 0, 3))]),
		Does::Stays(vec![sent(&chunk(OTHER, 3, 4))]),
		Does::Stays(vec![sent(&chunk(OTHER, 0, 4))]),
	])
	.await;
	let mut drafts = drafts(&url, false);
	drafts.read(&execution(None));
	assert_eq!(text(&mut drafts, 3).await, "one two three ");
	let DraftEvent::Contradiction(proof) = drafts.next().await else {
		panic!("no proof")
	};
	assert_eq!(proof.evidence.chunks.len(), 2);
	assert!(silence(&mut drafts).await.contains("contradict"));
	let from = [questions.recv().await, questions.recv().await, questions.recv().await];
	assert_eq!(from, [Some(0), Some(3), Some(0)]);
}

#[tokio::test]
async fn a_strangers_endpoint_in_a_private_network_is_not_read() {
	let (url, mut questions) = node(vec![Does::Stays(vec![sent(&chunk(TEXT, 0, 4))])]).await;
	// The endpoint is on loopback, which a stranger must not name.
	let mut refused = drafts("ws://127.0.0.1:1", false);
	refused.read(&execution(Some(url.clone())));
	assert!(silence(&mut refused).await.contains("--allow-private-endpoints"));
	assert!(questions.try_recv().is_err());
	let mut allowed = drafts("ws://127.0.0.1:1", true);
	allowed.read(&execution(Some(url)));
	assert_eq!(text(&mut allowed, 4).await, TEXT);
}

#[tokio::test]
async fn a_node_that_refuses_or_floods_is_left() {
	let refusal = json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32602, "message": "Bob executes it" } });
	let (url, _) = node(vec![Does::Sends(vec![refusal]); 6]).await;
	let mut refused = drafts(&url, false);
	refused.read(&execution(None));
	assert_eq!(silence(&mut refused).await, "Bob executes it");

	let known = vec![sent(&chunk(TEXT, 0, 4)); 2_000];
	let (url, _) = node(vec![Does::Stays(known)]).await;
	let mut flooded = drafts(&url, false);
	flooded.read(&execution(None));
	assert_eq!(text(&mut flooded, 4).await, TEXT);
	assert!(silence(&mut flooded).await.contains("nobody asked for"));

	for message in [
		json!({ "method": "assay_stream", "params": { "result": { "first": 1 } } }),
		sent(&chunk_by(&dev::eve(), TEXT, 0, 1)),
	] {
		let (url, _) = node(vec![Does::Stays(vec![message])]).await;
		let mut malformed = drafts(&url, false);
		malformed.read(&execution(None));
		silence(&mut malformed).await;
	}
}

#[tokio::test]
async fn the_draft_of_a_later_attempt_takes_the_place_of_an_earlier_one() {
	let (first, _) = node(vec![Does::Sends(vec![sent(&chunk(TEXT, 0, 1)), end("replaced")])]).await;
	let mut drafts = drafts(&first, true);
	drafts.read(&execution(None));
	assert_eq!(text(&mut drafts, 1).await, "one ");
	assert!(silence(&mut drafts).await.contains("replaced"));

	let later = ClaimId([8; 32]);
	let mut chain = StreamChain::new(&GENESIS, &later);
	chain.extend(&words(OTHER));
	let chunk = Chunk {
		claim: later,
		first: 0,
		tokens: words(OTHER),
		hash: chain.hash,
		signature: dev::bob().sign(&chain.message(&GENESIS, &later)).0,
	};
	let (second, _) = node(vec![Does::Stays(vec![sent(&chunk)])]).await;
	let execution = ExecutionView {
		attempt: 2,
		claim: later,
		..execution(Some(second))
	};
	drafts.read(&execution);
	match drafts.next().await {
		DraftEvent::Tokens { attempt: 2, tokens } => assert_eq!(tokens, words(OTHER)),
		event => panic!("{event:?}"),
	}
	assert!(!drafts.reads(claim()));
}
