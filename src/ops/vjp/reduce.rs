//! Reductions: the gradient goes back to what was reduced.

use super::{Adjoint, Var};
use crate::ir::shape::axis_of;

type Rule = Result<(), String>;

/// The axes, and a value of the output's shape with those axes of size 1 put back.
struct Reduced {
    axes: Vec<usize>,
    kept: Vec<usize>,
}

impl Reduced {
    fn of(a: &Adjoint) -> Result<Reduced, String> {
        let mut kept = a.x(0).dims();
        let given = a.ints_of("axes", 1)?.filter(|axes| !axes.is_empty());
        let axes = match given {
            Some(axes) => axes.iter().map(|i| axis_of(*i, kept.len())).collect::<Option<_>>().ok_or("no such axis")?,
            None if a.node.int_or("noop_with_empty_axes", 0) != 0 => Vec::new(),
            None => (0..kept.len()).collect(),
        };
        axes.iter().for_each(|i: &usize| kept[*i] = 1);
        Ok(Reduced { axes, kept })
    }

    fn keep<'t>(&self, v: Var<'t>) -> Var<'t> {
        v.reshape(&self.kept)
    }
}

pub fn sum(a: &Adjoint) -> Rule {
    let r = Reduced::of(a)?;
    a.give(0, r.keep(a.dy()).expand(&a.x(0).dims()));
    Ok(())
}

pub fn mean(a: &Adjoint) -> Rule {
    let r = Reduced::of(a)?;
    let share = a.y().count() as f32 / a.x(0).count().max(1) as f32;
    a.give(0, (r.keep(a.dy()) * share).expand(&a.x(0).dims()));
    Ok(())
}

/// ReduceMax and ReduceMin: equal extremes share the gradient.
pub fn extreme(a: &Adjoint) -> Rule {
    let r = Reduced::of(a)?;
    let mask = a.x(0).equals(r.keep(a.y()));
    let ties = if r.axes.is_empty() { mask } else { mask.sum(&r.axes) };
    a.give(0, mask * (r.keep(a.dy()) / ties));
    Ok(())
}

/// d√(Σx²) = x/y, and 0 of a row of zeros
pub fn l2(a: &Adjoint) -> Rule {
    let r = Reduced::of(a)?;
    a.give(0, a.x(0) * (r.keep(a.dy()) * r.keep(a.y()).inverse()));
    Ok(())
}

pub fn l1(a: &Adjoint) -> Rule {
    let r = Reduced::of(a)?;
    a.give(0, a.x(0).map("Sign") * r.keep(a.dy()));
    Ok(())
}

pub fn sum_square(a: &Adjoint) -> Rule {
    let r = Reduced::of(a)?;
    a.give(0, a.x(0) * (r.keep(a.dy()) * 2.0));
    Ok(())
}

/// d ln(Σeˣ) = eˣ⁻ʸ
pub fn log_sum_exp(a: &Adjoint) -> Rule {
    let r = Reduced::of(a)?;
    a.give(0, (a.x(0) - r.keep(a.y())).map("Exp") * r.keep(a.dy()));
    Ok(())
}
