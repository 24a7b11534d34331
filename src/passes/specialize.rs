//! Fixes what a deployment knows beforehand, before anything is simplified: sizes and values of inputs, and the part wanted.
//!
//! ```text
//! --shape input=1,512        input: float[N,T]      ─►  input: float[1,512]        and T of other inputs is 512, too
//! --freeze sr=16000          input sr: int64        ─►  initializer sr = 16000
//! --outputs h                … ─► h ─► … ─► y       ─►  … ─► h
//! --inputs h                 x ─► … ─► h ─► … ─► y  ─►  h ─► … ─► y
//! ```
//!
//! Shapes that the file declares inside may hold symbols of the sizes that are fixed now: they are dropped, and found again
//! by inference. What follows from constants (shapes, decided branches) is then folded by the passes.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::ir::tensor::element_count;
use crate::ir::{Dim, GraphEdit, Model, Tensor, TensorType, Type, ValueId};
use crate::ops::from_i64;

use super::support::from_f64;

/// What is fixed. Names are those of inputs, of `inputs` and `outputs` those of any value of the main graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specialize {
    /// Sizes of inputs; −1 keeps the declared one.
    pub shapes: Vec<(String, Vec<i64>)>,
    /// Values of inputs, as text: one number for all elements, or as many as there are, with commas.
    pub freeze: Vec<(String, String)>,
    /// Values that are fed instead of computed; none: the inputs stay.
    pub inputs: Vec<String>,
    /// Values that are the outputs now; none: the outputs stay.
    pub outputs: Vec<String>,
}

/// Elements of an input that becomes a constant, at most.
const FROZEN: usize = 16 << 20;

/// Fixes in `model` what `wanted` says.
///
/// # Errors
/// Usage, for names, sizes and values that do not fit the model.
pub fn specialize(model: &mut Model, wanted: &Specialize) -> Result<()> {
    if *wanted == Specialize::default() {
        return Ok(());
    }
    let mut edit = GraphEdit::new(model);
    let main = edit.main();
    if !wanted.outputs.is_empty() {
        let values = wanted.outputs.iter().map(|name| named(&edit, name)).collect::<Result<Vec<_>>>()?;
        edit.clear_graph_outputs(main);
        values.into_iter().for_each(|v| edit.add_graph_output(main, v));
    }
    for name in &wanted.inputs {
        let value = named(&edit, name)?;
        feed(&mut edit, value);
    }
    if !wanted.inputs.is_empty() || !wanted.outputs.is_empty() {
        edit.remove_unread_nodes(main);
        edit.drop_unread_inputs(main);
    }
    let outputs = edit.graph(main).outputs().to_vec();
    let declared: Vec<_> =
        outputs.into_iter().filter_map(|v| Some((v, edit.value(v).declared()?.as_tensor()?))).collect();
    drop_shapes(&mut edit);
    for (output, declared) in declared {
        // What has a name may have a size by now.
        let open = |d: Dim| d.known().map_or(Dim::Unknown, Dim::Known);
        let shape = declared.shape.map(|dims| dims.into_iter().map(open).collect());
        edit.set_declared(output, declared.dtype.map(|dtype| Type::tensor(&TensorType { dtype: Some(dtype), shape })));
    }
    let mut named = BTreeMap::new();
    for (name, sizes) in &wanted.shapes {
        let input = input(&edit, name)?;
        let declared = edit.tensor_type(input);
        let ty = sized(&declared, name, sizes)?;
        let both = declared.shape.iter().flatten().zip(ty.shape.iter().flatten());
        for (was, is) in both {
            let (Dim::Symbol(name), Some(size)) = (was, is.known()) else { continue };
            // Of two sizes that are said outright neither is that of others.
            let same = |n: &mut Option<i64>| *n = n.filter(|n| *n == size);
            named.entry(name.clone()).and_modify(same).or_insert(Some(size));
        }
        edit.set_declared(input, Some(Type::tensor(&ty)));
    }
    spread(&mut edit, &named);
    for (name, text) in &wanted.freeze {
        let input = input(&edit, name)?;
        let value = value(&edit.tensor_type(input), name, text)?;
        edit.freeze_input(main, input, value);
    }
    Ok(())
}

/// Declares of the outputs what inference knows now, so that the file says their shapes again.
pub fn declare_outputs(model: &mut Model) {
    let mut edit = GraphEdit::new(model);
    crate::analysis::infer(&mut edit);
    for output in edit.graph(edit.main()).outputs().to_vec() {
        let ty = crate::analysis::declarable(&edit, output);
        if ty.dtype.is_some() {
            edit.set_declared(output, Some(Type::tensor(&ty)));
        }
    }
}

