//! What depends on constants alone is computed once.
//!
//! ```text
//! c1, c2 ─► Add ─► s ─► Op                              Op(s), s = c1 + c2 an initializer
//! x: [N, 3, 8, 8] ─► Shape ─► Gather(1) ─► s ─► Op       Op(s), s = 3
//! ```
//!
//! Also what is known without being constant: elements of shapes whose picked sizes are all known. The rules are
//! data of the operators ([`crate::ops::OpDef::fold`]); random numbers and dequantization have none, nor do
//! half floats, whose rounding differs between runtimes.
//!
//! Nodes that depend on each other, or on the same large constant, are folded together where that pays and each alone
//! does not (three slices of a weight, joined in another order): see [`region`].
//!
//! Refuses when a result takes over 1 KiB more than the constants that it frees, and when it is a graph output,
//! which a node must make. What would take over 1 MiB and four times its inputs is not computed to find out.

use crate::analysis::{self, Values};
use crate::error::Result;
use crate::ir::{DType, Dim, GraphEdit, Model, NodeId, Tensor};
use crate::ops::{self, Fold, OpDef};
use crate::passes::support::own_bytes;
use crate::passes::tidy::region;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-constants", "compute what depends on constants and known shapes alone", run).exact();

/// Bytes by which a model may grow for one node less.
pub(super) const GROWTH: usize = 1024;

/// Bytes that are computed at most, where the inputs do not take a quarter of it.
const LIMIT: usize = 1 << 20;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fold_all(edit, PASS.name, exact)
}

/// Which rule computes an operator.
pub(super) type Rule = fn(&OpDef) -> Option<Fold>;

pub(super) fn exact(op: &OpDef) -> Option<Fold> {
    op.fold
}

/// Folds what `rule` computes.
pub(super) fn fold_all(edit: &mut GraphEdit, pass: &'static str, rule: Rule) -> Result<PassReport> {
    let values = analysis::infer(edit);
    let together = region::fold(edit, rule);
    let mut report = for_each(edit, pass, &[], |edit, node| Ok(fold(edit, node, &values, rule)))?;
    report.applied += together;
    Ok(report)
}

fn fold(edit: &mut GraphEdit, node: NodeId, values: &Values, rule: Rule) -> Outcome {
    let known = known(edit, node, values).or_else(|| computed(edit, node, rule));
    let Some(results) = known else { return Outcome::NoMatch };
    let outputs = edit.node(node).outputs().to_vec();
    if outputs.iter().flatten().any(|v| edit.is_output(*v)) {
        return Outcome::refused("it is a graph output, which a node must make");
    }
    if outputs.len() > results.len() {
        return Outcome::NoMatch;
    }
    let (size, freed) = (results.iter().map(Tensor::byte_len).sum::<usize>(), own_bytes(edit, node));
    if size > freed.saturating_add(GROWTH) {
        return Outcome::refused(format!("its result takes {size} bytes, the constants it frees {freed}"));
    }
    let graph = edit.node(node).graph();
    let read: Vec<bool> = outputs.iter().map(|v| v.is_some_and(|v| !edit.uses(v).is_empty())).collect();
    edit.remove_node(node);
    for ((output, tensor), read) in outputs.into_iter().zip(results).zip(read) {
        if let Some(value) = output.filter(|_| read) {
            edit.attach_initializer(graph, value, tensor);
        }
    }
    Outcome::Applied
}

/// By the operator's rule, where every input that it has is constant.
fn computed(model: &Model, node: NodeId, rule: Rule) -> Option<Vec<Tensor>> {
    let n = model.node(node);
    let inputs = n.inputs().iter().map(|v| v.map_or(Some(None), |v| Some(Some(model.constant(v)?))));
    evaluate(model, node, &inputs.collect::<Option<Vec<_>>>()?, rule)
}

/// The outputs of `node` for these inputs; `None` where there is no rule or they would be too large.
pub(super) fn evaluate(model: &Model, node: NodeId, inputs: &[Option<&Tensor>], rule: Rule) -> Option<Vec<Tensor>> {
    let n = model.node(node);
    let compute = rule(ops::of(n).filter(|op| op.pure)?)?;
    // Below 7 an axis attribute aligned the shapes.
    if n.attr("broadcast").is_some() {
        return None;
    }
    let limit = inputs.iter().flatten().map(|t| t.byte_len()).sum::<usize>().saturating_mul(4).max(LIMIT);
    let bytes = |v: &crate::ir::ValueId| {
        let ty = model.tensor_type(*v);
        ty.dtype?.byte_len(crate::ir::tensor::element_count(&ty.known_shape()?)?)
    };
    if n.outputs().iter().flatten().filter_map(bytes).any(|b| b > limit) {
        return None;
    }
    compute(n, inputs)
}

/// A shape, or a part of one, whose sizes are all known.
fn known(model: &Model, node: NodeId, values: &Values) -> Option<Vec<Tensor>> {
    let [Some(output)] = model.node(node).outputs() else { return None };
    let numbers = values.get(*output)?.iter().map(Dim::number).collect::<Option<Vec<i64>>>()?;
    let ty = model.tensor_type(*output);
    let shape = ty.known_shape()?;
    if crate::ir::tensor::element_count(&shape) != Some(numbers.len()) {
        return None;
    }
    match ty.dtype? {
        DType::I64 => Some(vec![Tensor::from_vec(shape, numbers)]),
        DType::I32 => {
            let narrow = numbers.iter().map(|n| i32::try_from(*n).ok()).collect::<Option<Vec<_>>>()?;
            Some(vec![Tensor::from_vec(shape, narrow)])
        }
        DType::Bool => {
            let bytes: Vec<u8> = numbers.iter().map(|n| u8::from(*n != 0)).collect();
            Some(vec![Tensor::from_bytes(DType::Bool, shape, bytes).ok()?])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::passes::{SimplifyOptions, simplify};

    #[test]
    fn a_chain_that_doubles_does_not_fill_the_memory() {
        let doubled: String = (1..40).map(|i| format!("c{i} = Concat <axis = 0> (c{0}, c{0}) ", i - 1)).collect();
        let text = format!(
            "<opset_import: [\"\" : 17]> g () => (z) <float[4] c0 = {{1,2,3,4}}> {{ {doubled} z = ReduceSum <keepdims = 0> (c39) }}"
        );
        let mut model = crate::ir::text::parse(&text).unwrap();
        assert!(simplify(&mut model, &SimplifyOptions::default()).unwrap().nodes_after > 20);
        assert!(model.weight_bytes() < 1 << 20);
    }

    #[test]
    fn what_would_be_absurdly_large_is_not_computed() {
        for node in ["ConstantOfShape (n)", "Expand (one, n)", "Tile (one, n)", "Range (zero, limit, step)"] {
            let text = format!(
                "<opset_import: [\"\" : 17]> g () => (z)
                 <int64[1] n = {{1000000000000}}, float[1] one = {{1}}, int64 zero = {{0}}, int64 limit = {{1000000000000}}, int64 step = {{1}}>
                 {{ y = {node} z = Identity (y) }}"
            );
            let mut model = crate::ir::text::parse(&text).unwrap();
            let options = SimplifyOptions { only: vec!["fold-constants".into()], ..Default::default() };
            assert_eq!(simplify(&mut model, &options).unwrap().nodes_after, 2, "{node}");
        }
    }
}
