//! Pooling over `[N, C, spatial…]`.
//!
//! The gradient of a window goes back to its places by a transposed convolution with a kernel of zeros and ones, channel by channel.

use super::tape::Cut;
use super::window::Window;
use super::{Adjoint, Var};
use crate::ir::Tensor;

type Rule = Result<(), String>;

/// Numbers of a kernel of zeros and ones; a file can declare any.
const MOST: usize = 1 << 25;

/// The window, whose gradient takes kernels for `parts` of its places from each channel.
fn window(a: &Adjoint, parts: fn(usize) -> usize) -> Result<Window, String> {
    let kernel = a.node.ints("kernel_shape").ok_or("it has no kernel_shape")?;
    let kernel: Vec<usize> = kernel.iter().map(|k| usize::try_from(*k).unwrap_or(0)).collect();
    let places = kernel.iter().try_fold(1usize, |n, k| n.checked_mul(*k)).unwrap_or(usize::MAX);
    let numbers = places.checked_mul(parts(places)).and_then(|n| n.checked_mul(a.x(0).dims()[1]));
    if numbers.is_none_or(|n| n > MOST) {
        return Err(format!("its window {kernel:?} is too large"));
    }
    Window::of(&a.node, &kernel, &a.x(0).dims()[2..], &a.y().dims()[2..])
}

/// `parts` values a channel, `[N, C·parts, positions…]`, each to the places where its kernel is 1, and added up there.
fn spread<'t>(a: &Adjoint<'t>, parts: Var<'t>, window: &Window, kernel: Vec<f32>) -> Var<'t> {
    let x = a.x(0).dims();
    let shape: Vec<usize> = [parts.dims()[1], 1].iter().chain(&window.kernel).copied().collect();
    let each = shape.iter().product::<usize>() / x[1] / kernel.len().max(1);
    let kernel = a.constant(Tensor::from_vec(shape, kernel.repeat(x[1] * each)));
    a.tape.float("ConvTranspose", &[parts, kernel], &window.transposed_attrs(x[1]), &x)
}

/// The first greatest element of each window takes its gradient.
pub fn max(a: &Adjoint) -> Rule {
    let window = window(a, |places| places)?;
    let (x, y) = (a.x(0).dims(), a.y().dims());
    let flanks = |pads: &[usize]| [0, 0].into_iter().chain(pads.iter().copied()).collect::<Vec<_>>();
    let (before, after) = (flanks(&window.before), flanks(&window.after));
    // Zeros around it may equal a maximum: they are marked.
    let values = a.x(0).pad(&before, &after);
    let ones = || a.number(1.0).expand(&x).pad(&before, &after);
    let real = before.iter().chain(&after).any(|p| *p > 0).then(ones);
    let mut free = a.number(1.0).expand(&y);
    let mut parts = Vec::new();
    for tap in window.taps() {
        let cuts: Vec<Cut> = [Cut::whole(x[0]), Cut::whole(x[1])].into_iter().chain(tap).collect();
        let mut takes = values.slice(&cuts).equals(a.y()) * free;
        if let Some(real) = real {
            takes = takes * real.slice(&cuts);
        }
        free = free - takes;
        let apart: Vec<usize> = [y[0], y[1], 1].iter().chain(&y[2..]).copied().collect();
        parts.push((takes * a.dy()).reshape(&apart));
    }
    let taps = parts.len();
    let joined: Vec<usize> = [y[0], y[1] * taps].iter().chain(&y[2..]).copied().collect();
    let parts = a.tape.concat(&parts, 2).reshape(&joined);
    // Part k goes to place k.
    let places = (0..taps * taps).map(|i| if i / taps == i % taps { 1.0 } else { 0.0 }).collect();
    a.give(0, spread(a, parts, &window, places));
    Ok(())
}

/// Each window's gradient in equal parts to its places.
pub fn average(a: &Adjoint) -> Rule {
    let window = window(a, |_| 1)?;
    let places = window.kernel.iter().product::<usize>();
    let share = a.dy() * a.constant(shares(a, &window));
    a.give(0, spread(a, share, &window, vec![1.0; places]));
    Ok(())
}

/// One over the number of elements in each window, `[positions…]`.
fn shares(a: &Adjoint, window: &Window) -> Tensor {
    let padding_counts = a.node.int_or("count_include_pad", 0) != 0;
    let x = a.x(0).dims();
    let pads = a.node.ints("pads").map(<[i64]>::to_vec);
    let along = |i: usize, position: usize| {
        let first = position * window.strides[i];
        let declared = pads.as_ref().and_then(|p| p.get(i + window.kernel.len())).map_or(0, |p| *p as usize);
        let (low, high) = match padding_counts {
            // What lies behind the declared padding, where the last window is a partial one, never counts.
            true => (0, window.before[i] + x[i + 2] + declared.max(if pads.is_none() { window.after[i] } else { 0 })),
            false => (window.before[i], window.before[i] + x[i + 2]),
        };
        let at = (0..window.kernel[i]).map(|k| first + k * window.dilations[i]);
        at.filter(|p| (low..high).contains(p)).count().max(1)
    };
    let mut counts = vec![1usize];
    for (i, positions) in window.positions.iter().enumerate() {
        counts = counts.iter().flat_map(|c| (0..*positions).map(move |p| c * along(i, p))).collect();
    }
    Tensor::from_vec(window.positions.clone(), counts.into_iter().map(|c| 1.0 / c as f32).collect::<Vec<_>>())
}

pub fn global_average(a: &Adjoint) -> Rule {
    let x = a.x(0).dims();
    let places = x[2..].iter().product::<usize>();
    a.give(0, (a.dy() * (1.0 / places as f32)).expand(&x));
    Ok(())
}

/// Equal maxima share the gradient.
pub fn global_max(a: &Adjoint) -> Rule {
    let axes: Vec<usize> = (2..a.x(0).rank()).collect();
    let mask = a.x(0).equals(a.y());
    a.give(0, mask * (a.dy() / mask.sum(&axes)));
    Ok(())
}
