//! Initializers that are inputs only because the file format or an exporter listed them become plain initializers.
//!
//! ```text
//! graph(x, w = W)  IR 3                                    graph(x), w = W  IR 4
//! graph(x, w = W, b = B)  ─►  Conv(x, w, b)                graph(x), w = W, b = B
//! ```
//!
//! Below IR version 4 every initializer had to be listed as an input, and nobody fed it; the IR version is raised to 4. From version
//! 4 on such an input is a default that the caller may override, and no runtime folds it. Where the weight of a contraction is
//! among them an exporter listed them all (`keep_initializers_as_inputs`): they become constant, and go where nothing reads them. Else they
//! are meant, and refused.

use crate::error::Result;
use crate::ir::{GraphEdit, Model, Use, ValueId};
use crate::ops::{self, QuantRule};
use crate::passes::{Pass, PassReport, Refusal};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "freeze-inputs",
    "make initializers that are inputs because IR version 3 or an exporter listed them plain initializers",
    run,
)
.exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let old = freeze(edit);
    let defaults = defaults(edit);
    if old > 0 || defaults.is_empty() {
        return Ok(PassReport::applied(old));
    }
    if defaults.iter().any(|v| is_weight(edit, *v)) {
        defaults.iter().for_each(|v| make_constant(edit, *v));
        return Ok(PassReport::applied(defaults.len()));
    }
    let refusal = |v: &ValueId| Refusal {
        pass: PASS.name,
        node: edit.name(*v).to_string(),
        op_type: "input".into(),
        reason: "a caller may override its default: --freeze makes it constant".into(),
    };
    Ok(PassReport { refusals: defaults.iter().map(refusal).collect(), ..PassReport::default() })
}

/// Freezes those of IR version 3; returns how many there were.
pub(in crate::passes) fn freeze(edit: &mut GraphEdit) -> usize {
    if edit.meta.ir_version.is_none_or(|version| version >= 4) {
        return 0;
    }
    let defaults = defaults(edit);
    defaults.iter().for_each(|v| make_constant(edit, *v));
    edit.set_ir_version(4);
    if edit.opset("").is_none() {
        edit.set_opset("", 1);
    }
    defaults.len()
}

/// Inputs of the main graph that are initializers too.
fn defaults(model: &Model) -> Vec<ValueId> {
    let inputs = model.graph(model.main()).inputs().iter().copied();
    inputs.filter(|v| model.value(*v).initializer().is_some()).collect()
}

fn make_constant(edit: &mut GraphEdit, input: ValueId) {
    if let Some(tensor) = edit.value(input).initializer().cloned() {
        edit.freeze_input(edit.main(), input, tensor);
        // As counters of batches, which only training reads.
        edit.remove_unread_initializer(input);
    }
}

/// Whether a contraction reads it as its weight.
fn is_weight(model: &Model, input: ValueId) -> bool {
    model.uses(input).iter().any(|u| {
        let Use::Node { node, input } = u else { return false };
        let rule = ops::of(model.node(*node)).map(|op| op.quant);
        matches!(rule, Some(QuantRule::Weighted { weight, .. }) if weight == *input)
    })
}
