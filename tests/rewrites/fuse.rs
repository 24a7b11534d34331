//! Decomposed operators.

mod activations;
mod moves;
mod normalizations;
mod pools;
mod reductions;

/// Types of x whose rank is 1 or more.
const DIMS: &[&str] = &["N", "N,3", "2,3,4", "N,3,W,5"];

/// A model in ONNX text syntax whose input and output are of dims `x` and `y`. `again` names a value that is read a second time, by
/// the graph's outputs, by a node, or by the branches of an If.
struct Source<'a> {
    opset: i64,
    x: &'a str,
    y: &'a str,
    constants: String,
    body: String,
    again: Option<(&'a str, Reader)>,
}

#[derive(Debug, Clone, Copy)]
enum Reader {
    Output,
    Node,
    Branch,
}

const READERS: &[Reader] = &[Reader::Output, Reader::Node, Reader::Branch];

impl Source<'_> {
    fn text(&self) -> String {
        let (output, more) = match self.again {
            None => (String::new(), String::new()),
            Some((value, Reader::Output)) => (format!(", float[] {value}"), String::new()),
            Some((value, Reader::Node)) => (", float[] again".into(), format!("again = Neg ({value})")),
            Some((value, Reader::Branch)) => (
                ", float[] again".into(),
                format!(
                    "again = If (yes) <then_branch: graph = t () => (then_y) {{ then_y = Neg ({value}) }},
                                       else_branch: graph = e () => (else_y) {{ else_y = Identity ({value}) }}>"
                ),
            ),
        };
        let yes = if matches!(self.again, Some((_, Reader::Branch))) { ", bool yes" } else { "" };
        let comma = if self.constants.is_empty() { "" } else { ", " };
        format!(
            "<ir_version: 10, opset_import: [\"\" : {}]>
             g (float[{}] x{yes}) => (float[{}] y{output}) <float unread = {{0}}{comma}{}> {{\n{}\n{more}\n}}",
            self.opset, self.x, self.y, self.constants, self.body
        )
    }
}

/// Numbers between −2 and 2 that differ, for an initializer.
fn numbers(count: usize) -> String {
    let number = |i: usize| format!("{}", ((i * 7 + 3) % 17) as f32 / 4.0 - 2.0 + 0.01);
    (0..count).map(number).collect::<Vec<_>>().join(",")
}

/// A reduction over `axes` in the form of the opset.
fn reduce(opset: i64, op_type: &str, out: &str, input: &str, axes: &[i64], keepdims: bool) -> String {
    let list: Vec<_> = axes.iter().map(i64::to_string).collect();
    let (list, keepdims) = (list.join(","), i64::from(keepdims));
    if opset >= if op_type == "ReduceSum" { 13 } else { 18 } {
        let count = axes.len();
        return format!(
            "{out}_axes = Constant <value = int64[{count}] {{{list}}}> ()
             {out} = {op_type} <keepdims = {keepdims}> ({input}, {out}_axes)"
        );
    }
    format!("{out} = {op_type} <axes = [{list}], keepdims = {keepdims}> ({input})")
}
