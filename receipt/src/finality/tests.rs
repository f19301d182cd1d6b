//! Tries of any shape, and nodes that are none.

use super::{node::Node, prove, root, Proof};
use crate::Reason;
use std::collections::BTreeMap;

fn entries(keys: &[Vec<u8>]) -> BTreeMap<Vec<u8>, Vec<u8>> {
	// Values on both sides of the length from which a node holds their hash.
	(0usize..)
		.zip(keys)
		.map(|(i, key)| (key.clone(), vec![i as u8; i % 70]))
		.collect()
}

#[test]
fn what_is_stored_and_what_is_not_is_proved() {
	let long = |byte: u8, length: usize| [&[byte][..], &vec![7; length]].concat();
	let stored = [
		vec![],
		vec![0],
		vec![1, 2, 3],
		vec![1, 2, 0x3f],
		vec![1, 2, 3, 4],
		vec![0x10],
		// Partial keys whose number takes one, two and three bytes.
		long(2, 31),
		long(3, 32),
		long(4, 158),
		long(5, 159),
		long(6, 400),
	];
	let absent = [
		vec![9],
		vec![1],
		vec![1, 2],
		vec![1, 2, 3, 4, 5],
		long(2, 30),
		long(2, 32),
		vec![0x11],
		vec![0xff; 99],
	];
	for count in 0..=stored.len() {
		let entries = entries(&stored[..count]);
		for key in stored.iter().chain(&absent) {
			let (root_of_proof, nodes) = prove(&entries, std::slice::from_ref(key));
			assert_eq!(root_of_proof, root(&entries));
			let mut proof = Proof::new(root_of_proof, &nodes).unwrap();
			assert_eq!(proof.value(key), Ok(entries.get(key).map(|value| &value[..])));
			assert_eq!(proof.end(), Ok(()));
			// Without any one of its nodes it proves nothing.
			for missing in 0..nodes.len() {
				let mut fewer = nodes.clone();
				fewer.remove(missing);
				assert_eq!(
					Proof::new(root_of_proof, &fewer).unwrap().value(key),
					Err(Reason::BadState)
				);
			}
		}
	}
}

#[test]
fn a_node_is_read_whole_or_not_at_all() {
	let keys: Vec<Vec<u8>> = (0u8..200).map(|i| vec![i % 7, i / 7, 3, i]).collect();
	let (_, nodes) = prove(&entries(&keys), &keys);
	let mut read = 0;
	for node in &nodes {
		let Some(_) = Node::read(node) else { continue };
		read += 1;
		assert_eq!(Node::read(&[&node[..], &[0]].concat()), None, "bytes are left");
		for end in 0..node.len() {
			assert_eq!(Node::read(&node[..end]), None, "cut off at {end} of {}", node.len());
		}
	}
	assert!(read > 20, "{read}");
	for none in [
		&[][..],
		&[0],
		&[1],
		&[0x41],
		&[0x41, 0x12, 0],
		&[0x80, 0, 0],
		&[0x7f, 255, 255, 255],
		&[0x40, 3],
	] {
		assert_eq!(Node::read(none), None, "{none:x?}");
	}
	assert!(Node::read(&[0x41, 0x02, 0]).is_some());
}

#[test]
fn no_bytes_make_the_reader_fail() {
	let mut state = 1u64;
	let mut next = || {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		state
	};
	for _ in 0..20_000 {
		let length = next() % 80;
		let bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
		let _ = Node::read(&bytes);
		let _ = super::Header::read(&bytes).map(|header| header.next_set().map(drop));
		let _ = super::Justification::read(&bytes);
		let nodes = [bytes];
		let root = sp_crypto_hashing::blake2_256(&nodes[0]);
		let _ = Proof::new(root, &nodes).unwrap().value(&[1, 2, 3]);
	}
}