/// The value of that name in the main graph.
fn named(model: &Model, name: &str) -> Result<ValueId> {
    let graph = model.graph(model.main());
    let made = graph.nodes().iter().flat_map(|n| model.node(*n).outputs().iter().flatten());
    let mut values = graph.inputs().iter().chain(made);
    values.find(|v| model.name(**v) == name).copied().ok_or_else(|| {
        Error::usage(format!(
            "the main graph has no value \"{name}\" (names are case-sensitive; inspect lists inputs and outputs)"
        ))
    })
}

/// The input of that name, with a default or without.
fn input(model: &Model, name: &str) -> Result<ValueId> {
    let inputs = model.graph(model.main()).inputs();
    inputs.iter().find(|v| model.name(**v) == name).copied().ok_or_else(|| {
        let names: Vec<_> = inputs.iter().map(|v| model.name(*v)).collect();
        Error::usage(format!("there is no input \"{name}\"; there are {}", names.join(", ")))
    })
}

/// Makes `value` an input; what computed it is dropped if nothing else needs it.
fn feed(edit: &mut GraphEdit, value: ValueId) {
    let Some(producer) = edit.producer(value) else { return };
    let slot = edit.node(producer).outputs().iter().position(|o| *o == Some(value));
    let ty = edit.tensor_type(value);
    let Some(slot) = slot else { return };
    edit.detach_output(producer, slot);
    edit.add_graph_input(edit.main(), value);
    edit.set_declared(value, Some(Type::tensor(&ty)));
}

/// Keeps of the declared types of all tensors but inputs the element type.
pub(crate) fn drop_shapes(edit: &mut GraphEdit) {
    let inputs = edit.graph(edit.main()).inputs().to_vec();
    for graph in edit.graphs_under(edit.main()) {
        let g = edit.graph(graph);
        let mut values: Vec<ValueId> = g.value_info().iter().chain(g.outputs()).copied().collect();
        values.extend(g.nodes().iter().flat_map(|n| edit.node(*n).outputs().iter().flatten()));
        for value in values.into_iter().filter(|v| !inputs.contains(v)) {
            edit.set_inferred(value, None);
            let Some(declared) = edit.value(value).declared().and_then(Type::as_tensor) else { continue };
            let bare = declared.dtype.map(|dtype| Type::tensor(&TensorType { dtype: Some(dtype), shape: None }));
            edit.set_declared(value, bare);
        }
    }
}

/// The declared type with the sizes that are given.
fn sized(declared: &TensorType, name: &str, sizes: &[i64]) -> Result<TensorType> {
    let refused = |why: String| Error::usage(format!("--shape {name}: the model declares {declared}, {why}"));
    let Some(shape) = &declared.shape else {
        let dims = sizes.iter().map(|n| if *n < 0 { Dim::Unknown } else { Dim::Known(*n) }).collect();
        return Ok(TensorType { shape: Some(dims), ..declared.clone() });
    };
    if shape.len() != sizes.len() {
        return Err(refused(format!("{} sizes are given", sizes.len())));
    }
    let dim = |(dim, size): (&Dim, &i64)| match (dim.known(), *size) {
        (_, size) if size < 0 => Ok(dim.clone()),
        (Some(n), size) if n != size => Err(refused(format!("{size} is given where it has {n}"))),
        (_, size) => Ok(Dim::Known(size)),
    };
    let dims = shape.iter().zip(sizes).map(dim).collect::<Result<Vec<_>>>()?;
    Ok(TensorType { shape: Some(dims), ..declared.clone() })
}

/// Gives the inputs the sizes that go by these names.
fn spread(edit: &mut GraphEdit, named: &BTreeMap<String, Option<i64>>) {
    let size = |dim: Dim| match &dim {
        Dim::Symbol(name) => named.get(name).copied().flatten().map_or(dim, Dim::Known),
        _ => dim,
    };
    for v in edit.graph(edit.main()).inputs().to_vec() {
        let ty = edit.tensor_type(v);
        let Some(shape) = ty.shape.filter(|_| !named.is_empty()) else { continue };
        let ty = TensorType { shape: Some(shape.into_iter().map(size).collect()), ..ty };
        edit.set_declared(v, Some(Type::tensor(&ty)));
    }
}

