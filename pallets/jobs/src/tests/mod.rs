//! The pallet's behaviour, one file a topic.

mod authorize;
mod commit;
mod conclude;
mod conservation;
mod deadlines;
mod draw;
mod prune;
mod publish;
mod request;
mod reveal;
mod worker;
