//! Graphs inside nodes moved into the graph around them: branches that are decided, functions of the model.

mod branches;
mod functions;

pub use branches::inline_branches;
pub use functions::inline_functions;

use super::{Pass, PassReport};

pub(super) const FUNCTIONS: Pass = Pass {
    name: "inline-functions",
    summary: "put the bodies of the model's functions where they are called",
    run: |edit| Ok(PassReport::applied(inline_functions(edit)?)),
    exact: true,
};

pub(super) const BRANCHES: Pass = Pass {
    name: "inline-branches",
    summary: "replace an If whose condition is constant by the branch that it takes",
    run: |edit| Ok(PassReport::applied(inline_branches(edit)?)),
    exact: true,
};
