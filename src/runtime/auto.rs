//! The runtime that is built in, and where it cannot run a model another that is present.
//!
//! The built-in one comes first since it is the same on every machine: what is found on data there does not depend on what else is installed.

use super::{LoadOptions, RUNTIMES, Runtime, Session};
use crate::error::{ErrorKind, Result};
use crate::ir::Model;

#[derive(Debug)]
pub struct Auto;

impl Runtime for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn load(&self, model: &Model, options: &LoadOptions) -> Result<Box<dyn Session>> {
        let first = match RUNTIMES[0].load(model, options) {
            Err(e) if e.kind() == ErrorKind::Runtime => e,
            done => return done,
        };
        for other in RUNTIMES[1..].iter().filter(|r| r.present().is_ok()) {
            match other.load(model, options) {
                Err(e) if e.kind() == ErrorKind::Runtime => tracing::debug!("{}: {e}", other.name()),
                done => {
                    tracing::info!("run in {}: {first}", other.name());
                    return done;
                }
            }
        }
        Err(first)
    }
}
