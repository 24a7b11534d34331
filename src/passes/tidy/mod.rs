//! What is dead, duplicate, constant or without effect.

pub(super) mod dead_nodes;
pub(super) mod eliminate_identity;
pub(super) mod hoist_constants;
