//! Whether what was planned in integers truly runs in integers: read from what the runtime made of the written file.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::runtime::{Kernel, LoadOptions, Runtime};

/// Of the nodes planned to compute in integers, those that do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ran {
    /// Where it was looked up.
    pub runtime: String,
    /// Nodes planned to compute in integers.
    pub planned: usize,
    /// Those that do.
    pub integers: usize,
    /// The others, with the operator that runs instead; empty where it is not known.
    pub others: Vec<(String, String)>,
}

/// Looks up what `runtime` made of `nodes` in `model`, as it is prepared for these inputs.
///
/// # Errors
/// What the runtime says of the model.
pub fn ran(model: &Model, nodes: &[String], inputs: &[(String, Tensor)], runtime: &dyn Runtime) -> Result<Ran> {
    let kernels = runtime.kernels(model, &LoadOptions::for_run(model, inputs))?;
    let mut found = Ran { runtime: runtime.name().into(), planned: nodes.len(), integers: 0, others: Vec::new() };
    for node in nodes {
        // A kernel with exactly the name of another is that one's, whatever it begins with.
        let others = |k: &&Kernel| k.name != *node && nodes.contains(&k.name);
        let own = kernels.iter().filter(|k| k.contracts && k.is_of(node) && !others(k));
        if own.clone().any(|k| k.integers) {
            found.integers += 1;
        } else {
            found.others.push((node.clone(), own.map(|k| k.op.clone()).next().unwrap_or_default()));
        }
    }
    Ok(found)
}
