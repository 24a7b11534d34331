//! Sparse initializers stored dense, which every runtime reads.

use crate::error::Result;
use crate::ir::GraphEdit;

/// Bytes that one may become.
const LARGEST: usize = 1 << 31;

/// Stores every sparse initializer dense.
pub(super) fn densify(edit: &mut GraphEdit) -> Result<()> {
    for graph in edit.graphs_under(edit.main()) {
        for value in edit.graph(graph).sparse_initializers().to_vec() {
            let Some(sparse) = edit.value(value).sparse_initializer() else { continue };
            let dense = sparse.dense(LARGEST)?;
            edit.make_dense(value, dense);
        }
    }
    Ok(())
}
