//! Running models: what calibration and validation stand on.
//!
//! ```text
//! let session = runtime::find("tract")?.load(&model, &LoadOptions { taps, ..options })?;
//! let values  = session.run(&[("input".into(), tensor)])?;      // outputs, then taps
//! ```
//!
//! A [`Runtime`] makes a [`Session`] of a model once; a session runs many times and from many threads.
//! [`Shaped`] keeps one session per set of input shapes, for data whose batches differ in shape.

mod apart;
mod auto;
mod convert;
pub mod costs;
mod deciding;
mod kernels;
#[cfg(feature = "onnxruntime")]
mod lift;
mod neighbours;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod outputs;
pub mod prepare;
mod score;
mod shaped;
pub mod timing;
mod tract;
mod weights;

use std::collections::BTreeMap;

pub use apart::{MASK, Pair, apart};
pub use auto::{in_order, reads_halves};
pub use deciding::deciding_inputs;
pub use kernels::Kernel;
pub(crate) use neighbours::neighbours;
pub(crate) use outputs::unreadable;
pub use score::{EXACT_DB, Energies, Score};
pub use shaped::Shaped;

use crate::error::{Error, ErrorKind, Result};
use crate::ir::{DType, Model, Tensor};

/// Every runtime that is built in.
pub static RUNTIMES: &[&dyn Runtime] = &[
    &tract::Tract,
    #[cfg(feature = "onnxruntime")]
    &onnxruntime::OnnxRuntime,
];

/// What runs data where nobody names a runtime: see [`find`].
pub const AUTO: &str = "auto";

/// The runtime that is part of this program.
#[must_use]
pub fn built_in() -> &'static dyn Runtime {
    RUNTIMES[0]
}

/// The runtime that a target is named after, where it is present here; else the one that is built in.
#[must_use]
pub fn closest_to(target: &str) -> &'static dyn Runtime {
    let same = RUNTIMES.iter().copied().find(|r| r.name() == target && r.present().is_ok());
    same.unwrap_or_else(built_in)
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The runtime of this name; of [`AUTO`] the built-in one, and another that is present for models that it cannot run.
pub fn find(name: &str) -> Result<&'static dyn Runtime> {
    match name {
        AUTO => Ok(&auto::Auto),
        name => one(name),
    }
}

/// The runtime of this name; [`AUTO`] is not one.
///
/// # Errors
/// Usage, for a name that there is not.
pub fn one(name: &str) -> Result<&'static dyn Runtime> {
    RUNTIMES.iter().copied().find(|r| r.name() == name).ok_or_else(|| {
        let names: Vec<_> = RUNTIMES.iter().map(|r| r.name()).collect();
        Error::usage(format!("there is no runtime \"{name}\"; there is {}", names.join(", ")))
    })
}

/// The runtimes of these names, each once.
///
/// # Errors
/// Usage, for a name that there is not, or twice.
pub fn find_all(names: &[String]) -> Result<Vec<&'static dyn Runtime>> {
    if let Some(twice) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n)) {
        return Err(Error::usage(format!("the runtime \"{}\" is named twice", twice.1)));
    }
    names.iter().map(|name| one(name)).collect()
}

/// Loads ONNX Runtime from this library when it is first used, instead of looking for one.
///
/// # Errors
/// Where there is no such file, or this program is built without ONNX Runtime.
pub fn use_onnxruntime(library: &std::path::Path) -> Result<()> {
    if !library.is_file() {
        return Err(Error::usage("there is no such library").in_file(library));
    }
    #[cfg(feature = "onnxruntime")]
    onnxruntime::use_library(library);
    match cfg!(feature = "onnxruntime") {
        true => Ok(()),
        false => Err(Error::usage("this program is built without ONNX Runtime")),
    }
}

/// Element type and sizes of an input, all known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorTypeConcrete {
    /// Type of its elements.
    pub dtype: DType,
    /// Its sizes.
    pub dims: Vec<usize>,
}

impl TensorTypeConcrete {
    /// That of a tensor.
    pub fn of(tensor: &Tensor) -> Self {
        TensorTypeConcrete { dtype: tensor.dtype(), dims: tensor.shape().to_vec() }
    }
}

/// What a session is made for.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Threads that one run may use; 0 and 1 are one.
    pub threads: usize,
    /// The type every run will feed, by input name. An input that is not named keeps its declared
    /// type, in which an open dimension becomes 1.
    pub inputs: Vec<(String, TensorTypeConcrete)>,
    /// Inputs whose value is the same in every run; what they decide (an `If`, a shape) is decided at load.
    pub constants: BTreeMap<String, Tensor>,
    /// Names of values to return besides the outputs.
    pub taps: Vec<String>,
    /// What the runtime may do to the graph.
    pub rewrites: Rewrites,
}

