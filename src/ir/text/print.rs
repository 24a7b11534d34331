//! [`Model`] → text.

use super::print_tensor::{dense, float, sparse};
use super::{ATTRIBUTE_TYPES, is_identifier, is_type_word};
use crate::ir::shape::{DeclaredShape, Type, TypeKind};
use crate::ir::{Attr, DType, Dim, Function, GraphId, Model, NamedAttr, NodeId, OpsetImport, ValueId};

/// How much to print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrintOptions {
    /// Tensors of more elements print as `{...}`; `None` prints all of them.
    pub max_elements: Option<usize>,
}

/// The model as text, ending in a line break.
pub fn print(model: &Model, options: &PrintOptions) -> String {
    let mut p = Printer { model, options, out: String::new(), indent: 1 };
    p.header();
    p.graph(model.main(), model.graph(model.main()).name.as_deref().unwrap_or_default());
    p.out.push('\n');
    for f in model.functions() {
        p.function(f);
    }
    p.out
}

pub(super) struct Printer<'m> {
    model: &'m Model,
    pub options: &'m PrintOptions,
    pub out: String,
    indent: usize,
}

/// Writing to a `String` does not fail.
macro_rules! put {
    ($p:expr, $($arg:tt)*) => { std::fmt::Write::write_fmt(&mut $p.out, format_args!($($arg)*)).unwrap_or_default() };
}
pub(super) use put;

