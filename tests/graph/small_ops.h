// Ops so small that a test can say what they compute, and a step without any memory plan.
#pragma once

#include <vector>

#include "graph/graph.h"
#include "graph/memory.h"
#include "graph/plan.h"

namespace birkhoff::graph {

// (x f32, y f32 of one shape) {number by} -> (x + by y), which may take the memory of x
extern const ops::OpDef kAxpy;
// (x f32, y f32 of one shape) -> (x + y, x - y)
extern const ops::OpDef kButterfly;
// (x f32, y f32 of one shape) {number by} -> butterfly(axpy(x, y), y)
extern const ops::OpDef kAxpyButterfly;
// (x f32, y f32 of one shape) {number by} -> (axpy(x, y), reverse(x))
extern const ops::OpDef kAxpyReverse;
// (x f32) -> (x with its elements in reverse order)
extern const ops::OpDef kReverse;
// (x f32 [T, w], index i32 [R]) -> (row index[r] of x) f32 [R, w]
extern const ops::OpDef kPick;
// (x f32 [T, w], state [slots, capacity, w]) -> (state'): row past + t is x[t]
extern const ops::OpDef kPush;
// (x f32 [T, w], state [slots, capacity, w]) -> (x + sum of the rows that the sequence had before
// the step)
extern const ops::OpDef kAddHistory;

// Every value of a graph without states after one step, each in memory of its own.
std::vector<std::vector<float>> Evaluate(const Graph& graph, const Step& step);

}  // namespace birkhoff::graph
