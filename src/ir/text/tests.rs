use super::*;
use crate::ir::{Attr, DType, Use};

fn same(text: &str) {
    let model = parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(print(&model, &PrintOptions::default()), text);
}

#[test]
fn prints_what_it_parsed() {
    same(
        r#"<
   ir_version: 8,
   opset_import: ["" : 17, "com.microsoft" : 1],
   producer_name: "a \"b\" \\ c",
   model_version: 3,
   metadata_props: ["k": "v", "l": ""]
>
agraph (float[N,4] x, float[2] d, seq(float[?,"a b"]) s, float t, map(int64, string[]) m) => (float[N,2] y)
   <float[4,2] w = {1,-2.5,3,1e-07,0.1,6,inf,nan},
    float[2] d = {1,2},
    int64 i = {-9223372036854775808},
    string[2] "s/1" = {"a","\""},
    float16[1] h = {15360},
    int4[3] p = {33,3},
    sparse_tensor(float[2,2]) z = {1: 0.5, 3: 2},
    sparse_tensor(float[2,2]) zz = {[0,1]: 0.5},
    float[N,2] g>
{
   ["/a/MatMul"] g = MatMul (x, w)
   [c] k, "" = com.microsoft.Thing:v2 <a: int = 1, b: floats = [1, 2.5], e: ints = [], n: string = "q"> (g, "", d)
   y = If (k) <then_branch: graph = then_g () => (float[N,2] r)
      <float q = {1}>
   {
      r = Add (g, q)
   }, else_branch: graph = "else-g" () => (o)
   {
      o = Constant <value: tensor = float[2,1] v = {1,2}> ()
   }>
   = Sink (y) <t: type_proto = optional(float[3]), m: graphs = [a (ax) => (ax)
   {
   }, b () => ()
   {
   }]>
}
"#,
    );
}

#[test]
fn functions_have_attributes_defaults_and_types() {
    same(
        r#"<
   ir_version: 10,
   opset_import: ["" : 20, "f" : 1]
>
g (float x) => (y)
{
   y = f.Double <k: float = 2> (x)
}
<
   domain: "f",
   overload: "o",
   opset_import: ["" : 20]
>
Double <k, m: int = 1> (a) => (b)
   <float t>
{
   t = Elu <alpha: float = @k> (a)
   b = Identity (t)
}
"#,
    );
}

#[test]
fn reads_what_the_reference_allows() {
    let text = r#"
# a comment
<ir_version: 8, opset_import: ["":17]> g (float[2] x = {1, 2}) => (y) <float[2] h> { # another
  h = Elu(x) <alpha = 1.0>  y = Clip<v = [1, 2]>(h,,x,)
}"#;
    let model = parse(text).unwrap();
    let main = model.graph(model.main());
    let [elu, clip] = main.nodes() else { panic!() };
    assert_eq!(model.node(*elu).attr("alpha"), Some(&Attr::Float(1.0)));
    assert_eq!(model.node(*clip).ints("v"), Some(&[1, 2][..]));
    let x = main.inputs()[0];
    assert_eq!(model.node(*clip).inputs()[1..], [None, Some(x)]);
    assert_eq!(model.uses(x).len(), 2);
    assert!(matches!(model.uses(x)[0], Use::Node { input: 0, .. }));
    assert_eq!(model.value(x).initializer().map(|t| (t.dtype(), t.len())), Some((DType::F32, 2)));
}

#[test]
fn nodes_are_put_in_execution_order() {
    let model = parse(r#"<opset_import: ["" : 17]> g (x) => (y) { y = Relu(h) h = Abs(x) }"#).unwrap();
    let ops: Vec<_> = model.all_nodes().iter().map(|n| model.node(*n).op_type.clone()).collect();
    assert_eq!(ops, ["Abs", "Relu"]);
}

#[test]
fn large_tensors_may_be_left_out() {
    let model = parse("g () => (w) <float[3] w = {1,2,3}, float[2] v = {1,2}> {}").unwrap();
    let text = print(&model, &PrintOptions { max_elements: Some(2) });
    assert!(text.contains("float[3] w = {...},\n    float[2] v = {1,2}>"), "{text}");
    assert_eq!(
        parse(&text).unwrap_err().to_string(),
        "5:5: the values of this tensor were left out when it was printed"
    );
}

#[test]
fn errors_name_line_and_column() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(error("g (x) => (y)\n{ y = Relu x }"), "2:12: expected `(`, found `x`");
    assert_eq!(error("g (x) => (y) { y = Relu(z) }"), "1:16: input 0 \"z\" of this Relu is made by nothing");
    assert_eq!(error("g (x) => (y) { }"), "1:11: graph output \"y\" is made by nothing");
    assert_eq!(error("g (x"), "1:5: expected `)`, found the end of the text");
    assert_eq!(error("g (x) => (x) <uint8[1] w = {256}> {}"), "1:29: `256` is not an unsigned 8-bit integer");
    assert_eq!(
        error("g (x) => (x) <uint8[3] w = {1, 2}> {}"),
        "1:15: a uint8 tensor of shape [3] needs 3 bytes of data, there are 2"
    );
    assert_eq!(
        error("g (x) => (x) <float[N] w = {}> {}"),
        "1:15: a tensor needs an element type and a shape of numbers"
    );
    assert_eq!(error("<ir: 8> g () => () {}"), "1:2: `ir` is no key of a model");
    assert_eq!(error("g (\"ü) => () {}"), "1:4: this string has no closing quote");
    assert_eq!(
        error("g (x) => (y) { y = Elu <a: int = 1.5> (x) }"),
        "1:34: attribute `a` is declared int but holds float"
    );
    assert_eq!(error("g (x) => (x) { x = Relu(x) }"), "1:16: value \"x\" is defined twice in one graph");
    assert_eq!(
        error("g (x) => (y) { y = Add(x, z) z = Relu(y) }"),
        "node \"y\" (Add): 2 nodes wait for each other in a cycle"
    );
    let deep = format!("g ({} x) => () {{}}", "seq(".repeat(100_000));
    assert!(error(&deep).contains("nests deeper"));
    assert_eq!(error("g (float[4000000000,4000000000,4000000000] x = {1}) => () {}").split(": a").next(), Some("1:4"));
}

#[test]
fn numbers_print_short_and_read_back() {
    use super::print_tensor::float;
    let cases = [(1.0f32, "1"), (0.1, "0.1"), (1e-7, "1e-07"), (3.4028235e38, "3.4028235e+38"), (-0.0, "-0")];
    for (v, text) in cases {
        assert_eq!(float(v), text);
        assert_eq!(text.parse::<f32>().unwrap().to_bits(), v.to_bits());
    }
    assert_eq!((float(f32::NAN), float(f64::NEG_INFINITY)), ("nan".into(), "-inf".into()));
}
