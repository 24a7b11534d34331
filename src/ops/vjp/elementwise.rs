//! Elementwise arithmetic, with broadcasting.

use std::f32::consts::PI;

use super::{Adjoint, Var};

type Rule = Result<(), String>;

pub fn add(a: &Adjoint) -> Rule {
    sum(a)
}

pub fn sub(a: &Adjoint) -> Rule {
    a.give(0, a.dy());
    a.give_with(1, || -a.dy());
    Ok(())
}

pub fn mul(a: &Adjoint) -> Rule {
    a.give_with(0, || a.dy() * a.x(1));
    a.give_with(1, || a.dy() * a.x(0));
    Ok(())
}

/// d(x/z) = dx/z − y·dz/z
pub fn div(a: &Adjoint) -> Rule {
    let part = a.dy() / a.x(1);
    a.give(0, part);
    a.give_with(1, || -(part * a.y()));
    Ok(())
}

/// d(xᵖ) = p·xᵖ⁻¹·dx + xᵖ·ln(x)·dp, where p = 0 without the pole of x⁻¹
pub fn pow(a: &Adjoint) -> Rule {
    let p = a.x(1).float();
    let below = p - 1.0 + p.equals(a.number(0.0));
    a.give_with(0, || a.dy() * p * a.x(0).pow(below));
    a.give_with(1, || a.dy() * a.y() * a.x(0).map("Log"));
    Ok(())
}

/// d√x = dx/(2·√x), and 0 at 0: ∞·0 above would make a NaN of all gradients before it
pub fn sqrt(a: &Adjoint) -> Rule {
    a.give(0, 0.5 * a.dy() * a.y().inverse());
    Ok(())
}

pub fn exp(a: &Adjoint) -> Rule {
    a.give(0, a.dy() * a.y());
    Ok(())
}

pub fn log(a: &Adjoint) -> Rule {
    a.give(0, a.dy() / a.x(0));
    Ok(())
}

pub fn reciprocal(a: &Adjoint) -> Rule {
    a.give(0, -(a.dy() * a.y() * a.y()));
    Ok(())
}

/// erf'(x) = 2/√π·exp(−x²)
pub fn erf(a: &Adjoint) -> Rule {
    a.give(0, a.dy() * 2.0 / PI.sqrt() * (-(a.x(0) * a.x(0))).map("Exp"));
    Ok(())
}

pub fn neg(a: &Adjoint) -> Rule {
    a.give(0, -a.dy());
    Ok(())
}

pub fn abs(a: &Adjoint) -> Rule {
    a.give(0, a.dy() * a.x(0).map("Sign"));
    Ok(())
}

pub fn sin(a: &Adjoint) -> Rule {
    a.give(0, a.dy() * a.x(0).map("Cos"));
    Ok(())
}

pub fn cos(a: &Adjoint) -> Rule {
    a.give(0, -(a.dy() * a.x(0).map("Sin")));
    Ok(())
}

pub fn sum(a: &Adjoint) -> Rule {
    (0..a.node.inputs().len()).for_each(|i| a.give(i, a.dy()));
    Ok(())
}

pub fn mean(a: &Adjoint) -> Rule {
    let share = a.dy() * (1.0 / a.node.inputs().len() as f32);
    (0..a.node.inputs().len()).for_each(|i| a.give(i, share));
    Ok(())
}

/// Max and Min: the inputs that are the output share its gradient.
pub fn extreme(a: &Adjoint) -> Rule {
    let masks: Vec<Var> = (0..a.node.inputs().len()).map(|i| a.x(i).equals(a.y())).collect();
    let Some(ties) = masks.iter().copied().reduce(|a, b| a + b) else { return Ok(()) };
    let share = a.dy() / ties;
    for (i, mask) in masks.into_iter().enumerate() {
        a.give_with(i, || mask * share);
    }
    Ok(())
}

pub fn choose(a: &Adjoint) -> Rule {
    let zero = a.number(0.0);
    a.give_with(1, || a.tape.choose(a.x(0), a.dy(), zero));
    a.give_with(2, || a.tape.choose(a.x(0), zero, a.dy()));
    Ok(())
}

/// From float to float.
pub fn cast(a: &Adjoint) -> Rule {
    a.give(0, a.dy());
    Ok(())
}
