//! Normalizations: x̂ = (x − μ)/σ, y = γ·x̂ + β.
//!
//! Where μ and σ are of x itself, over the axes that are normalized,
//!
//! ```text
//! dx = (g − mean(g) − x̂·mean(g·x̂))/σ        g = γ·dy; mean(g) is left out where nothing was centred
//! ```

use super::{Adjoint, Var};

type Rule = Result<(), String>;

/// x̂ and 1/σ over `axes`.
fn normalized<'t>(x: Var<'t>, axes: &[usize], centred: bool, epsilon: f32) -> [Var<'t>; 2] {
    let x = if centred { x - x.mean(axes) } else { x };
    let inverse = 1.0 / ((x * x).mean(axes) + epsilon).map("Sqrt");
    [x * inverse, inverse]
}

fn through<'t>(g: Var<'t>, [hat, inverse]: [Var<'t>; 2], axes: &[usize], centred: bool) -> Var<'t> {
    let g = if centred { g - g.mean(axes) } else { g };
    (g - hat * (g * hat).mean(axes)) * inverse
}

/// Over all axes from `axis` on; γ and β lie along those.
fn from_axis(a: &Adjoint, centred: bool) -> Rule {
    let (x, dy) = (a.x(0), a.dy());
    let axes: Vec<usize> = (a.axis(-1)?..x.rank()).collect();
    let parts = normalized(x, &axes, centred, a.node.float_or("epsilon", 1e-5));
    a.give_with(0, || through(dy * a.x(1), parts, &axes, centred));
    a.give_with(1, || dy * parts[0]);
    a.give(2, dy);
    Ok(())
}

pub fn layer(a: &Adjoint) -> Rule {
    from_axis(a, true)
}

pub fn rms(a: &Adjoint) -> Rule {
    from_axis(a, false)
}

/// Channels in groups: γ and β have an element for each channel.
fn grouped(a: &Adjoint, groups: usize) -> Rule {
    let (x, dy) = (a.x(0).dims(), a.dy());
    let each = vec![x[0], groups, x.iter().product::<usize>() / (x[0] * groups).max(1)];
    let parts = normalized(a.x(0).reshape(&each), &[2], true, a.node.float_or("epsilon", 1e-5));
    let channels = along_channels(x.len(), x[1]);
    let others: Vec<usize> = (0..x.len()).filter(|i| *i != 1).collect();
    a.give_with(0, || {
        let g = dy * a.x(1).reshape(&channels);
        through(g.reshape(&each), parts, &[2], true).reshape(&x)
    });
    a.give_with(1, || (dy * parts[0].reshape(&x)).sum(&others).reshape(&[x[1]]));
    a.give_with(2, || dy.sum(&others).reshape(&[x[1]]));
    Ok(())
}

pub fn instance(a: &Adjoint) -> Rule {
    grouped(a, a.x(0).dims()[1])
}

/// From opset 21 on, with γ and β for each channel.
pub fn group(a: &Adjoint) -> Rule {
    if a.x(1).count() != a.x(0).dims()[1] {
        return Err("its scale is for each group, not each channel".into());
    }
    let groups = usize::try_from(a.node.int_or("num_groups", 1)).ok().filter(|g| *g > 0).ok_or("it has no groups")?;
    grouped(a, groups)
}

/// Inference: μ and σ² are inputs, `y = γ·(x − μ)/√(σ² + ε) + β` per channel.
pub fn batch(a: &Adjoint) -> Rule {
    if a.node.int_or("training_mode", 0) != 0 {
        return Err("it is in training mode".into());
    }
    let x = a.x(0).dims();
    let channels = along_channels(x.len(), x.get(1).copied().unwrap_or(1));
    let others: Vec<usize> = (0..x.len()).filter(|i| *i != 1).collect();
    let per_channel = |v: Var<'_>| a.tape.var(v.id).sum(&others).reshape(&a.x(1).dims());
    let dy = a.dy();
    let inverse = 1.0 / (a.x(4) + a.node.float_or("epsilon", 1e-5)).map("Sqrt");
    let centred = || a.x(0) - a.x(3).reshape(&channels);
    a.give_with(0, || dy * (a.x(1) * inverse).reshape(&channels));
    a.give_with(1, || per_channel(dy * centred()) * inverse);
    a.give_with(2, || per_channel(dy));
    a.give_with(3, || -(per_channel(dy) * a.x(1) * inverse));
    a.give_with(4, || per_channel(dy * centred()) * a.x(1) * inverse * inverse * inverse * -0.5);
    Ok(())
}

/// The shape in which an element for each channel meets `[N, C, …]`.
fn along_channels(rank: usize, channels: usize) -> Vec<usize> {
    (0..rank.max(2)).map(|i| if i == 1 { channels } else { 1 }).collect()
}
