//! Values: new ones, their types and tensors.

use super::GraphEdit;
use crate::ir::model::{GraphId, ValueId};
use crate::ir::parts::{Origin, Value};
use crate::ir::shape::{TensorType, Type};
use crate::ir::tensor::{SparseTensor, Tensor};

impl GraphEdit<'_> {
    /// A value without origin, under exactly this name; give it one with an `add_…` or `insert`.
    pub fn new_value(&mut self, name: impl Into<String>, declared: Option<Type>) -> ValueId {
        let id = ValueId(self.model.values.len() as u32);
        let name = name.into();
        if let Some(names) = &mut self.names {
            names.insert(name.clone());
        }
        self.model.values.push(Some(Value {
            name,
            declared,
            inferred: None,
            origin: Origin::Detached,
            initializer: None,
            sparse: None,
            uses: Vec::new(),
            doc: None,
            metadata: Vec::new(),
        }));
        id
    }

    /// A value without origin, under a fresh name like `hint`.
    pub fn new_value_like(&mut self, hint: &str) -> ValueId {
        let name = self.fresh_name(hint);
        self.new_value(name, None)
    }

    /// What the file says of its type.
    pub fn set_declared(&mut self, value: ValueId, ty: Option<Type>) {
        self.value_mut(value).declared = ty;
    }

    /// What inference found; never written to the file.
    pub fn set_inferred(&mut self, value: ValueId, ty: Option<TensorType>) {
        self.value_mut(value).inferred = ty;
    }

    /// Its `doc_string` in the file.
    pub fn set_value_doc(&mut self, value: ValueId, doc: Option<String>) {
        self.value_mut(value).doc = doc;
    }

    /// Its `metadata_props` in the file.
    pub fn value_metadata(&mut self, value: ValueId) -> &mut crate::ir::tensor::Props {
        &mut self.value_mut(value).metadata
    }

    /// A new initializer of about this name.
    pub fn add_initializer(&mut self, graph: GraphId, hint: &str, tensor: Tensor) -> ValueId {
        let name = self.fresh_name(hint);
        let value = self.new_value(name, None);
        self.attach_initializer(graph, value, tensor);
        value
    }

    /// Gives `value` a tensor: an initializer, or the default where it is a graph input.
    pub fn attach_initializer(&mut self, graph: GraphId, value: ValueId, tensor: Tensor) {
        self.graph_mut(graph).initializers.push(value);
        let v = self.value_mut(value);
        v.initializer = Some(tensor);
        if v.origin == Origin::Detached {
            v.origin = Origin::Initializer(graph);
        }
    }

    /// As [`Self::attach_initializer`] of a sparse tensor.
    pub fn attach_sparse_initializer(&mut self, graph: GraphId, value: ValueId, tensor: SparseTensor) {
        self.graph_mut(graph).sparse_initializers.push(value);
        let v = self.value_mut(value);
        v.sparse = Some(tensor);
        if v.origin == Origin::Detached {
            v.origin = Origin::Initializer(graph);
        }
    }

    /// Replaces the tensor of an initializer; its readers see the new one.
    pub fn set_initializer(&mut self, value: ValueId, tensor: Tensor) {
        let v = self.value_mut(value);
        let declared = TensorType::new(tensor.dtype(), tensor.shape().iter().copied());
        if v.declared.is_some() {
            v.declared = Some(Type::tensor(&declared));
        }
        v.inferred = None;
        v.initializer = Some(tensor);
    }

    /// Puts another tensor in place of a constant, be it an initializer or what a Constant makes.
    pub fn set_constant(&mut self, value: ValueId, tensor: Tensor) {
        match self.model.producer(value) {
            Some(node) => self.set_attr(node, "value", tensor),
            None => self.set_initializer(value, tensor),
        }
    }

    /// Puts other floats in place of a constant, rounded to the type that it has ([`Tensor::saturated`]).
    pub fn set_floats(&mut self, value: ValueId, tensor: Tensor) {
        let dtype = self.model.constant(value).map_or(tensor.dtype(), Tensor::dtype);
        let rounded = tensor.saturated(dtype).unwrap_or(tensor);
        self.set_constant(value, rounded);
    }

    /// Stores a dense initializer as a sparse one.
    pub fn make_sparse(&mut self, value: ValueId, tensor: SparseTensor) {
        let Origin::Initializer(graph) = self.model.value(value).origin else { return };
        let g = self.graph_mut(graph);
        g.initializers.retain(|v| *v != value);
        g.sparse_initializers.push(value);
        let v = self.value_mut(value);
        v.initializer = None;
        v.sparse = Some(tensor);
    }

    /// Stores a sparse initializer as a dense one.
    pub fn make_dense(&mut self, value: ValueId, tensor: Tensor) {
        let Origin::Initializer(graph) = self.model.value(value).origin else { return };
        let g = self.graph_mut(graph);
        g.sparse_initializers.retain(|v| *v != value);
        g.initializers.push(value);
        let v = self.value_mut(value);
        v.sparse = None;
        v.initializer = Some(tensor);
    }

    /// Makes an input (with a default or not) the constant `tensor`.
    pub fn freeze_input(&mut self, graph: GraphId, value: ValueId, tensor: Tensor) {
        let g = self.graph_mut(graph);
        g.inputs.retain(|v| *v != value);
        if !g.initializers.contains(&value) {
            g.initializers.push(value);
        }
        self.value_mut(value).origin = Origin::Initializer(graph);
        self.set_initializer(value, tensor);
    }

    /// Makes an input with a default one that must be fed.
    pub fn drop_default(&mut self, graph: GraphId, value: ValueId) {
        self.graph_mut(graph).initializers.retain(|v| *v != value);
        self.value_mut(value).initializer = None;
    }

    /// Removes an initializer that nothing reads, unless it is a graph input's default; whether it did.
    pub fn remove_unread_initializer(&mut self, value: ValueId) -> bool {
        let own = matches!(self.model.value(value).origin, Origin::Initializer(_));
        let unread = own && self.model.uses(value).is_empty();
        if unread {
            self.remove_value(value);
        }
        unread
    }

    /// Removes the initializers of a graph that nothing reads.
    pub fn remove_unread_initializers(&mut self, graph: GraphId) {
        for value in self.model.graph(graph).initializers.clone() {
            self.remove_unread_initializer(value);
        }
    }

    /// Removes a value that nothing reads: an initializer or an orphan.
    pub fn remove_value(&mut self, value: ValueId) {
        debug_assert!(self.model.uses(value).is_empty(), "{} is still read", self.model.name(value));
        for g in self.model.graphs.iter_mut().flatten() {
            for list in [&mut g.initializers, &mut g.sparse_initializers, &mut g.value_info, &mut g.inputs] {
                list.retain(|v| *v != value);
            }
        }
        self.model.values[value.index()] = None;
    }
}
