//! Rounding to integers and back: the gradient passes straight through inside the range, and not outside.

use onnxpress::gradient::{Loss, Weights, differentiate};
use onnxpress::ir::{Tensor, text};
use onnxpress::runtime::{LoadOptions, RUNTIMES};

/// dL/dx for dL/dy = y − t with t = 0, or why there is none.
fn gradients(parameters: &str, x: &[f32]) -> Result<Vec<Vec<f32>>, String> {
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[{0}] x) => (float[{0}] y) <{parameters}> {{
            q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) y = Mul (d, d)
        }}",
        x.len()
    );
    let model = text::parse(&source).unwrap();
    let inputs = vec![("x".to_string(), Tensor::from_vec([x.len()], x.to_vec()))];
    let load = LoadOptions::for_inputs(&inputs);
    let loss = Loss::SquaredError { scales: Vec::new() };
    let gradient = differentiate(&model, &load, &loss, &["x".into()], Weights::Fed { long: true }).unwrap();
    let output = gradient.of[0].1.clone()?;
    let mut fed = inputs;
    fed.push((gradient.targets[0].input.clone(), Tensor::from_vec([x.len()], vec![0f32; x.len()])));
    let of = |runtime: &&dyn onnxpress::runtime::Runtime| {
        let found = runtime.load(&gradient.model, &gradient.load_options()).unwrap().run(&fed).unwrap();
        found.iter().find(|(name, _)| *name == output).unwrap().1.to_f32().unwrap().into_owned()
    };
    Ok(RUNTIMES.iter().filter(|r| r.present().is_ok()).map(of).collect())
}

#[test]
fn the_gradient_goes_straight_through_inside_the_range() {
    // y = d², L = ½·Σy², so dL/dd = 2·d³, d the rounded x: 0 … 2.55 in steps of 0.01, from −1.28 with the zero point in the middle.
    let x = [-2.0f32, -1.28, -0.5049, 0.0, 0.301, 1.27, 1.271, 5.0];
    let rounded = [-1.28f32, -1.28, -0.5, 0.0, 0.3, 1.27, 1.27, 1.27];
    let passes = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
    for (parameters, type_) in [("uint8 z = {128}", "u8"), ("int8 z = {0}", "s8")] {
        for found in gradients(&format!("float s = {{0.01}}, {parameters}"), &x).unwrap() {
            for i in 0..x.len() {
                let wanted = 2.0 * rounded[i].powi(3) * passes[i];
                assert!((found[i] - wanted).abs() < 1e-3, "{type_}: d/dx at {} is {}, not {wanted}", x[i], found[i]);
            }
        }
    }
}

#[test]
fn a_scale_for_each_channel_has_no_rule() {
    let why = gradients("float[2] s = {0.1, 0.2}, uint8[2] z = {0, 0}", &[1.0, 2.0]).unwrap_err();
    assert!(why.ends_with("its scale is not one constant number"), "{why}");
}
