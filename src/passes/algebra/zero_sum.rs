//! The addition of zeros is left out.
//!
//! ```text
//! x + 0 = x        but for −0 + 0, which is 0
//!
//! x ─► Add(0.0) ─► y        x ─► y
//! ```
//!
//! Where every zero is negative the sum is x bit for bit, and `eliminate-identity` sees to it. Zeros that would broaden x are
//! no match. Refuses when y is a graph output that no other node can make.

use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::support::{bypass, is_float};
use crate::passes::tidy::eliminate_identity::neutral;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new("drop-zero-sums", "bypass the addition of zeros", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Add"], |edit, node| {
        let Some(x) = neutral(edit, node, 0.0, true).filter(|x| is_float(edit, *x)) else {
            return Ok(Outcome::NoMatch);
        };
        Ok(bypass(edit, node, x))
    })
}
