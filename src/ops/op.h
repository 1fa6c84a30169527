// A semantic op: what a graph node says. Which kernel computes it is chosen from the op's table
// when a plan is made.
//
// One .cc per op: it states the op's types (infer), fills the arguments (attributes once, pointers
// and extents per step) and holds the kernel table. Nothing here knows graphs or models.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "birkhoff/dtype.h"
#include "birkhoff/status.h"
#include "dispatch/kernel.h"
#include "kernels/args/batch.h"
#include "kernels/args/weight_matrix.h"

namespace birkhoff::ops {

// An extent is a constant, or a multiple of a count that each step brings.
enum class Symbol : std::uint8_t {
  kOne,
  kTokens,  // T, tokens of the step
  kRows,    // R, rows that need logits
};

struct Extent {
  std::int64_t times = 1;
  Symbol symbol = Symbol::kOne;

  bool operator==(const Extent&) const = default;
};

inline Extent Const(std::int64_t n) { return {n, Symbol::kOne}; }

// What a value is, without its data.
enum class Kind : std::uint8_t {
  kActivation,  // lives in the arena or comes in with the step
  kVector,      // f32 parameters
  kFrequency,   // f64 constants
  kMatrix,      // one WeightMatrix
  kMatrices,    // a contiguous array of WeightMatrix, one per expert
  kTable,       // i32 constants
  kState,       // rows kept per sequence: [slots, capacity, width]
};

// How the elements of an activation lie. Only views make others than packed ones, and an op is
// given one only where it says that it takes it.
enum class Layout : std::uint8_t {
  kPacked,   // one after another
  kColumns,  // columns of wider rows: rows of the last dimension are equally far apart
  kSpread,   // of rank 3: one row of the last dimension stands for all of the middle one
};

struct ValueType {
  Kind kind = Kind::kActivation;
  DType dtype = DType::kF32;
  std::vector<Extent> shape = {};  // kMatrix: [rows, cols]; kMatrices: [experts, rows, cols]
  Layout layout = Layout::kPacked;

  bool operator==(const ValueType&) const = default;
  std::string ToString() const;  // "bf16 [T, 4, 256]", "bf16 [T, 64] columns"
};

// Named constants of a node: integers, numbers, flags.
class Attributes {
 public:
  using Value = std::variant<std::int64_t, double, bool>;
  struct Entry {
    std::string name = {};
    Value value = {};
    bool operator==(const Entry&) const = default;
  };

  Attributes() = default;
  Attributes(std::initializer_list<Entry> entries);
  explicit Attributes(std::vector<Entry> entries);

  // The attribute, which must exist with this type: a builder always sets it.
  std::int64_t Int(std::string_view name) const;
  double Number(std::string_view name) const;
  bool Flag(std::string_view name) const;

  std::span<const Entry> entries() const { return entries_; }  // ordered by name
  bool operator==(const Attributes&) const = default;

 private:
  const Value* Find(std::string_view name) const;
  std::vector<Entry> entries_ = {};
};

// A value during a step.
struct Operand {
  void* data = nullptr;                    // null for matrices
  const WeightMatrix* matrices = nullptr;  // kMatrix, kMatrices
  DType dtype = DType::kF32;
  int rank = 0;
  std::int64_t dim[4] = {};  // symbols replaced by the step's counts
  Layout layout = Layout::kPacked;
  std::int64_t row = 0;  // elements from one row of the last dimension to the next

  StateRows state() const { return {data, dim[1], dim[2]}; }  // kState
};

struct Call {
  std::span<const Operand> in = {};
  std::span<const Operand> out = {};
  SequenceBatch batch = {};
};

// An op with its attributes read and its kernel chosen.
class Prepared {
 public:
  virtual ~Prepared() = default;

  // Computes one node of a step. Allocates nothing. Extents are at most those of Prepare().
  virtual void Run(const Call& call, const Exec& exec) = 0;

  std::size_t scratch_bytes() const { return scratch_bytes_; }
  const Selection& selection() const { return selection_; }

 protected:
  std::size_t scratch_bytes_ = 0;
  Selection selection_ = {};
};

struct PrepareOptions {
  const Device* device = nullptr;
  int threads = 1;
  std::string_view force = {};  // kernel name, or empty
};

struct OpDef {
  std::string_view name = {};

  // Types of the results, or what is wrong with the operands: expected and found.
  Result<std::vector<ValueType>> (*infer)(const Attributes& attributes,
                                          std::span<const ValueType> in) = nullptr;

  // Chooses a kernel for the largest step; `largest` has the extents but no data.
  // Errors  kUnsupported  no row of the table accepts, with every refusal.
  Result<std::unique_ptr<Prepared>> (*prepare)(const Attributes& attributes, const Call& largest,
                                               const PrepareOptions& options) = nullptr;

  // State operands that the op writes, as pairs (operand, result): the result is the operand's next
  // version in the same memory.
  struct Mutation {
    int operand = 0;
    int result = 0;
  };
  std::span<const Mutation> mutates = {};

  // The result that may take the memory of an operand: rows are read before they are written.
  struct InPlace {
    int operand = -1;
    int result = -1;
  };
  InPlace in_place = {};

  // Operands that may have another layout than a packed one.
  struct Takes {
    int operand = 0;
    Layout layout = Layout::kPacked;
  };
  std::span<const Takes> takes = {};

  // The result is memory of the operand under another shape: no kernel runs and prepare is null.
  bool view = false;
  // Of a view: the element of the operand's row at which the result's begins; null: the first.
  std::int64_t (*begin)(const Attributes& attributes) = nullptr;
};

// op.infer, after a look at the layouts.
Result<std::vector<ValueType>> Infer(const OpDef& op, const Attributes& attributes,
                                     std::span<const ValueType> in);

// Every op, ordered by name, and one by name (null when there is none).
std::span<const OpDef* const> AllOps();
const OpDef* FindOp(std::string_view name);

}  // namespace birkhoff::ops
