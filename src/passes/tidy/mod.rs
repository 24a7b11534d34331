//! What is dead, duplicate, constant or without effect.

pub(super) mod common_subexpressions;
pub(super) mod correct_shapes;
pub(super) mod dead_nodes;
pub(super) mod eliminate_identity;
pub(super) mod fold_constants;
pub(super) mod fold_weight_casts;
pub(super) mod fold_weights;
pub(super) mod freeze_inputs;
pub(super) mod hoist_constants;
pub(super) mod merge_initializers;
mod region;
pub(super) mod untie_weights;
pub(super) mod zero_states;
