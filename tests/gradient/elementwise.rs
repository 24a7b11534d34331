//! Elementwise arithmetic and its broadcasting.

use onnxpress::gradient::{Loss, Weights, differentiate};
use onnxpress::ir::{Tensor, text};
use onnxpress::runtime::{LoadOptions, RUNTIMES};
use proptest::prelude::*;

use super::{Fill, check, list, one};

/// Two shapes that broadcast: some axes of size 1, some missing in front.
fn pair() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    let axis = (1usize..4, 0u8..3);
    (proptest::collection::vec(axis, 1..4), 0usize..3, any::<bool>()).prop_map(|(axes, cut, swapped)| {
        let full: Vec<usize> = axes.iter().map(|(n, _)| *n).collect();
        let part: Vec<usize> =
            axes.iter().map(|(n, kind)| if *kind == 0 { 1 } else { *n }).skip(cut.min(axes.len() - 1)).collect();
        if swapped { (part, full) } else { (full, part) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn of_two_inputs((a, b) in pair(), op in 0usize..6, seed: u64) {
        let (op, fill) = [("Add", Fill::Smooth), ("Sub", Fill::Smooth), ("Mul", Fill::Smooth), ("Div", Fill::Positive), ("Pow", Fill::Positive), ("Max", Fill::Apart)][op];
        let (a, b) = (list(&a), list(&b));
        // Half a distance of the grid apart, so that none ties.
        let body = match op {
            "Max" => "c = Constant<value = float {0.025}>() h = Add(b, c) y = Max(a, h)".into(),
            _ => format!("y = {op}(a, b)"),
        };
        check(&one(&format!("float[{a}] a, float[{b}] b"), "float[] y", &body), fill, seed)?;
    }

    #[test]
    fn of_one_input(op in 0usize..12, n in 1usize..9, seed: u64) {
        let ops = ["Sqrt", "Exp", "Log", "Reciprocal", "Erf", "Neg", "Abs", "Sin", "Cos", "Floor", "Identity", "Sigmoid"];
        let fill = if op < 4 { Fill::Positive } else { Fill::Apart };
        // A sum with x: what has no gradient of its own is reached all the same.
        check(&one(&format!("float[2,{n}] x"), "float[] y", &format!("h = {}(x) y = Add(h, x)", ops[op])), fill, seed)?;
    }

    #[test]
    fn of_many_inputs(op in 0usize..4, seed: u64) {
        let op = ["Sum", "Mean", "Max", "Min"][op];
        let body = format!("i = Add(b, k) j = Add(c, l) y = {op}(a, i, j)");
        let constants = "k = Constant<value = float {0.0167}>() l = Constant<value = float {0.0333}>() ";
        check(&one("float[2,3] a, float[3] b, float[2,1] c", "float[] y", &format!("{constants}{body}")), Fill::Apart, seed)?;
    }

    #[test]
    fn of_a_choice((a, b) in pair(), seed: u64) {
        let (a, b) = (list(&a), list(&b));
        let body = "z = Constant<value = float {0}>() c = Greater(a, z) y = Where(c, b, a)";
        check(&one(&format!("float[{a}] a, float[{b}] b"), "float[] y", body), Fill::Apart, seed)?;
    }
}

/// A power of a constant exponent, as in decomposed normalization.
#[test]
fn of_a_constant_power() {
    for exponent in ["2", "3", "0.5"] {
        let fill = if exponent == "0.5" { Fill::Positive } else { Fill::Smooth };
        check(
            &one("float[3,4] x", "float[] y", &format!("p = Constant<value = float {{{exponent}}}>() y = Pow(x, p)")),
            fill,
            1,
        )
        .unwrap();
    }
}

/// Where a slope is infinite, what lies before it gets none rather than what is no number.
#[test]
fn of_poles() {
    for body in
        ["y = ReduceL2<axes = [1], keepdims = 1>(x)", "y = Sqrt(x)", "p = Constant<value = float {0}>() y = Pow(x, p)"]
    {
        let model = text::parse(&one("float[2,3] x", "float[] y", body)).unwrap();
        let x = ("x".to_string(), Tensor::from_vec([2, 3], vec![0f32, 0.0, 0.0, 4.0, 4.0, 4.0]));
        let load = LoadOptions::for_inputs(std::slice::from_ref(&x));
        let loss = Loss::SquaredError { scales: Vec::new() };
        let gradient = differentiate(&model, &load, &loss, &["x".into()], Weights::Fed { long: true }).unwrap();
        for runtime in RUNTIMES.iter().filter(|r| r.present().is_ok()) {
            let mut fed = vec![x.clone()];
            fed.extend(gradient.targets.iter().map(|t| {
                let count = t.dims.iter().product();
                (t.input.clone(), Tensor::from_vec(t.dims.clone(), vec![-1f32; count]))
            }));
            let made = runtime.load(&gradient.model, &gradient.load_options()).unwrap().run(&fed).unwrap();
            let of = gradient.of[0].1.as_ref().unwrap();
            let slopes = made.iter().find(|(name, _)| name == of).unwrap().1.to_f64().unwrap();
            assert_eq!(slopes[..3], [0.0; 3], "{body} in {}", runtime.name());
            assert!(slopes[3..].iter().all(|s| s.is_finite()), "{body} in {}: {slopes:?}", runtime.name());
        }
    }
}
