//! What the user names, nodes by pattern and operators by type, against what the model has.

use regex::Regex;

use super::filters::Filters;
use super::options::QuantOptions;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::ops::{self, QuantRule};

/// Refuses operators that there are nowhere.
///
/// # Errors
/// Usage, with the names to choose from.
pub(super) fn known(model: &Model, options: &QuantOptions) -> Result<()> {
    let is_known = |name: &String| {
        ops::find("", name).is_some() || model.all_nodes().iter().any(|n| model.node(*n).op_type == *name)
    };
    let Some(unknown) = options.op_types.iter().find(|name| !is_known(name)) else { return Ok(()) };
    let weighted = ops::all().filter(|op| matches!(op.quant, QuantRule::Weighted { .. } | QuantRule::Table { .. }));
    let names: Vec<_> = weighted.map(|op| op.op_type).collect();
    Err(Error::usage(format!(
        "--op-types: there is no operator \"{unknown}\"; those with weights are {}",
        names.join(", ")
    )))
}

/// Patterns and operators that fit no node.
pub(super) fn unmatched(model: &Model, filters: &Filters, options: &QuantOptions) -> Vec<String> {
    let nodes = model.all_nodes();
    let fits = |pattern: &Regex| nodes.iter().any(|n| pattern.is_match(model.node_label(*n)));
    let patterns = filters.patterns().filter(|(_, p)| !fits(p));
    let mut notes: Vec<String> = patterns.map(|(flag, p)| format!("{flag} {p} matches no node")).collect();
    let absent = options.op_types.iter().filter(|t| nodes.iter().all(|n| model.node(*n).op_type != **t));
    notes.extend(absent.map(|t| format!("--op-types {t}: the model has no such node")));
    notes
}
