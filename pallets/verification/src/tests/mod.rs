//! Tests of the pallet, by topic.

mod audit;
mod authorize;
mod bounds;
mod conservation;
mod dispute;
mod examples;
mod migrations;
mod money;
mod opening;
mod seats;
mod worker;
