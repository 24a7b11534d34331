//! Initializers that are inputs only because IR version 3 demanded it become plain initializers.
//!
//! ```text
//! graph(x, w = W)  IR 3          graph(x), w = W  IR 4
//! ```
//!
//! Below IR version 4 every initializer had to be listed as an input, and nobody fed it. From version 4 on
//! such an input is a default that the user may override: it is left alone. The IR version is raised to 4.

use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass {
    name: "freeze-inputs",
    summary: "make the initializers that IR version 3 listed as inputs plain initializers",
    run,
    exact: true,
};

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    Ok(PassReport::applied(freeze(edit)))
}

/// Freezes them; returns how many there were.
pub(in crate::passes) fn freeze(edit: &mut GraphEdit) -> usize {
    if edit.meta.ir_version.is_none_or(|version| version >= 4) {
        return 0;
    }
    let graph = edit.main();
    let mut frozen = 0;
    for input in edit.graph(graph).inputs().to_vec() {
        if let Some(tensor) = edit.value(input).initializer().cloned() {
            edit.freeze_input(graph, input, tensor);
            frozen += 1;
        }
    }
    edit.set_ir_version(4);
    if edit.opset("").is_none() {
        edit.set_opset("", 1);
    }
    frozen
}