/// What may be done to a model for speed before it runs, besides what makes the runtime take it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rewrites {
    /// The passes here and the runtime's own.
    #[default]
    All,
    /// The runtime's own: the model is timed as its file would be.
    Runtime,
    /// None, where the runtime lets one choose: slower, and independent of every rewrite.
    Least,
}

impl LoadOptions {
    /// For runs that feed tensors of the types of `inputs`.
    pub fn for_inputs(inputs: &[(String, Tensor)]) -> Self {
        let inputs = inputs.iter().map(|(name, t)| (name.clone(), TensorTypeConcrete::of(t))).collect();
        LoadOptions { inputs, ..LoadOptions::default() }
    }

    /// As [`LoadOptions::for_inputs`]; what the small inputs among them decide in `model` is decided at load.
    pub fn for_run(model: &Model, inputs: &[(String, Tensor)]) -> Self {
        let deciding = deciding_inputs(model);
        let constants = inputs.iter().filter(|(name, _)| deciding.contains(name)).cloned().collect();
        LoadOptions { constants, ..LoadOptions::for_inputs(inputs) }
    }

    /// Whether a session made so serves these inputs: they decide what it was made for.
    pub fn serves(&self, inputs: &[(String, Tensor)]) -> bool {
        self.constants.iter().all(|(name, held)| inputs.iter().any(|(n, t)| n == name && t == held))
    }

    /// Gives these values, too, after the outputs.
    #[must_use]
    pub fn with_taps(mut self, taps: &[String]) -> Self {
        self.taps = taps.to_vec();
        self
    }

    /// Runs on so many threads.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

/// The copy of `model` that a runtime is given: see [`prepare`].
///
/// # Errors
/// Runtime, for an input of which neither `options` nor the model tell the type, and for what cannot be inlined.
pub fn prepared(model: &Model, options: &LoadOptions) -> Result<prepare::Prepared> {
    prepare::prepare(model, options, &tract::known)
}

/// Something that runs models.
pub trait Runtime: Sync {
    /// As the command line names it.
    fn name(&self) -> &'static str;

    /// Whether it can be used here, and else why not.
    fn present(&self) -> Result<()> {
        Ok(())
    }

    /// Its version, as far as it tells.
    fn version(&self) -> String {
        String::new()
    }

    /// Makes a model ready to run. Fails with [`crate::ErrorKind::Runtime`], naming the operator, where it cannot.
    fn load(&self, model: &Model, options: &LoadOptions) -> Result<Box<dyn Session>>;

    /// Whether runs of one session from several threads go on at the same time, however large its model is.
    fn shares_sessions(&self) -> bool {
        true
    }

    /// Whether a session takes inputs of any shapes and values that the model allows, not only those it was loaded for.
    fn takes_any_shape(&self) -> bool {
        false
    }

    /// What it makes of the model's main graph; nothing where it does not tell.
    fn kernels(&self, model: &Model, options: &LoadOptions) -> Result<Vec<Kernel>> {
        let _ = (model, options);
        Ok(Vec::new())
    }
}

/// A loaded model. Runs may happen at the same time from several threads.
pub trait Session: Send + Sync {
    /// The model's outputs in its order, then the taps in the order asked for, each with its name; a tap is absent where its branch is not
    /// taken, or it is no tensor.
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>>;
}

/// A loaded model and what it is fed.
pub type Ready = (Box<dyn Session>, Vec<(String, Tensor)>);

/// `model` as its file stands where the runtime can take it so, else prepared like everywhere, and those of `inputs` that it has.
pub fn load_as_it_stands(
    runtime: &dyn Runtime,
    model: &Model,
    inputs: &[(String, Tensor)],
    (rewrites, threads): (Rewrites, usize),
) -> Result<Ready> {
    let names: Vec<&str> = model.user_inputs().iter().map(|v| model.name(*v)).collect();
    let own: Vec<_> = inputs.iter().filter(|(name, _)| names.contains(&name.as_str())).cloned().collect();
    let prepared = LoadOptions::for_run(model, &own).with_threads(threads);
    let session = match runtime.load(model, &LoadOptions { rewrites, ..prepared.clone() }) {
        Err(e) if e.kind() == ErrorKind::Runtime => runtime.load(model, &prepared)?,
        session => session?,
    };
    Ok((session, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_runtime_lists_the_known() {
        let Err(error) = find("torch") else { panic!("there is no such runtime") };
        assert_eq!(error.to_string(), "there is no runtime \"torch\"; there is tract, onnxruntime");
        assert_eq!(error.exit_code(), 2);
        assert_eq!(find("tract").unwrap().name(), "tract");
    }
}
