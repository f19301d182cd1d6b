//! The engine from outside, on tiny models made on the spot. One program, one file a topic.

mod bits;
mod cheats;
mod common;
mod folders;
mod golden;
mod reference;
mod socket;
