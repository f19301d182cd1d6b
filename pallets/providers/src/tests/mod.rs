//! Tests of stake, one file per topic.
