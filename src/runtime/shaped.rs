//! A session per set of input shapes, made when first needed.
//!
//! Data may come in batches of different shapes (sentences of different lengths). The key of a session
//! is the type of every input, and the value of those small inputs that decide which branch of an `If`
//! runs (a sample rate), since a session is made for one of them. A runtime whose sessions take any shape has one.
//!
//! A session holds the weights once more, so only the last few that were used stay: [`KEPT`], fewer of a large model.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{LoadOptions, Runtime, Session, TensorTypeConcrete, deciding_inputs};
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};

type Key = Vec<(String, TensorTypeConcrete, Option<Vec<u8>>)>;
type Slot = Arc<OnceLock<Result<Box<dyn Session>, Failure>>>;

/// Sessions that stay in memory, besides those that are running.
const KEPT: usize = 4;
/// What the weights of those may take together, unless it is one.
const KEPT_BYTES: usize = 128 << 20;

/// Sessions of one model, by the shapes of what they are fed. Thread-safe.
pub struct Shaped<'a> {
    runtime: &'a dyn Runtime,
    model: &'a Model,
    taps: Vec<String>,
    threads: usize,
    deciding: Vec<String>,
    /// How many sessions are kept.
    kept: usize,
    /// The one used last comes last.
    sessions: Mutex<Vec<(Key, Slot)>>,
}

/// A load that did not work, to be told again at every run of its shapes.
struct Failure(crate::ErrorKind, String);

impl<'a> Shaped<'a> {
    /// Sessions of `model` that also give `taps`; each is loaded when inputs of its shapes first come.
    pub fn new(runtime: &'a dyn Runtime, model: &'a Model, taps: &[String]) -> Self {
        let deciding = deciding_inputs(model);
        let kept = (KEPT_BYTES / model.weight_bytes().max(1)).clamp(1, KEPT);
        Shaped { runtime, model, taps: taps.to_vec(), threads: 1, deciding, kept, sessions: Mutex::default() }
    }

    /// One run may use so many threads, instead of one.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Makes a session for each value of these inputs, too.
    #[must_use]
    pub fn deciding_by(mut self, inputs: Vec<String>) -> Self {
        self.deciding.extend(inputs);
        self
    }

    /// Outputs, then taps: see [`Session::run`].
    pub fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let slot = self.slot(inputs);
        let session = slot.get_or_init(|| self.load(inputs).map_err(|e| Failure(e.kind(), e.to_string())));
        match session {
            Ok(session) => session.run(inputs),
            Err(Failure(kind, message)) => Err(Error::new(*kind, message.clone())),
        }
    }

    fn slot(&self, inputs: &[(String, Tensor)]) -> Slot {
        let key = |(name, t): &(String, Tensor)| {
            let value = self.deciding.contains(name).then(|| t.bytes().to_vec());
            (name.clone(), TensorTypeConcrete::of(t), value)
        };
        let key: Key = if self.runtime.takes_any_shape() { Vec::new() } else { inputs.iter().map(key).collect() };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sessions.iter().position(|(k, _)| *k == key);
        let (key, slot) = known.map_or_else(|| (key, Slot::default()), |i| sessions.remove(i));
        if sessions.len() >= self.kept {
            sessions.remove(0);
        }
        sessions.push((key, slot.clone()));
        slot
    }

    fn load(&self, inputs: &[(String, Tensor)]) -> Result<Box<dyn Session>> {
        let constants = inputs.iter().filter(|(name, _)| self.deciding.contains(name)).cloned().collect();
        let options = LoadOptions { constants, ..LoadOptions::for_inputs(inputs) };
        self.runtime.load(self.model, &options.with_taps(&self.taps).with_threads(self.threads))
    }
}
