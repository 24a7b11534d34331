//! Convolutions.
//!
//! With the input's channels c, the output's m, positions p and kernel places k
//!
//! ```text
//! y[m, p] = Σ_k,c w[m, c, k]·x[c, p·s + k·d]
//! dx = transposed convolution of dy with w        dw[m, c, k] = Σ_n,p dy[m, p]·x[c, p·s + k·d]
//! ```
//!
//! The gradient of the weight is one product of matrices for each place of the kernel: as a convolution with dy for its
//! kernel it takes 2 to 3 times as long in ONNX Runtime.

use super::tape::Cut;
use super::window::Window;
use super::{Adjoint, Var};

type Rule = Result<(), String>;

/// Weight `[M, C/group, k…]`.
pub fn conv(a: &Adjoint) -> Rule {
    let (x, w, dy) = (a.x(0), a.x(1), a.dy());
    let group = group(a)?;
    let window = Window::of(&a.node, &w.dims()[2..], &x.dims()[2..], &dy.dims()[2..])?;
    a.give_with(0, || a.float("ConvTranspose", &[dy, w], &window.transposed_attrs(group), &x.dims()));
    a.give_with(1, || correlation(a, x, dy, &window, group));
    a.give_with(2, || bias(a));
    Ok(())
}

/// Weight `[C, M/group, k…]`: a convolution seen from behind, so that input and gradient change places.
pub fn conv_transpose(a: &Adjoint) -> Rule {
    let (x, w, dy) = (a.x(0), a.x(1), a.dy());
    if a.node.ints("output_shape").is_some() || !matches!(a.node.str("auto_pad"), None | Some("NOTSET")) {
        return Err("it derives its pads from the shape of its output".into());
    }
    let group = group(a)?;
    let window = Window::of(&a.node, &w.dims()[2..], &dy.dims()[2..], &x.dims()[2..])?;
    a.give_with(0, || a.float("Conv", &[dy, w], &window.attrs(group), &x.dims()));
    a.give_with(1, || correlation(a, dy, x, &window, group));
    a.give_with(2, || bias(a));
    Ok(())
}

fn group(a: &Adjoint) -> Result<usize, String> {
    usize::try_from(a.node.int_or("group", 1)).ok().filter(|g| *g > 0).ok_or_else(|| "its group is below 1".into())
}

fn bias<'t>(a: &Adjoint<'t>) -> Var<'t> {
    let axes: Vec<usize> = (0..a.dy().rank()).filter(|i| *i != 1).collect();
    a.dy().sum(&axes).reshape(&a.x(2).dims())
}

/// `[Cs, Cw/group, k…]`: `small` `[N, Cs, positions…]` against what of `wide` `[N, Cw, spatial…]` meets each place of the kernel.
fn correlation<'t>(a: &Adjoint<'t>, wide: Var<'t>, small: Var<'t>, window: &Window, group: usize) -> Var<'t> {
    let (w, s) = (wide.dims(), small.dims());
    let (samples, channels, rows) = (w[0], w[1] / group, s[1] / group);
    let axes = window.kernel.len();
    let flanks = |pads: &[usize]| [0, 0].into_iter().chain(pads.iter().copied()).collect::<Vec<_>>();
    let wide = wide.pad(&flanks(&window.before), &flanks(&window.after));
    // [group, N, spatial…, C], in which a tap is a block of rows.
    let rows_last = |v: Var<'t>| {
        if group == 1 {
            let order: Vec<usize> = [0].into_iter().chain(2..2 + axes).chain([1]).collect();
            return v.transpose(&order);
        }
        let apart: Vec<usize> = [samples, group, channels].iter().chain(&v.dims()[2..]).copied().collect();
        let order: Vec<usize> = [1, 0].into_iter().chain(3..3 + axes).chain([2]).collect();
        v.reshape(&apart).transpose(&order)
    };
    let strided = window.strides.iter().any(|s| *s > 1);
    let turned = if strided { wide } else { rows_last(wide) };
    // [group, M, N·positions]
    let apart: Vec<usize> = [samples, group, rows].iter().chain(&s[2..]).copied().collect();
    let order: Vec<usize> = [1, 2, 0].into_iter().chain(3..3 + axes).collect();
    let depth = samples * s[2..].iter().product::<usize>();
    let small = small.reshape(&apart).transpose(&order).reshape(&[group, rows, depth]);
    let meets = |tap: &Vec<Cut>| {
        let around = |sizes: &[usize]| sizes.iter().map(|n| Cut::whole(*n)).collect::<Vec<_>>();
        let block = match strided {
            // A step over a copy is cheaper than one over all of it; tract fails to take steps behind some reshapes.
            true => rows_last(turned.slice(&[around(&w[..2]), tap.clone()].concat())),
            false if group == 1 => turned.slice(&[around(&[samples]), tap.clone(), around(&[channels])].concat()),
            false => turned.slice(&[around(&[group, samples]), tap.clone(), around(&[channels])].concat()),
        };
        small.matmul(block.reshape(&[group, depth, channels])).reshape(&[s[1], channels, 1])
    };
    let taps: Vec<Var> = window.taps().iter().map(meets).collect();
    let shape: Vec<usize> = [s[1], channels].iter().chain(&window.kernel).copied().collect();
    a.tape.concat(&taps, 2).reshape(&shape)
}
