//! Convolutions.
//!
//! With the input's channels c, the output's m, positions p and kernel places k
//!
//! ```text
//! y[m, p] = Σ_k,c w[m, c, k]·x[c, p·s + k·d]
//! dx = transposed convolution of dy with w        dw[m, c, k] = Σ_n,p dy[m, p]·x[c, p·s + k·d]
//! ```
//!
//! The gradient of the weight is a convolution with dy for its kernel. One product of matrices for each place of the kernel
//! is up to twice as fast in ONNX Runtime, and makes graphs so long that tract takes minutes to load them: it is what a tape makes
//! that may be long, of many samples.

use super::tape::Cut;
use super::window::Window;
use super::{Adjoint, Var};
use crate::ir::AutoPad;

type Rule = Result<(), String>;

/// So many samples are worth a product for each place of the kernel.
const MANY: usize = 8;

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
    if a.node.ints("output_shape").is_some() || a.node.auto_pad() != AutoPad::Explicit {
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
///
/// That is a convolution again: samples are its channels, strides and dilations change places.
fn correlation<'t>(a: &Adjoint<'t>, wide: Var<'t>, small: Var<'t>, window: &Window, group: usize) -> Var<'t> {
    let (w, s) = (wide.dims(), small.dims());
    if a.tape.long && group == 1 && w[0] >= MANY {
        return by_place(a, wide, small, window);
    }
    let (samples, channels) = (w[0], w[1] / group);
    let axes = window.kernel.len();
    let swapped: Vec<usize> = [1, 0].into_iter().chain(2..2 + axes).collect();
    // [C, group·N, spatial…]
    let wide = if group == 1 {
        wide.transpose(&swapped)
    } else {
        let apart: Vec<usize> = [samples, group, channels].iter().chain(&w[2..]).copied().collect();
        let order: Vec<usize> = [2, 1, 0].into_iter().chain(3..3 + axes).collect();
        let joined: Vec<usize> = [channels, group * samples].iter().chain(&w[2..]).copied().collect();
        wide.reshape(&apart).transpose(&order).reshape(&joined)
    };
    let (kernel, strides) = (window.positions.clone(), window.dilations.clone());
    // Where no window reaches the end, the kernel's places go on behind the last.
    let beyond = |i: usize| window.kernel[i] + window.rest[i] / window.dilations[i];
    let places: Vec<usize> = [channels, s[1]].into_iter().chain((0..axes).map(beyond)).collect();
    let turned = Window { kernel, strides, dilations: window.strides.clone(), ..window.clone() };
    let met = a.tape.float("Conv", &[wide, small.transpose(&swapped)], &turned.attrs(group), &places);
    let kept: Vec<usize> = [channels, s[1]].iter().chain(&window.kernel).copied().collect();
    met.slice(&kept.into_iter().map(Cut::whole).collect::<Vec<_>>()).transpose(&swapped)
}

/// As [`correlation`] of one group: for each place of the kernel a product of matrices over samples and positions.
fn by_place<'t>(a: &Adjoint<'t>, wide: Var<'t>, small: Var<'t>, window: &Window) -> Var<'t> {
    let (w, s) = (wide.dims(), small.dims());
    let swapped: Vec<usize> = [1, 0].into_iter().chain(2..w.len()).collect();
    let around = |zeros: &[usize]| [&[0, 0], zeros].concat();
    let wide = wide.transpose(&swapped).pad(&around(&window.before), &around(&window.after));
    let met = w[0] * s[2..].iter().product::<usize>();
    let small = small.transpose(&swapped).reshape(&[s[1], met]);
    let product = |place: Vec<Cut>| {
        let cuts = [vec![Cut::whole(w[1]), Cut::whole(w[0])], place].concat();
        let part = wide.slice(&cuts).reshape(&[w[1], met]);
        let turned = [("transB", crate::ir::Attr::Int(1))];
        a.tape.float("Gemm", &[small, part], &turned, &[s[1], w[1]]).reshape(&[s[1], w[1], 1])
    };
    let products: Vec<Var> = window.taps().into_iter().map(product).collect();
    a.tape.concat(&products, 2).reshape(&[&[s[1], w[1]], &window.kernel[..]].concat())
}
