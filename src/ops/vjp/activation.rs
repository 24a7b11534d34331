//! Activation functions: dL/dx = dL/dy·f'(x).

use std::f32::consts::{PI, SQRT_2};

use super::{Adjoint, Var};

type Rule = Result<(), String>;

fn given(a: &Adjoint, derivative: Var) -> Rule {
    a.give(0, a.dy() * derivative);
    Ok(())
}

/// The output is not negative, so that its sign is 1 where the input passed.
pub fn relu(a: &Adjoint) -> Rule {
    given(a, a.y().map("Sign"))
}

/// What was not cut passes.
pub fn clip(a: &Adjoint) -> Rule {
    given(a, a.x(0).equals(a.y()))
}

/// `low` below zero, 1 above.
fn step(x: Var<'_>, low: f32) -> Var<'_> {
    let above = x.above(0.0);
    above * (1.0 - low) + low
}

pub fn leaky_relu(a: &Adjoint) -> Rule {
    given(a, step(a.x(0), a.node.float_or("alpha", 0.01)))
}

/// The slope is broadcast to the input.
pub fn prelu(a: &Adjoint) -> Rule {
    let (on, slope) = (a.x(0).above(0.0), a.x(1));
    let off = 1.0 - on;
    a.give_with(0, || a.dy() * (on + off * slope));
    a.give_with(1, || a.dy() * off * a.x(0));
    Ok(())
}

pub fn sigmoid(a: &Adjoint) -> Rule {
    given(a, a.y() * (1.0 - a.y()))
}

pub fn tanh(a: &Adjoint) -> Rule {
    given(a, 1.0 - a.y() * a.y())
}

pub fn softplus(a: &Adjoint) -> Rule {
    given(a, a.x(0).map("Sigmoid"))
}

pub fn softsign(a: &Adjoint) -> Rule {
    let far = a.x(0).map("Abs") + 1.0;
    given(a, 1.0 / (far * far))
}

/// y = clip(α·x + β, 0, 1)
pub fn hard_sigmoid(a: &Adjoint) -> Rule {
    let (alpha, beta) = (a.node.float_or("alpha", 0.2), a.node.float_or("beta", 0.5));
    given(a, inside(a.x(0) * alpha + beta) * alpha)
}

/// 1 between 0 and 1, else 0.
fn inside(x: Var<'_>) -> Var<'_> {
    x.above(0.0) - x.above(1.0)
}

/// y = x·h with h = clip(x/6 + ½, 0, 1)
pub fn hard_swish(a: &Adjoint) -> Rule {
    let ramp = a.x(0) * (1.0 / 6.0) + 0.5;
    // Between its bounds h + x/6 = 2·ramp − ½; above them 1.
    given(a, inside(ramp) * (2.0 * ramp - 0.5) + ramp.above(1.0))
}

/// y = α·(eˣ − 1) below zero; there α·eˣ = y + α.
pub fn elu(a: &Adjoint) -> Rule {
    let on = a.x(0).above(0.0);
    given(a, on + (1.0 - on) * (a.y() + a.node.float_or("alpha", 1.0)))
}

pub fn selu(a: &Adjoint) -> Rule {
    let (alpha, gamma) = (a.node.float_or("alpha", 1.673_263_2), a.node.float_or("gamma", 1.050_701));
    let on = a.x(0).above(0.0);
    given(a, on * gamma + (1.0 - on) * (a.y() + alpha * gamma))
}

/// y = α·(e^(x/α) − 1) below zero; there e^(x/α) = y/α + 1.
pub fn celu(a: &Adjoint) -> Rule {
    let on = a.x(0).above(0.0);
    given(a, on + (1.0 - on) * (a.y() * (1.0 / a.node.float_or("alpha", 1.0)) + 1.0))
}

pub fn thresholded_relu(a: &Adjoint) -> Rule {
    given(a, a.x(0).above(a.node.float_or("alpha", 1.0)))
}

/// y = x·s with s = σ(α·x): s + α·y·(1 − s)
pub fn swish(a: &Adjoint) -> Rule {
    let alpha = a.node.float_or("alpha", 1.0);
    let s = (a.x(0) * alpha).map("Sigmoid");
    given(a, s + a.y() * alpha * (1.0 - s))
}

/// y = x·t with t = tanh(softplus(x)): t + x·(1 − t²)·σ(x)
pub fn mish(a: &Adjoint) -> Rule {
    let t = a.x(0).map("Softplus").map("Tanh");
    given(a, t + a.x(0) * (1.0 - t * t) * a.x(0).map("Sigmoid"))
}

/// y = x·Φ(x): Φ + x·φ, of the normal distribution; or with Φ by tanh.
pub fn gelu(a: &Adjoint) -> Rule {
    let x = a.x(0);
    if a.node.str("approximate") == Some("tanh") {
        let scale = (2.0 / PI).sqrt();
        let square = x * x;
        let t = (x * (square * 0.044_715 + 1.0) * scale).map("Tanh");
        let inner = (square * (3.0 * 0.044_715) + 1.0) * scale;
        return given(a, (t + 1.0) * 0.5 + x * 0.5 * (1.0 - t * t) * inner);
    }
    let cdf = ((x * (1.0 / SQRT_2)).map("Erf") + 1.0) * 0.5;
    let density = (x * x * -0.5).map("Exp") * (1.0 / (2.0 * PI).sqrt());
    given(a, cdf + x * density)
}

/// dx = y·(dy − Σ dy·y)
pub fn softmax(a: &Adjoint) -> Rule {
    let axes = [a.axis(-1)?];
    let weighted = a.dy() * a.y();
    a.give(0, weighted - a.y() * weighted.sum(&axes));
    Ok(())
}

/// dx = dy − eʸ·Σ dy
pub fn log_softmax(a: &Adjoint) -> Rule {
    let axes = [a.axis(-1)?];
    a.give(0, a.dy() - a.y().map("Exp") * a.dy().sum(&axes));
    Ok(())
}
