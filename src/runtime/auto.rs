//! The runtime that is built in, and where it cannot run a model another that is present.
//!
//! The built-in one comes first since it is the same on every machine: what is found on data there does not depend on what else is installed.
//! What is float16 goes to another first: tract has no fast kernels for it (MiniLM in 2.2 s where ONNX Runtime takes 0.05).

use std::sync::OnceLock;

use super::{LoadOptions, RUNTIMES, Runtime, Session, built_in};
use crate::error::{ErrorKind, Result};
use crate::ir::{DType, Model, Tensor, ValueId};

#[derive(Debug)]
pub struct Auto;

impl Runtime for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn load(&self, model: &Model, options: &LoadOptions) -> Result<Box<dyn Session>> {
        if reads_halves(model)
            && let Some(Ok(session)) = elsewhere(model, options, "float16")
        {
            return Ok(session);
        }
        let first = match built_in().load(model, options) {
            Err(e) if e.kind() == ErrorKind::Runtime => e,
            Ok(session) if others().next().is_some() => {
                let (model, options) = (model.clone(), options.clone());
                return Ok(Box::new(Either { session, model, options, other: OnceLock::new() }));
            }
            done => return done,
        };
        elsewhere(model, options, &first.to_string()).unwrap_or(Err(first))
    }
}

/// Whether an input or a constant is float16.
pub fn reads_halves(model: &Model) -> bool {
    let graph = model.graph(model.main());
    let half = |v: &ValueId| model.tensor_type(*v).dtype == Some(DType::F16);
    graph.inputs().iter().chain(graph.initializers()).any(half)
}

/// A session that another runtime takes over from where a run shows that this one cannot run the model.
struct Either {
    session: Box<dyn Session>,
    /// Its tensors are shared.
    model: Model,
    options: LoadOptions,
    /// `None` where no other runtime can run it.
    other: OnceLock<Option<Box<dyn Session>>>,
}

impl Session for Either {
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let first = match self.other.get() {
            Some(Some(other)) => return other.run(inputs),
            _ => match self.session.run(inputs) {
                Err(e) if e.kind() == ErrorKind::Runtime => e,
                done => return done,
            },
        };
        let load = || elsewhere(&self.model, &self.options, &first.to_string()).and_then(Result::ok);
        match self.other.get_or_init(load) {
            Some(other) => other.run(inputs),
            None => Err(first),
        }
    }
}

/// The runtimes that are present, in the order in which they are tried for a model.
pub fn in_order(model: &Model) -> Vec<&'static dyn Runtime> {
    let mut all: Vec<&'static dyn Runtime> = std::iter::once(built_in()).chain(others()).collect();
    if reads_halves(model) {
        all.rotate_left(1);
    }
    all
}

/// Those that are present besides the built-in one.
pub fn others() -> impl Iterator<Item = &'static dyn Runtime> {
    RUNTIMES[1..].iter().copied().filter(|r| r.present().is_ok())
}

/// The first of the others that does not refuse the model as a runtime does.
fn elsewhere(model: &Model, options: &LoadOptions, why: &str) -> Option<Result<Box<dyn Session>>> {
    others().find_map(|other| match other.load(model, options) {
        Err(e) if e.kind() == ErrorKind::Runtime => {
            tracing::debug!("{}: {e}", other.name());
            None
        }
        done => {
            tracing::info!("run in {}: {why}", other.name());
            Some(done)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::ir::text;

    struct Broken;

    impl Session for Broken {
        fn run(&self, _: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
            Err(Error::runtime("it is broken"))
        }
    }

    #[test]
    fn a_run_that_fails_is_run_elsewhere() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }";
        let x = [("x".to_string(), Tensor::from_vec([2], vec![-1f32, 2.0]))];
        let options = LoadOptions::for_inputs(&x);
        let model = text::parse(source).unwrap();
        let either = Either { session: Box::new(Broken), model, options, other: OnceLock::new() };
        for _ in 0..2 {
            match (either.run(&x), others().next()) {
                (Ok(made), Some(_)) => assert_eq!(made[0].1.to_f64().unwrap(), [0.0, 2.0]),
                (Err(e), None) => assert_eq!(e.to_string(), "it is broken"),
                (made, _) => panic!("{made:?}"),
            }
        }
    }
}
