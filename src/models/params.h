// Parameters as the graph of a model takes them: matrices where the checkpoint maps them, vectors
// in f32.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "birkhoff/tensor.h"
#include "kernels/args/weight_matrix.h"

namespace birkhoff {
class ThreadPool;
}

namespace birkhoff::models {

// Names are the model's own, whatever the checkpoint's spelling. A matrix is named without
// ".weight", a vector by the whole name of its tensor.
struct MatrixParam {
  std::string name = {};
  WeightMatrix m = {};
};

struct VectorParam {
  std::string name = {};
  const float* data = nullptr;  // [shape], finite
  Shape shape = {};
};

// w2 (silu(w1 x) * (w3 x)), of width I in a model of width d.
struct MlpParams {
  MatrixParam w1 = {};  // [I, d] gate
  MatrixParam w3 = {};  // [I, d] up
  MatrixParam w2 = {};  // [d, I] down
};

// The same of E experts: [E] each, contiguous. Every matrix has a format of its own.
struct ExpertParams {
  std::string name = {};  // "layers.3.ffn.experts"
  std::vector<WeightMatrix> w1 = {};
  std::vector<WeightMatrix> w3 = {};
  std::vector<WeightMatrix> w2 = {};
};

// What loading leaves besides the parameters. Movable, not copyable: parameters point into it.
struct LoadedParams {
  std::vector<std::string> unused = {};  // tensors that nothing read, in the checkpoint's spelling
  std::vector<std::string> notes = {};   // what a user should know: "mtp.0 ignored: ..."

  // Converted vectors and tables, and copies of matrices that their file left misaligned.
  std::vector<std::unique_ptr<std::byte[]>> storage = {};
};

struct LoadOptions {
  // Called after each tensor with the bytes found so far and the bytes of all tensors.
  std::function<void(std::int64_t done, std::int64_t total)> progress = {};
  ThreadPool* pool = nullptr;  // checks large tensors with many threads; may be null
  bool draft = true;           // read the draft block, if the model and the checkpoint have one
  // Read what this stage holds and leave the other parameters empty: BuildOptions.
  std::int64_t first_layer = 0;
  std::int64_t end_layer = -1;
};

}  // namespace birkhoff::models
