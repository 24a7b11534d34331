//! Names of nodes made unique: exporters repeat them, runtimes refuse that.

use std::collections::HashSet;

use crate::ir::GraphEdit;

/// Gives every node whose name another one has already a name of its own.
pub(super) fn make_unique(edit: &mut GraphEdit) {
    let mut seen = HashSet::new();
    for node in edit.all_nodes() {
        let name = edit.node(node).name.clone();
        if !name.is_empty() && !seen.insert(name.clone()) {
            let fresh = edit.fresh_name(&name);
            edit.rename_node(node, &fresh);
        }
    }
}
