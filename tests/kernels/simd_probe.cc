// The operations of simd.h as plain functions, compiled once per instruction set.
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

void ProbeExp(const float* x, float* y) { Store(y, Exp(Load(x))); }
void ProbeSigmoid(const float* x, float* y) { Store(y, Sigmoid(Load(x))); }
void ProbeStoreBf16(const float* x, std::uint16_t* y) { StoreBf16(y, Load(x)); }
void ProbeLoadBf16(const std::uint16_t* x, float* y) { Store(y, LoadBf16(x)); }
void ProbeLoadBf16Pairs(const std::uint16_t* x, float* even, float* odd) {
  F32x16 e, o;
  LoadBf16Pairs(x, &e, &o);
  Store(even, e);
  Store(odd, o);
}
float ProbeReduceAdd(const float* x) { return ReduceAdd(Load(x)); }
void ProbeMax(const float* a, const float* b, float* y) { Store(y, Max(Load(a), Load(b))); }
void ProbeMin(const float* a, const float* b, float* y) { Store(y, Min(Load(a), Load(b))); }
void ProbeFma(const float* a, const float* b, const float* c, float* y) {
  Store(y, Fma(Load(a), Load(b), Load(c)));
}
void ProbeCopy(const float* x, float* y, int n) { StoreN(y, LoadN(x, n), n); }
void ProbeRoundTrip(const std::uint16_t* x, std::uint16_t* y, int n) {
  StoreBf16N(y, LoadBf16N(x, n), n);
}

}  // namespace birkhoff::cpu::BK_ISA