impl Printer<'_> {
    fn header(&mut self) {
        let meta = &self.model.meta;
        let imports = opsets(self.model.opset_imports());
        let mut lines = Vec::new();
        lines.extend(meta.ir_version.map(|v| format!("ir_version: {v}")));
        lines.push(format!("opset_import: {imports}"));
        let quoted_line = |key: &str, text: &Option<String>| text.as_ref().map(|t| format!("{key}: {}", quoted(t)));
        lines.extend(quoted_line("producer_name", &meta.producer_name));
        lines.extend(quoted_line("producer_version", &meta.producer_version));
        lines.extend(quoted_line("domain", &meta.domain));
        lines.extend(meta.model_version.map(|v| format!("model_version: {v}")));
        lines.extend(quoted_line("doc_string", &meta.doc));
        if !meta.metadata.is_empty() {
            let props: Vec<_> = meta.metadata.iter().map(|(k, v)| format!("{}: {}", quoted(k), quoted(v))).collect();
            lines.push(format!("metadata_props: [{}]", props.join(", ")));
        }
        put!(self, "<\n   {}\n>\n", lines.join(",\n   "));
    }

    fn function(&mut self, f: &Function) {
        put!(self, "<\n   domain: {},\n", quoted(&f.domain));
        if !f.overload.is_empty() {
            put!(self, "   overload: {},\n", quoted(&f.overload));
        }
        put!(self, "   opset_import: {}\n>\n{} ", opsets(&f.opset_imports), id(&f.name));
        let g = self.model.graph(f.body);
        if !f.attributes.is_empty() || !f.attribute_defaults.is_empty() {
            self.out.push('<');
            let plain = f.attributes.len();
            for i in 0..plain + f.attribute_defaults.len() {
                self.separate(i, ", ");
                match f.attributes.get(i) {
                    Some(name) => self.out.push_str(&id(name)),
                    None => self.attribute(&f.attribute_defaults[i - plain]),
                }
            }
            self.out.push_str("> ");
        }
        self.names(g.inputs().iter().map(|v| Some(*v)));
        self.out.push_str(" => ");
        self.names(g.outputs().iter().map(|v| Some(*v)));
        self.values(f.body);
        self.nodes(f.body);
        self.out.push('\n');
    }

    fn graph(&mut self, graph: GraphId, name: &str) {
        let g = self.model.graph(graph);
        put!(self, "{} (", id(name));
        for (i, v) in g.inputs().iter().enumerate() {
            self.separate(i, ", ");
            self.info(*v);
        }
        self.out.push_str(") => (");
        for (i, v) in g.outputs().iter().enumerate() {
            self.separate(i, ", ");
            self.info(*v);
        }
        self.out.push(')');
        self.values(graph);
        self.nodes(graph);
    }

    /// `<initializers, value_info>`, one a line.
    fn values(&mut self, graph: GraphId) {
        let g = self.model.graph(graph);
        let infos = g.value_info().iter().copied().filter(|v| self.model.value(*v).declared().is_some());
        let stored = g.initializers().len() + g.sparse_initializers().len();
        let all: Vec<ValueId> = g.initializers().iter().chain(g.sparse_initializers()).copied().chain(infos).collect();
        for (i, v) in all.iter().enumerate() {
            let value = self.model.value(*v);
            self.out.push_str(if i == 0 { "\n" } else { ",\n" });
            self.pad();
            self.out.push(if i == 0 { '<' } else { ' ' });
            match (value.initializer(), value.sparse_initializer()) {
                (Some(t), _) if i < stored => dense(self, t, Some(value.name())),
                (_, Some(t)) if i < stored => sparse(self, t, Some(value.name())),
                _ => self.info(*v),
            }
        }
        self.out.push_str(if all.is_empty() { "\n" } else { ">\n" });
    }

    fn nodes(&mut self, graph: GraphId) {
        self.indent -= 1;
        self.pad();
        self.indent += 1;
        self.out.push_str("{\n");
        for n in self.model.graph(graph).nodes() {
            self.node(*n);
        }
        self.indent -= 1;
        self.pad();
        self.indent += 1;
        self.out.push('}');
    }

    fn node(&mut self, node: NodeId) {
        let n = self.model.node(node);
        self.pad();
        if !n.name.is_empty() {
            put!(self, "[{}] ", id(&n.name));
        }
        self.operands(n.outputs().iter().copied());
        self.out.push_str(if n.outputs().is_empty() { "= " } else { " = " });
        if !n.raw_domain().is_empty() {
            let plain = n.raw_domain().split('.').all(is_identifier);
            put!(self, "{}.", if plain { n.raw_domain().to_string() } else { quoted(n.raw_domain()) });
        }
        self.out.push_str(&id(&n.op_type));
        if !n.overload.is_empty() {
            put!(self, ":{}", id(&n.overload));
        }
        self.out.push(' ');
        // Long ones, which hold graphs, go behind the inputs.
        let behind = n.subgraphs().next().is_some();
        if !behind && !n.attrs().is_empty() {
            self.attributes(n.attrs());
            self.out.push(' ');
        }
        self.names(n.inputs().iter().copied());
        if behind {
            self.out.push(' ');
            self.attributes(n.attrs());
        }
        self.out.push('\n');
    }

    fn attributes(&mut self, attrs: &[NamedAttr]) {
        self.out.push('<');
        for (i, a) in attrs.iter().enumerate() {
            self.separate(i, ", ");
            self.attribute(a);
        }
        self.out.push('>');
    }

    fn attribute(&mut self, a: &NamedAttr) {
        let code = kind(&a.value);
        let name = ATTRIBUTE_TYPES.iter().find(|(c, _)| *c == code).map_or("undefined", |(_, n)| n);
        put!(self, "{}: {name} = ", id(&a.name));
        self.indent += 1;
        match &a.value {
            Attr::Ref { name, .. } => {
                put!(self, "@{}", id(name));
            }
            Attr::Float(v) => self.out.push_str(&float(*v)),
            Attr::Int(v) => {
                put!(self, "{v}");
            }
            Attr::String(v) => self.out.push_str(&quoted(&String::from_utf8_lossy(v))),
            Attr::Tensor(t) => dense(self, t, t.name.as_deref()),
            Attr::SparseTensor(t) => sparse(self, t, None),
            Attr::Type(t) => self.out.push_str(&type_text(t)),
            Attr::Graph(g) => self.nested(*g),
            Attr::Floats(v) => self.list(v, |p, v| p.out.push_str(&float(*v))),
            Attr::Ints(v) => self.list(v, |p, v| {
                put!(p, "{v}");
            }),
            Attr::Strings(v) => self.list(v, |p, v| p.out.push_str(&quoted(&String::from_utf8_lossy(v)))),
            Attr::Tensors(v) => self.list(v, |p, t| dense(p, t, t.name.as_deref())),
            Attr::SparseTensors(v) => self.list(v, |p, t| sparse(p, t, None)),
            Attr::Types(v) => self.list(v, |p, t| p.out.push_str(&type_text(t))),
            Attr::Graphs(v) => self.list(v, |p, g| p.nested(*g)),
        }
        self.indent -= 1;
    }

    fn nested(&mut self, graph: GraphId) {
        self.graph(graph, self.model.graph(graph).name.as_deref().unwrap_or_default());
    }

    fn list<T>(&mut self, items: &[T], mut print: impl FnMut(&mut Self, &T)) {
        self.out.push('[');
        for (i, item) in items.iter().enumerate() {
            self.separate(i, ", ");
            print(self, item);
        }
        self.out.push(']');
    }

    fn info(&mut self, v: ValueId) {
        let value = self.model.value(v);
        let ty = value.declared().map(type_text).filter(|t| !t.is_empty());
        if let Some(ty) = ty {
            put!(self, "{ty} ");
        }
        self.out.push_str(&id(value.name()));
    }

    fn names(&mut self, values: impl Iterator<Item = Option<ValueId>>) {
        self.out.push('(');
        self.operands(values);
        self.out.push(')');
    }

    fn operands(&mut self, values: impl Iterator<Item = Option<ValueId>>) {
        for (i, v) in values.enumerate() {
            self.separate(i, ", ");
            let name = v.map_or("\"\"".to_string(), |v| id(self.model.name(v)));
            self.out.push_str(&name);
        }
    }

    pub fn separate(&mut self, index: usize, separator: &str) {
        if index > 0 {
            self.out.push_str(separator);
        }
    }

    fn pad(&mut self) {
        (0..self.indent).for_each(|_| self.out.push_str("   "));
    }
}