/// The tensor that `text` says, of the type of the input.
fn value(declared: &TensorType, name: &str, text: &str) -> Result<Tensor> {
    let refused = |why: &str| Error::usage(format!("--freeze {name}={text}: {why}; the model declares {declared}"));
    let dtype = declared.dtype.ok_or_else(|| refused("its type is unknown"))?;
    let words: Vec<&str> = text.trim_matches(['[', ']']).split(',').map(str::trim).collect();
    let shape = match (declared.known_shape(), declared.rank()) {
        (Some(shape), _) => shape,
        (None, Some(1)) => vec![words.len()],
        (None, None) if words.len() == 1 => vec![],
        _ => return Err(refused("its sizes are open: fix them by --shape")),
    };
    let count =
        element_count(&shape).filter(|n| *n <= FROZEN).ok_or_else(|| refused("that is too large a constant"))?;
    let words = match words.len() {
        1 => vec![words[0]; count],
        n if n == count => words,
        n => return Err(refused(&format!("{n} values for {count} elements"))),
    };
    let integers = || {
        let number = |w: &&str| match *w {
            "true" => Some(1),
            "false" => Some(0),
            w => w.parse::<i64>().ok(),
        };
        words.iter().map(number).collect::<Option<Vec<i64>>>()
    };
    let made = if dtype.is_float() {
        let floats = words.iter().map(|w| w.parse::<f64>().ok()).collect::<Option<Vec<f64>>>();
        floats.and_then(|v| from_f64(dtype, &shape, &v))
    } else {
        integers().and_then(|v| from_i64(dtype, &shape, v))
    };
    made.ok_or_else(|| refused("that is no value of its type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{DType, text};

    fn model() -> Model {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]>
            g (float[N,4] x, int64 k, bool[2] flags) => (float[N,4] y)
            { h = Relu (x)  i = Sigmoid (h)  f = Cast <to = 1> (k)  y = Mul (i, f) }";
        text::parse(source).unwrap()
    }

    fn specialized(wanted: Specialize) -> Result<Model> {
        let mut m = model();
        specialize(&mut m, &wanted)?;
        declare_outputs(&mut m);
        crate::ir::verify(&m).unwrap();
        Ok(m)
    }

    fn pair<T>(name: &str, value: T) -> Vec<(String, T)> {
        vec![(name.to_owned(), value)]
    }

    #[test]
    fn sizes_and_values_become_fixed() {
        let m = specialized(Specialize {
            shapes: pair("x", vec![3, -1]),
            freeze: pair("k", "7".into()),
            ..Specialize::default()
        })
        .unwrap();
        let main = m.graph(m.main());
        assert_eq!(m.tensor_type(main.inputs()[0]).known_shape(), Some(vec![3, 4]));
        assert_eq!(m.tensor_type(main.outputs()[0]).to_string(), "float[3,4]");
        assert_eq!(main.inputs().len(), 2);
        let k = m.constant(main.initializers()[0]).unwrap();
        assert_eq!((k.to_i64().unwrap(), k.dtype()), (vec![7], DType::I64));
    }

    #[test]
    fn a_part_is_cut_out() {
        let m = specialized(Specialize { inputs: vec!["h".into()], outputs: vec!["i".into()], ..Default::default() })
            .unwrap();
        let main = m.graph(m.main());
        let names = |vs: &[ValueId]| vs.iter().map(|v| m.name(*v).to_owned()).collect::<Vec<_>>();
        assert_eq!((names(main.inputs()), names(main.outputs())), (vec!["h".to_owned()], vec!["i".to_owned()]));
        assert_eq!(m.operator_count(), 1);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let said = |wanted: Specialize| specialized(wanted).unwrap_err().to_string();
        assert_eq!(
            said(Specialize { shapes: pair("x", vec![3, 5]), ..Default::default() }),
            "--shape x: the model declares float[N,4], 5 is given where it has 4"
        );
        assert_eq!(
            said(Specialize { shapes: pair("z", vec![3]), ..Default::default() }),
            "there is no input \"z\"; there are x, k, flags"
        );
        let large = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[1099511627776,1099511627776] x) => (float[N] y) { y = Relu (x) }";
        let freeze_large = Specialize { freeze: pair("x", "1".into()), ..Default::default() };
        let error = specialize(&mut text::parse(large).unwrap(), &freeze_large).unwrap_err();
        assert!(error.to_string().starts_with("--freeze x=1: that is too large a constant"), "{error}");
        let freeze =
            |name: &str, text: &str| said(Specialize { freeze: pair(name, text.into()), ..Default::default() });
        assert_eq!(freeze("k", "1.5"), "--freeze k=1.5: that is no value of its type; the model declares int64");
        assert_eq!(
            freeze("flags", "1,0,1"),
            "--freeze flags=1,0,1: 3 values for 2 elements; the model declares bool[2]"
        );
        assert_eq!(
            freeze("x", "0"),
            "--freeze x=0: its sizes are open: fix them by --shape; the model declares float[N,4]"
        );
        assert!(
            said(Specialize { outputs: vec!["q".into()], ..Default::default() })
                .starts_with("the main graph has no value \"q\"")
        );
    }
}
