//! The pallet's behavior, one file a topic.

mod authorize;
mod commit;
mod conclude;
mod conservation;
mod deadlines;
mod draw;
mod examples;
mod prune;
mod publish;
mod request;
mod reveal;
mod worker;
