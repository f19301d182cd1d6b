//! The engine's process: started, watched, replaced.

mod active_gpu;
pub(super) mod connection;
mod exit;
pub(super) mod folders;
mod program;
mod resource_limits;
mod stderr;
mod supervisor;

pub use active_gpu::{EngineDevice, GpuEngine};
pub use resource_limits::ResourceLimits;
pub use supervisor::{supervise, SupervisorOptions};
