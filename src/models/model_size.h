// How large a model is, and what a token reads of it.
#pragma once

#include <cstdint>

#include "models/params.h"

namespace birkhoff::models {

// Bytes are those of matrices as stored and of vectors in f32.
struct ModelSize {
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;
  std::int64_t bytes_per_token = 0;  // what a step of one token reads

  void Add(const WeightMatrix& m) {
    parameters += m.rows * m.cols;
    bytes += m.bytes();
    bytes_per_token += m.bytes();
  }
  void Add(const MatrixParam& p) { Add(p.m); }
  void Add(const VectorParam& p) {
    parameters += p.shape.elements();
    bytes += p.shape.elements() * 4;
    bytes_per_token += p.shape.elements() * 4;
  }
  void Add(const MlpParams& p) {
    for (const MatrixParam* m : {&p.w1, &p.w3, &p.w2}) Add(*m);
  }

  // Experts, of which a token is sent to k.
  void Add(const ExpertParams& p, std::int64_t k) {
    ModelSize all;
    for (const auto* list : {&p.w1, &p.w3, &p.w2}) {
      for (const WeightMatrix& m : *list) all.Add(m);
    }
    parameters += all.parameters;
    bytes += all.bytes;
    bytes_per_token += all.bytes / static_cast<std::int64_t>(p.w1.size()) * k;
  }

  // A table, of which a token reads one row.
  void AddEmbedding(const MatrixParam& p) {
    const std::int64_t before = bytes_per_token;
    Add(p);
    bytes_per_token = before + p.m.bytes() / p.m.rows;
  }
};

}  // namespace birkhoff::models
