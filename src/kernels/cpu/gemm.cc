#include "kernels/cpu/gemm.h"

#include "kernels/cpu/gemm_few.h"
#include "kernels/cpu/gemm_many.h"

namespace birkhoff::cpu {
namespace BK_ISA {
void Multiply(const Rows& x, const Outputs* outputs, int count, void* scratch) {
  auto* floats = static_cast<float*>(scratch);
  const std::int64_t width = outputs->w->cols;
  if (x.count <= kFewRows) {
    for (std::int64_t i = 0; i < x.count; ++i)
      SplitRow(x, i, width, floats + i * RoundUp(width, kRun));
    for (const Outputs* o = outputs; o != outputs + count; ++o)
      ForFormat(o->w->format, [&](auto row) { MultiplyFew<decltype(row)>(floats, x.count, *o); });
    return;
  }
  Panel panels[kMaxPanels];
  int used = 0;
  for (const Outputs* o = outputs; o != outputs + count; ++o) {
    for (std::int64_t j = 0; j < o->rows; j += kPanel) {
      Panel& panel = panels[used++];
      panel.w = o->w;
      panel.first = o->first + j;
      panel.rows = Least(kPanel, o->rows - j);
      panel.width = RoundUp(panel.rows, 16);
      panel.y = o->y + j;
      ForFormat(o->w->format, [&](auto row) { panel.fill = FillPanel<decltype(row)>; });
    }
  }
  MultiplyMany(x, width, panels, used, floats);
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
namespace {

// As many panels as fit where one of the most columns would, and at least one for each part.
std::int64_t Panels(const Work& work) {
  using namespace BK_ISA;
  const std::int64_t fit = kPanelRuns / CeilDiv(work.width, kRun);
  return fit < work.parts ? work.parts : Least(fit, kMaxPanels);
}

}  // namespace

std::int64_t PieceOutputs(const Work& work, int threads) {
  const std::int64_t least = work.rows > kFewRows ? kPanel : 16;
  std::int64_t piece = Panels(work) / work.parts * kPanel;
  while (piece >= 2 * least && work.times * work.outputs < 4 * threads * piece)
    piece = piece / 2 / least * least;
  return piece;
}

std::size_t MultiplyScratch(const Work& work) {
  using namespace BK_ISA;
  const std::int64_t few = Least(work.rows, kFewRows) * RoundUp(work.width, kRun);
  const std::int64_t many =
      work.rows > kFewRows ? ManyLayout(work.rows, work.width).floats(Panels(work)) : 0;
  return static_cast<std::size_t>(few > many ? few : many) * sizeof(float);
}
#endif

}  // namespace birkhoff::cpu
