//! The pass back over whole graphs.

use onnxpress::gradient::{Loss, Weights, differentiate};
use onnxpress::ir::text;
use onnxpress::runtime::LoadOptions;

use super::{Fill, check, one};

fn squared() -> Loss {
    Loss::SquaredError { scales: Vec::new() }
}

/// What is wanted of a model, and why there is none of it.
fn refusal(source: &str, weight: &str) -> Option<String> {
    let model = text::parse(source).unwrap();
    let gradient =
        differentiate(&model, &LoadOptions::default(), &squared(), &[weight.into()], Weights::Constant).unwrap();
    gradient.of.into_iter().next().unwrap().1.err()
}

#[test]
fn several_readers_are_added_up() {
    check(
        &one(
            "float[2,3] x, float[3,3] w",
            "float[] y",
            "a = MatMul(x, w) b = Relu(a) c = Add(a, b) d = Mul(c, x) y = MatMul(d, w)",
        ),
        Fill::Apart,
        9,
    )
    .unwrap();
}

#[test]
fn several_outputs_are_added_up() {
    check(&one("float[2,3] x, float[3,2] w", "float[] y, float[] z", "y = MatMul(x, w) z = Exp(x)"), Fill::Smooth, 9)
        .unwrap();
}

#[test]
fn an_operator_without_a_rule_is_named() {
    let source = one("float[3,3] x, float[3,3] w", "float[3,3] y", "h = Mul(x, w) [odd] y = Trilu(h)");
    assert_eq!(refusal(&source, "w").unwrap(), "node \"odd\" (Trilu): its operator has no rule for gradients");
}

#[test]
fn an_operator_that_no_weight_reaches_does_not_matter() {
    let source = one("float[3,3] x, float[3,3] w", "float[3,3] y", "d = Trilu(x) h = MatMul(x, w) y = Mul(h, d)");
    assert_eq!(refusal(&source, "w"), None);
    let unread = one("float[3,3] x, float[3,3] w, float[3] u", "float[] y", "h = Sin(u) y = MatMul(x, w)");
    assert_eq!(refusal(&unread, "u").unwrap(), "the loss does not depend on it");
}

#[test]
fn a_window_of_a_great_many_places_has_no_gradient() {
    let model = |op: &str| {
        let body = format!("h = Mul(x, w) [pool] y = {op}<kernel_shape = [300,300]>(h)");
        one("float[1,2,300,300] x, float[2,1,1] w", "float[1,2,1,1] y", &body)
    };
    let reason = "node \"pool\" (MaxPool): its window [300, 300] is too large";
    assert_eq!(refusal(&model("MaxPool"), "w").unwrap(), reason);
    assert_eq!(refusal(&model("AveragePool"), "w"), None);
}

#[test]
fn unwanted_gradients_cost_nothing() {
    let source =
        one("float[3,3] x, float[3,3] v, float[3,3] w", "float[] y", "a = MatMul(x, v) b = Relu(a) y = MatMul(b, w)");
    let model = text::parse(&source).unwrap();
    let nodes = |wanted: &str| {
        let g =
            differentiate(&model, &LoadOptions::default(), &squared(), &[wanted.into()], Weights::Constant).unwrap();
        g.model.operator_count()
    };
    // The last weight needs one product and a transposition behind the loss; the first goes through the whole graph.
    assert!(nodes("w") + 3 <= nodes("v"), "{} {}", nodes("w"), nodes("v"));
}
