//! Whether every node has the inputs that its operator cannot do without.

use crate::error::{Error, Result};
use crate::ir::Model;
use crate::ops;

/// # Errors
/// Input, naming the first node with fewer inputs than its operator takes in any version.
pub fn arity(model: &Model) -> Result<()> {
    for id in model.all_nodes() {
        let node = model.node(id);
        let (has, needs) = (node.inputs().len(), ops::of(node).map_or(0, |op| op.inputs));
        if has < needs {
            let message = format!("takes {needs} inputs or more, there are {has}");
            return Err(Error::input(message).at_node(model.describe(id)));
        }
    }
    Ok(())
}
