"""How does a trained model become an ONNX graph that needs none of the library it was trained with?

Every graph of a table has the same face: inputs `numeric` float32 [n, p] (NaN is missing) and `codes` int64 [n, q] (0
unseen, 1 missing, 2.. levels), output `logit` float32 [n], with n free and p or q possibly 0. `export_module` writes
any other.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    checker,
    compose,
    helper,
    inliner,
    numpy_helper,
    parser,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

# The oldest pair that the torch exporter writes without converting and that every operator used here exists in.
OPSET = 18
TREES_OPSET = 3  # of the domain ai.onnx.ml
IR_VERSION = 10  # understood since ONNX Runtime 1.20


def assemble(
    body: Sequence[str],
    arrays: Mapping[str, npt.NDArray[np.generic]],
    *,
    p: int,
    q: int,
    attributes: Mapping[str, Sequence[AttributeProto]] | None = None,
) -> ModelProto:
    """A checked model from lines of ONNX text, which read `numeric`, `codes` and the `arrays` and write `logit`.

    attributes: too long for text, by the name of the value that their node writes.

    >>> half = {"half": np.array([0.5], np.float32), "last": np.array([1])}
    >>> [node.op_type for node in assemble(["x = Mul (numeric, half)", "logit = ReduceSum <keepdims = 0> (x, last)"],
    ...                                    half, p=2, q=0).graph.node]
    ['Mul', 'ReduceSum']
    """
    face = f"(float[n, {p}] numeric, int64[n, {q}] codes) => (float[n] logit)"
    graph = parser.parse_graph(f"model {face} {{\n" + "\n".join(body) + "\n}")
    for node in graph.node:
        node.attribute.extend((attributes or {}).get(node.output[0], ()))
    for name, array in arrays.items():
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    return model_of(graph)


def average(graphs: Sequence[ModelProto]) -> ModelProto:
    """One model whose log-odds are the mean of the graphs' log-odds.

    Raises ValueError when the graphs' inputs differ or when one was written for another opset.
    """
    if len({_face(graph) for graph in graphs}) != 1:
        raise ValueError(f"{len(graphs)} graphs: expected at least one, all on the same inputs")
    merged = GraphProto(name="average")
    merged.input.extend(graphs[0].graph.input)
    merged.output.extend(graphs[0].graph.output)
    for i, graph in enumerate(graphs):
        member = compose.add_prefix(graph, f"m{i}_", rename_inputs=False).graph
        merged.node.extend(member.node)
        merged.initializer.extend(member.initializer)
    merged.node.append(helper.make_node("Mean", [f"m{i}_logit" for i in range(len(graphs))], ["logit"]))
    return model_of(merged)


def chain(graphs: Sequence[ModelProto]) -> ModelProto:
    """One model that gives each graph what those before it found under the names of its inputs; the last one's outputs.

    Raises ValueError for an input of a later graph that nothing before it found.
    """
    merged = GraphProto(name="chain")
    merged.input.extend(graphs[0].graph.input)
    merged.output.extend(graphs[-1].graph.output)
    known = {value.name: value.name for value in graphs[0].graph.input}
    for i, graph in enumerate(graphs):
        missing = [value.name for value in graph.graph.input if value.name not in known]
        if missing:
            raise ValueError(f"graph {i}: nothing before it finds {', '.join(missing)}")
        last = i == len(graphs) - 1
        part = compose.add_prefix(graph, f"c{i}_", rename_inputs=False, rename_outputs=not last).graph
        for node in part.node:
            node.input[:] = [known.get(name, name) for name in node.input]
        merged.node.extend(part.node)
        merged.initializer.extend(part.initializer)
        known |= {before.name: after.name for before, after in zip(graph.graph.output, part.output, strict=True)}
    return model_of(merged)


def export_torch(module: nn.Module, *, p: int, q: int) -> ModelProto:
    """The graph of a torch module `module(numeric, codes) -> logit [n]`, in evaluation mode, with a free n."""
    import torch  # here because the import takes seconds and no other graph needs it

    face = {"numeric": torch.zeros(2, p), "codes": torch.zeros(2, q, dtype=torch.int64)}
    return export_module(module, face, output="logit")


def export_module(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    output: str | Sequence[str],
    free: Mapping[str, Mapping[int, str]] | None = None,
) -> ModelProto:
    """The graph of any torch module `module(*inputs) -> output`, in evaluation mode, with a free number of rows n.

    inputs: a name and an example [2 or more, ...] of each, all with as many rows; what follows the rows (channels,
    steps, pixels) keeps the example's sizes. output: the name of the one tensor [n, ...] that comes back, or those of a
    tuple. free: of an input, axes after the rows whose size is free too, with a name for each.
    Raises ValueError for examples of fewer rows: with a single one torch would take the 1 for a fixed size.
    """
    import torch

    rows = [len(example) for example in inputs.values()]
    if len(set(rows)) != 1 or min(rows) < 2:
        raise ValueError(f"examples of {rows} rows: expected the same number for each input, 2 or more")
    names = [output] if isinstance(output, str) else list(output)
    axes = {name: {0: "n", **(free or {}).get(name, {})} for name in inputs}
    sizes = {name: torch.export.Dim(name) for name in {label for of in axes.values() for label in of.values()}}
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    was_training = module.training
    module.eval()
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter reports its own deprecations
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=names,
                dynamic_shapes=tuple({axis: sizes[label] for axis, label in axes[name].items()} for name in inputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
        module.train(was_training)
    assert program is not None and program.model_proto.opset_import[0].version == OPSET
    graph = inliner.inline_local_functions(program.model_proto).graph
    for value in graph.input:  # the exporter falls back to fixed sizes without a word
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis in axes[value.name] and size.HasField("dim_value"):
                raise ValueError(f"{value.name}: the module works for {size.dim_value} along axis {axis} only")
    for node in graph.node:  # the exporter writes stack traces there, with the paths of this machine
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    clean = GraphProto(name="model", node=graph.node, initializer=graph.initializer)
    for tensor in clean.initializer:
        tensor.ClearField("metadata_props")
    # An input that the module does not read is missing in the exporter's graph, and a size of 0 as well.
    for name, example in inputs.items():
        kind = helper.np_dtype_to_tensor_dtype(example.detach().cpu().numpy().dtype)
        shape = [axes[name].get(axis, size) for axis, size in enumerate(example.shape)]
        clean.input.append(helper.make_tensor_value_info(name, kind, shape))
    for name, value in zip(names, graph.output, strict=True):
        written = value.type.tensor_type
        sizes_of = [size.dim_value if size.HasField("dim_value") else None for size in written.shape.dim[1:]]
        clean.output.append(helper.make_tensor_value_info(name, written.elem_type, ["n", *sizes_of]))
    return model_of(clean)


def _face(model: ModelProto) -> tuple[bytes, ...]:
    """What two models must share to be put together."""
    opsets = sorted((entry.domain, entry.version) for entry in model.opset_import)
    return (str(opsets).encode(), *(value.SerializeToString(deterministic=True) for value in model.graph.input))


def model_of(graph: GraphProto) -> ModelProto:
    """A checked model of a graph, in the opsets that all of ours are written for."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lepton-solutions")
    checker.check_model(model, full_check=True)
    return model
