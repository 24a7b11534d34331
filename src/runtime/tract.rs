//! tract: the runtime that is built in.
//!
//! tract is given a prepared copy of the model ([`super::prepare`]) in which everything it stumbles over
//! is decided or rewritten beforehand, as one buffer of protobuf, and its large constants apart ([`super::weights`]).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use tract_onnx::prelude::{
    Framework, InferenceModelExt, IntoRunnable, IntoTValue, TValue, TVec, TractError, TractResult,
};
use tract_onnx::tract_hir::tract_core::prelude::{DatumType, TypedModel, TypedNode};

use super::convert::{from_tract, to_tract};
use super::prepare::{Prepared, Source, prepare};
use super::weights::{put_back, set_aside};
use super::{Kernel, LoadOptions, Runtime, Session};
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};

/// The `tract` runtime.
pub(super) struct Tract;

impl Runtime for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn version(&self) -> String {
        env!("TRACT_VERSION").to_string()
    }

    fn load(&self, model: &Model, options: &LoadOptions) -> Result<Box<dyn Session>> {
        let (prepared, typed) = optimized(model, options)?;
        let plan = guarded(|| typed.into_runnable()).map_err(|e| refusal(&e, &prepared.model))?;
        Ok(Box::new(Loaded { plan, inputs: prepared.inputs, results: prepared.results }))
    }

    fn kernels(&self, model: &Model, options: &LoadOptions) -> Result<Vec<Kernel>> {
        let (_, typed) = optimized(model, options)?;
        let kernel = |node: &TypedNode| {
            let op = node.op.name().to_string();
            // Its product of matrices is one operator for all types: the accumulator tells them.
            let product = ["OptMatMul", "EinSum", "Conv", "MatMul"].iter().any(|p| op.contains(p));
            let sums = node.outputs.iter().any(|o| o.fact.datum_type == DatumType::I32);
            let reads = |outlet: &tract_onnx::prelude::OutletId| {
                typed.outlet_fact(*outlet).is_ok_and(|f| f.datum_type.size_of() == 1 && f.datum_type.is_integer())
            };
            let integers = product && (sums || node.inputs.iter().any(reads));
            Kernel { name: node.name.clone(), op, contracts: product, integers }
        };
        Ok(typed.nodes().iter().map(kernel).collect())
    }
}

/// The prepared copy, and what tract makes of it.
fn optimized(model: &Model, options: &LoadOptions) -> Result<(Prepared, TypedModel)> {
    let mut prepared = prepare(model, options, &known)?;
    let aside = set_aside(&mut prepared.model);
    let bytes = crate::onnx::to_bytes(&prepared.model)?;
    let typed = guarded(|| read(bytes, aside)).map_err(|e| refusal(&e, &prepared.model))?;
    // What tract has are copies of its own.
    model.forget_pages();
    Ok((prepared, typed))
}

type Plan = std::sync::Arc<tract_onnx::prelude::TypedRunnableModel>;

/// The model in the form in which tract runs it. The types of its inputs are those declared: all concrete.
fn read(bytes: Vec<u8>, aside: Vec<(String, Tensor)>) -> TractResult<TypedModel> {
    let onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
    let mut model = onnx.model_for_read(&mut &*bytes)?;
    drop(bytes);
    put_back(&mut model, aside)?;
    model.into_optimized()
}

/// The outputs that tract finds to be constant.
pub(super) fn known(model: &Model) -> Result<Vec<Option<Tensor>>> {
    let bytes = crate::onnx::to_bytes(model)?;
    let typed = guarded(|| read(bytes, Vec::new())).map_err(|e| Error::runtime(one_line(&e)))?;
    let constant = |index| {
        let fact = typed.output_fact(index).map_err(|e| Error::runtime(one_line(&e)))?;
        fact.konst.clone().map(|tensor| from_tract(tensor.into_tvalue())).transpose()
    };
    (0..typed.outputs.len()).map(constant).collect()
}

/// A model in tract's hands.
struct Loaded {
    plan: Plan,
    /// What tract is fed, in its order.
    inputs: Vec<(String, super::TensorTypeConcrete)>,
    results: Vec<(String, Source)>,
}

impl Session for Loaded {
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let given: BTreeMap<&str, &Tensor> = inputs.iter().map(|(name, t)| (name.as_str(), t)).collect();
        let mut fed: TVec<TValue> = TVec::new();
        for (name, ty) in &self.inputs {
            let tensor =
                given.get(name.as_str()).ok_or_else(|| Error::input(format!("input \"{name}\" is missing")))?;
            if tensor.dtype() != ty.dtype || tensor.shape() != ty.dims {
                return Err(Error::runtime(format!(
                    "input \"{name}\" is {}{:?}; the session was made for {}{:?}",
                    tensor.dtype(),
                    tensor.shape(),
                    ty.dtype,
                    ty.dims
                )));
            }
            fed.push(to_tract(tensor)?.into_tvalue());
        }
        let made = guarded(|| self.plan.run(fed)).map_err(|e| Error::runtime(one_line(&e)))?;
        let made = made.into_iter().map(from_tract).collect::<Result<Vec<Tensor>>>()?;
        let result = |(name, source): &(String, Source)| {
            let tensor = match source {
                Source::Output(index) => made.get(*index).cloned(),
                Source::Input(input) => given.get(input.as_str()).copied().cloned(),
                Source::Constant(tensor) => Some(tensor.clone()),
            };
            let missing = || Error::internal(format!("tract gave no value for \"{name}\""));
            Ok((name.clone(), tensor.ok_or_else(missing)?))
        };
        self.results.iter().map(result).collect()
    }
}

/// tract panics on some models that it does not expect; that is an error like the others.
fn guarded<T>(run: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    match without_its_message(|| catch_unwind(AssertUnwindSafe(run))) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(TractError::msg(format!("tract stopped: {text}")))
        }
    }
}

/// Runs without printing what a panic on this thread says: it comes as an error.
fn without_its_message<T>(run: impl FnOnce() -> T) -> T {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = run();
    QUIET.set(outer);
    result
}

/// The causes, outermost first, as one line.
fn one_line(error: &TractError) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
        let text: String = text.chars().take(200).collect();
        if !text.is_empty() && !parts.contains(&text) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// Names our node where tract's message names one.
fn refusal(error: &TractError, model: &Model) -> Error {
    let line = one_line(error);
    let node = model.all_nodes().into_iter().find(|n| {
        let label = model.node_label(*n);
        !label.is_empty() && (line.contains(&format!("\"{label}\"")) || line.contains(&format!(" {label} ")))
    });
    let error = Error::runtime(format!("tract cannot run this model: {line}"));
    match node {
        Some(node) => error.at_node(model.describe(node)),
        None => error,
    }
}
