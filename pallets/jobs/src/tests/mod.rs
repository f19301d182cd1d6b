//! The pallet's behavior, one file a topic.

mod accumulate;
mod authorize;
mod chats;
mod conclude;
mod conservation;
mod deadlines;
mod draw;
mod examples;
mod listings;
mod migrations;
mod prune;
mod publish;
mod queue;
mod request;
mod views;
mod worker;
