//! Which pass moves the outputs of this model by more than rounding: found, and left out.
//!
//! ```text
//! all ─► off ─► without p₁, without p₂, …, p a pass or a family ─► the first that holds
//!                                                       none ─► only passes that keep every bit
//! ```
//!
//! Sums in another order are no error in float32, and may be one in float16; and a pass that is wrong for one model must not cost it the
//! others.

use super::candidates::{Candidate, candidates};
use crate::error::Result;
use crate::ir::Model;
use crate::passes::{SimplifyOptions, SimplifyReport, simplify};

/// What holds, and what was left out for that.
pub struct Within {
    /// The model without that.
    pub model: Model,
    /// What the other passes did.
    pub report: SimplifyReport,
    /// The pass, its family, or all that round.
    pub left_out: String,
}

/// Simplifies `original` by what of `options` holds, where `report` is what all of it did. `None` where nothing does.
///
/// # Errors
/// Those of [`simplify`] and of `holds`.
pub fn within(
    original: &Model,
    options: &SimplifyOptions,
    report: &SimplifyReport,
    holds: &mut dyn FnMut(&Model) -> Result<bool>,
) -> Result<Option<Within>> {
    let rounding = candidates(report).into_iter().filter(Candidate::rounds);
    let without = rounding.map(|candidate| (candidate.name.clone(), candidate.left_out_of(options)));
    let exact = ("every pass that rounds".to_string(), SimplifyOptions { bit_exact: true, ..options.clone() });
    for (left_out, options) in without.chain([exact]) {
        let mut model = original.clone();
        let report = simplify(&mut model, &options)?;
        if holds(&model)? {
            return Ok(Some(Within { model, report, left_out }));
        }
    }
    Ok(None)
}
