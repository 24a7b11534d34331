//! Graphs inside nodes moved into the graph around them: branches that are decided, functions of the model.

mod branches;
mod functions;

pub use branches::inline_branches;
pub use functions::inline_functions;