fn kind(value: &Attr) -> i32 {
    match value {
        Attr::Float(_) => 1,
        Attr::Int(_) => 2,
        Attr::String(_) => 3,
        Attr::Tensor(_) => 4,
        Attr::Graph(_) => 5,
        Attr::Floats(_) => 6,
        Attr::Ints(_) => 7,
        Attr::Strings(_) => 8,
        Attr::Tensors(_) => 9,
        Attr::Graphs(_) => 10,
        Attr::SparseTensor(_) => 11,
        Attr::SparseTensors(_) => 12,
        Attr::Type(_) => 13,
        Attr::Types(_) => 14,
        Attr::Ref { kind, .. } => *kind,
    }
}

fn opsets(imports: &[OpsetImport]) -> String {
    let each: Vec<_> = imports.iter().map(|o| format!("{} : {}", quoted(&o.domain), o.version)).collect();
    format!("[{}]", each.join(", "))
}

/// A name as it is where it is an identifier, else in quotes.
pub(super) fn id(name: &str) -> String {
    if is_identifier(name) && !is_type_word(name) { name.to_string() } else { quoted(name) }
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The name of an element type; one that was not given, or that the standard does not define, is `undefined`.
fn elem(code: Option<i32>) -> &'static str {
    code.and_then(DType::from_code).map_or("undefined", DType::name)
}

/// Empty where nothing is said.
fn type_text(t: &Type) -> String {
    let inner = |t: &Option<Box<Type>>| t.as_deref().map(type_text).filter(|t| !t.is_empty());
    let nested = |t: &Option<Box<Type>>| inner(t).unwrap_or_else(|| "undefined[]".to_string());
    match &t.kind {
        TypeKind::Tensor { elem: e, shape } => format!("{}{}", elem(*e), shape_text(shape.as_ref())),
        TypeKind::SparseTensor { elem: e, shape } => {
            format!("sparse_tensor({}{})", elem(*e), shape_text(shape.as_ref()))
        }
        TypeKind::Sequence(t) => format!("seq({})", nested(t)),
        TypeKind::Optional(t) => format!("optional({})", nested(t)),
        TypeKind::Map { key, value } => format!("map({}, {})", elem(*key), nested(value)),
        TypeKind::Opaque { domain, name } => {
            let domain = domain.as_deref().filter(|d| !d.is_empty()).map(|d| format!("{d},"));
            format!("opaque({}{})", domain.unwrap_or_default(), name.as_deref().unwrap_or_default())
        }
        TypeKind::Unset => String::new(),
    }
}

fn shape_text(shape: Option<&DeclaredShape>) -> String {
    let Some(shape) = shape else { return "[]".to_string() };
    if shape.dims.is_empty() {
        return String::new();
    }
    let dims: Vec<_> = shape
        .dims
        .iter()
        .map(|d| match d {
            Dim::Symbol(s) if !is_identifier(s) => quoted(s),
            d => d.to_string(),
        })
        .collect();
    format!("[{}]", dims.join(","))
}
