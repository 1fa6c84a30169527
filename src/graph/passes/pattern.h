// The small graph that a recipe looks for, written with the builder that models are written with:
//
//   const Value p = b.In("p", DType::kBF16, {kTokens, Const(96)});
//   b.Out(b.Capture(b.RmsNorm(p, b.Weight("w", {96}), 0, DType::kBF16), "eps", "eps"));
//
// Inputs stand for any value, parameters for any parameter. Shapes and types are those of an
// example: they make the pattern run, as what a fused op is held against, but they are not matched.
// What a recipe demands of them its guard says.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/builder.h"

namespace birkhoff::graph {

struct Pattern {
  struct Captured {
    int node = -1;
    std::string attribute = {};
    std::string as = {};
  };

  Graph graph = {};
  std::vector<Value> out = {};          // what a rewrite replaces, in this order
  std::vector<bool> kept = {};          // [nodes]: matched, but they stay
  std::vector<Captured> captured = {};  // attributes that are taken, not compared
};

class PatternBuilder : public Builder {
 public:
  // Any value; the same one wherever the pattern has it again.
  Value In(std::string name, DType dtype, std::vector<ops::Extent> shape) {
    return Input(std::move(name), dtype, std::move(shape));
  }
  // Any parameter.
  Value Weight(std::string name, const Shape& shape) {
    return Vector(std::move(name), nullptr, shape);
  }

  // The node that makes this value is matched and stays: its results may be used anywhere.
  Value Keep(Value v);

  // An attribute of the node that makes this value may have any value, of which the binding says
  // what it is. Two captures of one name must agree.
  Value Capture(Value v, std::string_view attribute, std::string_view as);

  void Out(Value v) { out_.push_back(v); }

  Result<Pattern> Finish(Here here = Here::Now()) &&;

 private:
  struct Capturing {
    Value value = {};
    std::string attribute = {};
    std::string as = {};
  };

  Scope scope_ = Site("pattern");
  std::vector<Value> out_ = {};
  std::vector<Value> kept_ = {};
  std::vector<Capturing> captured_ = {};
};

}  // namespace birkhoff::graph
