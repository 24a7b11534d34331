//! Shapes that a file declares and its operators contradict are declared as they are.
//!
//! ```text
//! x: [4, 8], y declared [N]      x ─► Softmax ─► y: [N]                     x ─► Softmax ─► y: [4, 8]
//! ```
//!
//! Exporters declare outputs that they know nothing of by guesses, of another rank. Readers that infer shapes trip over it as soon as the graph
//! is clean enough to tell. Sizes that differ in shapes of one rank are left alone: a name may stand for any.

use crate::analysis::declarable;
use crate::error::Result;
use crate::ir::{GraphEdit, Type, ValueId};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("correct-shapes", "declare the shape that operators give where the file declares another rank", run)
        .exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let made = edit.all_nodes().into_iter().flat_map(|n| edit.node(n).outputs().to_vec()).flatten();
    let wrong: Vec<ValueId> = made.filter(|v| declares_another_rank(edit, *v)).collect();
    let mut told = Vec::new();
    for v in &wrong {
        let (ty, before) =
            (declarable(edit, *v), edit.value(*v).declared().and_then(Type::as_tensor).unwrap_or_default());
        if edit.is_output(*v) {
            told.push(format!("output \"{}\" was declared {before}, and is {ty}", edit.name(*v)));
        }
        edit.set_declared(*v, Some(Type::tensor(&ty)));
    }
    let note = (!told.is_empty()).then(|| told.join("; "));
    Ok(PassReport { note, ..PassReport::applied(wrong.len()) })
}

fn declares_another_rank(edit: &GraphEdit, value: ValueId) -> bool {
    let v = edit.value(value);
    let declared = v.declared().and_then(Type::as_tensor).and_then(|t| t.rank());
    declared.zip(v.inferred().and_then(|t| t.rank())).is_some_and(|(declared, inferred)| declared != inferred)
}
