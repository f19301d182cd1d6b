//! The log target of everything in here but the engine's own lines.

pub(super) const LOG_TARGET: &str = "assay::inference";
