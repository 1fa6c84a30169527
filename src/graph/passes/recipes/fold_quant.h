// What the recipes that end in a quantiser have in common.
#pragma once

#include <vector>

#include "graph/passes/recipe.h"
#include "ops/op.h"

namespace birkhoff::graph {

// A quantiser of x, its attributes captured under their names.
Quantised QuantiseExample(PatternBuilder& b, Value x);

// `more` and the attributes of the quantiser.
ops::Attributes WithQuantiser(const Binding& binding, std::vector<ops::Attributes::Entry> more);

}  // namespace birkhoff::graph
