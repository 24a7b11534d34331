//! The outputs of a model that can be read: its tensors.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::ir::shape::TypeKind;
use crate::ir::{GraphEdit, Model, ValueId};

/// Outputs that the model declares to be no tensors but sequences or maps, as converters of scikit-learn write the probabilities of classes.
pub fn unreadable(model: &Model) -> Vec<ValueId> {
    let other = |v: &ValueId| {
        let kind = model.value(*v).declared().map(|ty| &ty.kind);
        matches!(
            kind,
            Some(TypeKind::Sequence(_) | TypeKind::Optional(_) | TypeKind::Map { .. } | TypeKind::Opaque { .. })
        )
    };
    model.graph(model.main()).outputs().iter().copied().filter(other).collect()
}

/// The model without those, and without what makes nothing else.
///
/// # Errors
/// Runtime, where no output is left.
pub(super) fn readable(model: &Model) -> Result<Cow<'_, Model>> {
    let unreadable = unreadable(model);
    let Some(first) = unreadable.first() else { return Ok(Cow::Borrowed(model)) };
    let main = model.main();
    let left: Vec<ValueId> = model.graph(main).outputs().iter().copied().filter(|v| !unreadable.contains(v)).collect();
    if left.is_empty() {
        let name = model.name(*first);
        let how = "simplify --outputs NAME makes what is before it an output";
        return Err(Error::runtime(format!("output \"{name}\" is no tensor, and there is no other to be read: {how}")));
    }
    let mut model = model.clone();
    GraphEdit::new(&mut model).keep_outputs(main, &left);
    Ok(Cow::Owned(model))
}

/// `taps` without those that went with them, from `model` to what is `left`.
pub(super) fn still_there(model: &Model, left: &Model, taps: &[String]) -> Vec<String> {
    fn made(m: &Model) -> HashSet<&str> {
        m.all_nodes().into_iter().flat_map(|n| m.node(n).outputs().iter().flatten()).map(|v| m.name(*v)).collect()
    }
    let (had, has) = (made(model), made(left));
    taps.iter().filter(|tap| !had.contains(tap.as_str()) || has.contains(tap.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn maps_are_left_out_with_what_makes_them() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 1]>
            g (float[N, 2] x) => (float[N, 2] y, seq(map(int64, float)) z) { y = Relu (x) z = ai.onnx.ml.ZipMap (y) }"#;
        let model = text::parse(source).unwrap();
        let left = readable(&model).unwrap();
        let names: Vec<&str> = left.graph(left.main()).outputs().iter().map(|v| left.name(*v)).collect();
        assert_eq!((names, left.all_nodes().len()), (vec!["y"], 1));
        let taps = ["y", "z", "w"].map(String::from);
        assert_eq!(still_there(&model, &left, &taps), ["y", "w"], "what there never was is a mistake");
    }
}
